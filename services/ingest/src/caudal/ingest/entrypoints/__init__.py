"""The doors: each parses what comes in its own way and calls one handler."""
