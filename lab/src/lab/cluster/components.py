"""What runs in a node: each component's command line and what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.addons import policy
from lab.plan import Cluster

_PKI = "/lab/pki"
_ETCD = "http://127.0.0.1:2379"
"""Inside the node's own network namespace, where only the API server is."""

_FRUGAL = {"GOGC": "25"}
"""Three clusters share a machine with tests, so memory is dear; most programs collect little."""
_API_SERVER = {"GOGC": "40"}
"""It holds the schemas of all kinds, and more of them with every kind a test brings. With 25 it
takes twice the time to start. A limit (GOMEMLIMIT) would save memory until the kinds of a test
outgrow it, and then keep both cores busy for ever: tried with fifteen more."""

IMPORTED = "/lab/imported"
"""A file that says that the images are in the node."""

POLICY_KINDS = "/lab/policy-kinds"
"""A file that says that the API server knows what the policies' agent reads."""

NAMES = (
    "etcd",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    policy.AGENT,
    "kubelet",
    "kube-proxy",
)
"""In the order of their start."""


def spec(cluster: Cluster, program: Callable[[str], Path], path: list[Path]) -> dict[str, Any]:
    """Return what ``node/init.py`` reads.

    Args:
        cluster: Whose node.
        program: Where a program is, as the node sees it.
        path: Folders of programs that others start by name, such as containerd its shim.
    """
    api = f"{cluster.api}/readyz"
    after = {
        "kube-apiserver": [f"{_ETCD}/readyz"],
        "kube-controller-manager": [api],
        "kube-scheduler": [api],
        # A pod whose image is not there yet would be tried again only after ten seconds.
        # One without rules on its cable would be open, or cut off.
        "kubelet": [api, IMPORTED, policy.READY],
        policy.AGENT: [api, POLICY_KINDS],
        "kube-proxy": [api],
    }
    arguments = {
        "etcd": _etcd(cluster),
        "containerd": ["--config=/lab/containerd.toml"],
        "kube-apiserver": _api_server(cluster),
        "kube-controller-manager": _controller_manager(cluster),
        "kube-scheduler": _clients("scheduler"),
        "kubelet": _kubelet(cluster),
        "kube-proxy": ["--config=/lab/proxy.yaml"],
        policy.AGENT: [],
    }
    environment = {"kube-apiserver": _API_SERVER, policy.AGENT: policy.environment(cluster)}
    folders = [*map(str, path), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return {
        "hostname": cluster.name,
        "authority": f"{_PKI}/ca.crt",
        "env": {"PATH": ":".join(folders), "HOME": "/root", **_FRUGAL},
        "components": [
            {
                "name": name,
                "argv": [str(program(name)), *arguments[name]],
                "after": after.get(name, []),
                "env": environment.get(name, {}),
            }
            for name in NAMES
        ],
    }


def _etcd(cluster: Cluster) -> list[str]:
    return [
        f"--name={cluster.name}",
        "--data-dir=/var/lib/etcd/data",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",  # the lab does not outlive the machine's power
        "--logger=zap",
        "--log-level=warn",
    ]


def _api_server(cluster: Cluster) -> list[str]:
    return [
        f"--etcd-servers={_ETCD}",
        f"--advertise-address={cluster.node}",
        f"--bind-address={cluster.node}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={cluster.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={_PKI}/ca.crt",
        f"--tls-cert-file={_PKI}/apiserver.crt",
        f"--tls-private-key-file={_PKI}/apiserver.key",
        f"--kubelet-certificate-authority={_PKI}/ca.crt",
        f"--kubelet-client-certificate={_PKI}/apiserver-kubelet.crt",
        f"--kubelet-client-key={_PKI}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={_PKI}/sa.pub",
        f"--service-account-signing-key-file={_PKI}/sa.key",
        f"--requestheader-client-ca-file={_PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={_PKI}/front-proxy.crt",
        f"--proxy-client-key-file={_PKI}/front-proxy.key",
        "--enable-aggregator-routing=true",
        "--profiling=false",
    ]


def _controller_manager(cluster: Cluster) -> list[str]:
    return [
        *_clients("controller-manager"),
        "--use-service-account-credentials=true",
        f"--root-ca-file={_PKI}/ca.crt",
        f"--service-account-private-key-file={_PKI}/sa.key",
        f"--cluster-signing-cert-file={_PKI}/ca.crt",
        f"--cluster-signing-key-file={_PKI}/ca.key",
        f"--service-cluster-ip-range={cluster.services}",
        # A stopped kubelet is noticed in seconds, not in most of a minute.
        "--node-monitor-grace-period=20s",
    ]


def _clients(name: str) -> list[str]:
    """Return the arguments of a component that is a client of the API server and alone."""
    kubeconfig = f"/lab/{name}.kubeconfig"
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    ]


def _kubelet(cluster: Cluster) -> list[str]:
    return [
        "--config=/lab/kubelet.yaml",
        "--kubeconfig=/lab/kubelet.kubeconfig",
        f"--hostname-override={cluster.name}",
        f"--node-ip={cluster.node}",
    ]
