"""What every process on the bus is: a member with trust, a leaf certificate and a connection.

``session.Session`` is the whole of it; services, the watcher and the authority use it.
"""
