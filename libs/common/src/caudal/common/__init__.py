"""What at least two services mean in the same way: the bus, its topics and messages, the catalog, the store, the shell.

What only one service needs does not belong here.
"""
