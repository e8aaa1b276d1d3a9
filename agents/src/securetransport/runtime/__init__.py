"""What every agent process shares: settings, logs, metrics, health, supervision, start and stop.

``main.run_agent`` is the one way a ``__main__`` starts; see its docstring for a complete example.
May import ``core`` only; nothing here knows NATS or OpenBao.
"""
