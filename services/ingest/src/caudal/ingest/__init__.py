"""Many shapes in, one out: what devices, providers and files say becomes raw readings on the bus.

Rules about what a reading means once it is a number (pulses, resets, limits) do not belong here.
"""
