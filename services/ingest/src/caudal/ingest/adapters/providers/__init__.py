"""Clients of the HTTP APIs that providers offer: one per kind of API, over what all of them share.

What a value means does not belong here: it is given as it came. When to ask, and what to do with an answer, neither.
"""
