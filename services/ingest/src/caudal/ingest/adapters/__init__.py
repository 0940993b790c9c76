"""What this service calls: the files of a window, its child processes, its counters."""
