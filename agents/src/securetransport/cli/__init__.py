"""The ``securetransport`` command: what people ask the platform, and what little they tell it."""
