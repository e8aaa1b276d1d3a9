"""What makes a cluster more than an API: names, load balancers, volumes, certificates.

Each add-on is one module with ``install(context)``; what it applies lies in ``manifests/``.
"""

from lab.addons.context import Context
from lab.addons.install import install
from lab.addons.versions import versions

__all__ = ["Context", "install", "versions"]
