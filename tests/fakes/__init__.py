"""Memory stand-ins for ports that only one service has."""
