"""The platform as child processes of this machine: folder, broker, services."""
