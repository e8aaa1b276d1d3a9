"""One real cluster: its certificates, configuration, namespaces and components.

Here is what works on a cluster that runs; ``lab.cluster.up`` makes one.
"""

from lab.cluster.inside import control, enter, first_process, inside

__all__ = ["control", "enter", "first_process", "inside"]
