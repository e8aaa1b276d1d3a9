"""The authority's documents as a process follows them: judged, and never older than before.

``gate.DocumentGate`` judges; ``followed.FollowedDocument`` is one document in force. Members and
keepers use the same; the rules themselves are ``core.trust.documents``.
"""
