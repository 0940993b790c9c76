"""How a payload is read: a mapping in, then payloads in, readings and reasons out. Pure, and the same at every door.

Bytes do not belong here: decoding them is for whoever took them in.
"""
