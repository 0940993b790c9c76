"""One function per thing the processor does; they see ports and domain, and serve every door."""
