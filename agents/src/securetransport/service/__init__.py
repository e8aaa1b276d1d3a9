"""The SDK: what a service needs to speak on the bus with rotating certificates and keys.

``app.ServiceApp`` is the base class of a service; docs/sdk.md shows one in under 50 lines.
``session.Session`` is what other agents use that only need an admitted connection.
"""
