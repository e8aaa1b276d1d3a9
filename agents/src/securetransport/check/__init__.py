"""Looks at a whole platform through ports; what is wrong with it is decided in the core.

Reads only: files, supervisors, health ports, OpenBao, the servers' ports, the bus as the people's
identity. Each look has a deadline, and what was not seen stays unknown.
"""
