"""Example services built on the SDK; each is started by its name: ``python -m …gatekeeper``."""
