"""What runs inside a node: ``init.py`` is its first process and imports nothing of this package."""
