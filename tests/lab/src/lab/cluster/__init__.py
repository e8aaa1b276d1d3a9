"""One real cluster: its certificates, configuration, namespaces and components."""

from lab.cluster.inside import control, enter, first_process, inside
from lab.cluster.site import Site
from lab.cluster.start import start

__all__ = ["Site", "control", "enter", "first_process", "inside", "start"]
