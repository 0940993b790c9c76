"""How a payload is read: pure, without a clock, a bus or a file."""
