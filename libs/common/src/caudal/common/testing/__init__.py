"""Fakes and the suites that every adapter has to pass. Imported by tests only."""
