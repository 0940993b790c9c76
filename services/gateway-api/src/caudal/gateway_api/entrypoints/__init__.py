"""The world calls us: HTTP, answers on the bus, and what has to be done from time to time. Parse, call, answer."""
