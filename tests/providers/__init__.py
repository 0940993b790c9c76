"""Stand-ins for providers: real HTTP servers on loopback, as strict and as moody as those they stand in for."""
