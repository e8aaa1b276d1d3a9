"""What comes next: pure decisions over an observation, one package or module per loop.

Each answers with one typed step or with :class:`~securetransport.core.decisions.wait.Wait`, knows
nothing of sockets and files, and is called again after every step.
"""
