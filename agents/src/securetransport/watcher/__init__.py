"""The watcher: looks at every NATS server from the system account and from outside, and reports."""
