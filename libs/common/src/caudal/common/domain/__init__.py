"""Pure types and rules that every service shares. Nothing here awaits, reads a clock or knows a driver."""
