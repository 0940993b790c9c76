"""What the door does, one function per thing; ports in, answers out, no HTTP."""
