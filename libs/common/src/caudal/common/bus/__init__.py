"""The bus contract: every topic once, every message once, and how they are written to bytes."""
