"""Real flow through the running platform, and what came out of it."""
