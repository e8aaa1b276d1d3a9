"""Decisions: pure functions from what was observed to the one next step.

``ca`` (rotation of the intermediate CA), ``topic_keys``, ``server_files`` (a server's files).
"""
