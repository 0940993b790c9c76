"""What this service does, whichever door it came through: accept payloads, run windows."""
