"""The world calls us: messages of the bus, and the clock."""
