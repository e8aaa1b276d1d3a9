"""Three real Kubernetes clusters on one Linux machine, for tests.

Nothing of the product knows this package; it makes clusters and says where their kubeconfigs are.
``docs/lab.md`` is the page to read first.
"""
