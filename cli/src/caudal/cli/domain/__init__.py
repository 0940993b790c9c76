"""What the demo is about, without processes, sockets or clocks: the simulated meter and what it sends."""
