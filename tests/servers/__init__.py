"""Real servers for tests: started on free ports of loopback in temporary folders, stopped by who started them."""
