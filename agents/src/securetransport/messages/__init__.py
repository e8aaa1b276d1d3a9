"""The SDK's other half: what a service needs to send and receive protected messages.

``app.ServiceApp`` is the base class of a service; docs/sdk.md shows one in under 50 lines.
"""
