"""What a receiver accepts: trust bundles, keys and messages.

``bundle`` (a TrustBundle and its rules), ``keyring`` (topic and verify keys by epoch), ``opening``
(the checks of a received message, in order).
"""
