"""The caudal command: starts the platform on one machine and shows it at work.

It knows the services by their commands, topics and HTTP paths only, and imports none of them.
"""
