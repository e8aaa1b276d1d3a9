"""A nats-server of this machine: a signal reloads it, its own program checks configurations.

Usage::

    server = LocalServer(settings.pid_file, settings.binary)
    if server.is_running() and await server.problem_of(config) is None:
        server.signal_reload()
"""

from securetransport.adapters.servers.local import LocalServer

__all__ = ["LocalServer"]
