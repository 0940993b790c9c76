"""What of a file is a reading: pure, without a clock, a bus or a file. How payloads are read is in common."""
