"""What the door asks of databases, files and cryptography; one technology per file."""
