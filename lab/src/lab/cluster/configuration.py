"""The configuration files of a node's components, computed from the address plan."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from lab.addons import policy
from lab.plan import Cluster

SANDBOX_IMAGE = "lab.local/pause:1"
_SOCKET = "/run/containerd/containerd.sock"


def write(cluster: Cluster, folder: Path, runc: Path, cni: list[Path]) -> None:
    """Write what the components read.

    Args:
        cluster: Whose.
        folder: The folder that the node sees as ``/lab``.
        runc: The program runc, as the node sees it.
        cni: The folders of the network plugins, as the node sees them.
    """
    files = {
        "containerd.toml": _containerd(runc, cni),
        "cni/10-lab.conflist": json.dumps(_network(cluster), indent=2),
        "kubelet.yaml": yaml.safe_dump(_kubelet(cluster), sort_keys=False),
        "proxy.yaml": yaml.safe_dump(_proxy(cluster), sort_keys=False),
        # Pods ask the cluster; the node itself has no resolver, so a name fails at once.
        "resolv.conf": f"nameserver {cluster.dns_service}\n",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def write_node_files(cluster: Cluster, etc: Path) -> None:
    """Write the node's own name files.

    Args:
        cluster: Whose.
        etc: The node's ``/etc``, before it starts.
    """
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "hostname").write_text(f"{cluster.name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{cluster.node} {cluster.name}\n")
    (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (etc / "machine-id").write_text(f"{hashlib.sha256(cluster.name.encode()).hexdigest()[:32]}\n")


def _containerd(runc: Path, cni: list[Path]) -> str:
    # Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj: restrict_oom_score_adj.
    return f"""\
version = 4
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.nri.v1.nri",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "{_SOCKET}"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{SANDBOX_IMAGE}"

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
stats_collect_period = "10s"

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = {json.dumps([str(folder) for folder in cni])}
conf_dir = "/lab/cni"
"""


def _network(cluster: Cluster) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [
            policy.network(cluster),
            {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(cluster: Cluster) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(cluster.node),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/lab/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/lab/pki/kubelet-serving.crt",
        "tlsPrivateKeyFile": "/lab/pki/kubelet-serving.key",
        "clusterDNS": [str(cluster.dns_service)],
        "clusterDomain": "cluster.local",
        "resolvConf": "/lab/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        # Nothing can be pulled again: no image is collected, no pod evicted for its disk.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }


def _proxy(cluster: Cluster) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(cluster.pods),
        "hostnameOverride": cluster.name,
        "clientConnection": {"kubeconfig": "/lab/proxy.kubeconfig"},
        # The table's size belongs to the machine.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
