"""What the lab builds: families of programs, each a Go module under ``lab/families``.

A family's ``go.mod`` and ``go.sum`` say which releases; this table says which programs come out,
and how they are linked. No release is named here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from lab.errors import LabError
from lab.paths import DATA

FOLDER = DATA / "families"
_STATIC = ("-linkmode external", "-extldflags -static")
"""So that a node needs none of the libraries."""


@dataclass(frozen=True)
class Data:
    """Files of a module that are kept beside the programs, so that using them needs no Go.

    Attributes:
        module: Its path; the family's ``go.mod`` requires it.
        folder: Folder in the module.
        pattern: Which files of that folder.
    """

    module: str
    folder: str
    pattern: str = "*.yaml"


@dataclass(frozen=True)
class Family:
    """One Go module and the programs it yields.

    Attributes:
        name: Name of its folder below ``families``.
        module: Module whose release is the family's release.
        programs: By program: its package. Program names are unique in the whole lab.
        tags: Build tags.
        stamps: By Go variable: its value; ``{version}`` and ``{minor}`` stand for the release.
        libraries: Debian packages of C libraries that are linked, statically; naming one is what
            lets a C compiler take part.
        data: Files to keep.
        root: Where the folder with its name is.
    """

    name: str
    module: str
    programs: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    stamps: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    data: tuple[Data, ...] = ()
    root: Path = FOLDER

    @property
    def folder(self) -> Path:
        """Where its ``go.mod`` is."""
        return self.root / self.name

    def version(self) -> str:
        """Return the release that ``go.mod`` names, such as ``v1.34.4``.

        Raises:
            LabError: ``go.mod`` does not name the module.
        """
        file = self.folder / "go.mod"
        line = rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)"
        found = re.search(line, file.read_text(), re.MULTILINE)
        if found is None:
            raise LabError(f"{file} does not require {self.module}")
        return found[1]

    def flags(self) -> list[str]:
        """Return the flags of ``go build`` that decide what comes out."""
        version = self.version()
        minor = version.split(".")[1]
        stamps = [
            f"-X {variable}={value.format(version=version, minor=minor)}"
            for variable, value in self.stamps.items()
        ]
        link = ["-s", "-w", *stamps, *(_STATIC if self.libraries else ())]
        return [
            "-trimpath",
            "-buildvcs=false",
            f"-tags={','.join(self.tags)}",
            f"-ldflags={' '.join(link)}",
        ]


def _below(root: str, *names: str) -> dict[str, str]:
    return {name.rsplit("/", 1)[-1]: f"{root}/{name}" for name in names}


_KUBERNETES = "k8s.io/kubernetes"
_CONTAINERD = "github.com/containerd/containerd/v2"
_PLUGINS = "github.com/containernetworking/plugins"
_METALLB = "go.universe.tf/metallb"
_HELM = "helm.sh/helm/v3"
_CERT_MANAGER = "github.com/cert-manager/cert-manager"
_LOCAL_PATH = "github.com/rancher/local-path-provisioner"
_GATEWAY_API = "sigs.k8s.io/gateway-api"
_CALICO = "github.com/projectcalico/calico"
_ISTIO = "istio.io/istio"

_ALL = (
    Family(
        "kubernetes",
        _KUBERNETES,
        _below(
            f"{_KUBERNETES}/cmd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ),
        tags=("providerless",),
        stamps={
            "k8s.io/component-base/version.gitVersion": "{version}",
            "k8s.io/component-base/version.gitMajor": "1",
            "k8s.io/component-base/version.gitMinor": "{minor}",
            "k8s.io/client-go/pkg/version.gitVersion": "{version}",
        },
    ),
    Family("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Family(
        "containerd",
        _CONTAINERD,
        _below(f"{_CONTAINERD}/cmd", "containerd", "containerd-shim-runc-v2", "ctr"),
        # Snapshotters and device control that need kernel features the lab does not use.
        tags=("no_btrfs", "no_devmapper", "no_zfs", "no_rdt", "no_tracing"),
        stamps={f"{_CONTAINERD}/version.Version": "{version}"},
    ),
    # Its first steps in a new namespace are C. Without seccomp it would refuse every pod whose
    # profile is RuntimeDefault, which Pod Security asks for.
    Family(
        "runc",
        "github.com/opencontainers/runc",
        {"runc": "github.com/opencontainers/runc"},
        tags=("seccomp", "netgo", "osusergo"),
        libraries=("libseccomp-dev",),
    ),
    Family(
        "cni",
        _PLUGINS,
        _below(
            f"{_PLUGINS}/plugins",
            "main/bridge",
            "main/loopback",
            "main/ptp",
            "ipam/host-local",
            "meta/portmap",
            "meta/firewall",
            "meta/tuning",
        ),
        stamps={f"{_PLUGINS}/pkg/utils/buildversion.BuildVersion": "{version}"},
    ),
    Family("coredns", "github.com/coredns/coredns", {"coredns": "."}),
    Family(
        "metallb",
        _METALLB,
        {"metallb-controller": f"{_METALLB}/controller", "metallb-speaker": f"{_METALLB}/speaker"},
        data=(Data(_METALLB, "config/crd/bases"),),
    ),
    Family(
        "cert-manager",
        _CERT_MANAGER,
        {"cert-manager": "."},
        stamps={f"{_CERT_MANAGER}/pkg/util.AppVersion": "{version}"},
        data=(Data(_CERT_MANAGER, "deploy/crds"),),
    ),
    Family(
        "local-path",
        _LOCAL_PATH,
        {"local-path-provisioner": _LOCAL_PATH},
        stamps={"main.VERSION": "{version}"},
    ),
    Family("gateway-api", _GATEWAY_API, data=(Data(_GATEWAY_API, "config/crd/standard"),)),
    Family(
        "helm",
        _HELM,
        {"helm": f"{_HELM}/cmd/helm"},
        stamps={f"{_HELM}/internal/version.version": "{version}"},
    ),
    Family(
        "calico",
        _CALICO,
        {
            "calico": f"{_CALICO}/cni-plugin/cmd/calico",
            "calico-felix": f"{_CALICO}/felix/cmd/calico-felix",
        },
        data=(Data(_CALICO, "libcalico-go/config/crd"),),
    ),
    Family(
        "istio",
        _ISTIO,
        {
            "istioctl": f"{_ISTIO}/istioctl/cmd/istioctl",
            "pilot-discovery": f"{_ISTIO}/pilot/cmd/pilot-discovery",
        },
        stamps={f"{_ISTIO}/pkg/version.buildVersion": "{version}"},
        data=(Data(_ISTIO, "manifests/charts/base/files", "crd-all.gen.yaml"),),
    ),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ALL})
"""By name, the longest build first."""

OPTIONAL = frozenset({"istio"})
"""Families that are built only when they are named."""

REQUIRED: tuple[str, ...] = tuple(name for name in FAMILIES if name not in OPTIONAL)
"""The families that ``up`` needs, in the order of their builds."""


def family_of(program: str) -> Family:
    """Return the family that has a program.

    Raises:
        LabError: No family has it.
    """
    for family in FAMILIES.values():
        if program in family.programs:
            return family
    raise LabError(f"no tool family has a program {program}")
