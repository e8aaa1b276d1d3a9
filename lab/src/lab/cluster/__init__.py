"""Makes a cluster: its certificates, configuration, namespaces, components, and what is in it."""
