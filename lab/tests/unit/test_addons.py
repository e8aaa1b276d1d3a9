"""What is applied inside a cluster, as far as it can be judged without one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.addons import Context, install, manifests, versions
from lab.addons.coredns import others
from lab.addons.install import ADDONS
from lab.addons.manifests import render
from lab.errors import LabError
from lab.kubectl import Kubectl
from lab.plan import LARGEST, Cluster
from lab.report import Report
from lab.toolchain import Tools

CLUSTER = Cluster(2)
NAMES = sorted(file.stem for file in manifests.FOLDER.glob("*.yaml"))
WORKLOADS = {"Deployment", "DaemonSet"}


def objects(name: str) -> list[dict[str, Any]]:
    more = {"others": others(CLUSTER)} if name == "coredns" else {}
    return [part for part in yaml.safe_load_all(render(name, CLUSTER, more)) if part]


def every(kinds: set[str]) -> Iterator[dict[str, Any]]:
    for name in NAMES:
        yield from (part for part in objects(name) if part["kind"] in kinds)


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for workload in every(WORKLOADS):
        pod = workload["spec"]["template"]["spec"]
        yield from ((pod, container) for container in pod["containers"])


def corefile() -> str:
    (config,) = [part for part in objects("coredns") if part["kind"] == "ConfigMap"]
    return str(config["data"]["Corefile"])


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_complete_and_named_once(name: str) -> None:
    found = objects(name)
    keys = [
        (part["kind"], part["metadata"].get("namespace"), part["metadata"]["name"])
        for part in found
    ]
    assert all(part["apiVersion"] for part in found)
    assert len(keys) == len(set(keys))


def test_placeholder_without_a_value_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "FOLDER", tmp_path)
    (tmp_path / "odd.yaml").write_text("address: $nowhere\n")
    with pytest.raises(LabError, match=r"odd\.yaml asks for \$nowhere"):
        render("odd", CLUSTER)


def test_dollar_sign_that_is_no_placeholder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "FOLDER", tmp_path)
    (tmp_path / "odd.yaml").write_text("price: $5\n")
    with pytest.raises(LabError, match=r"odd\.yaml.*write \$\$"):
        render("odd", CLUSTER)


def test_missing_manifest_is_named() -> None:
    with pytest.raises(LabError, match=r"nothing\.yaml"):
        render("nothing", CLUSTER)


def test_folder_without_manifests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no manifest"):
        manifests.kinds(tmp_path)


def test_manifests_of_a_release_become_separate_documents(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("---\nkind: A\n---\nkind: B\n")
    (tmp_path / "b.yaml").write_text("kind: C\n")
    (tmp_path / "c.txt").write_text("not yaml")
    found = list(yaml.safe_load_all(manifests.kinds(tmp_path) + "---\nkind: D\n"))
    assert found == [{"kind": "A"}, {"kind": "B"}, {"kind": "C"}, {"kind": "D"}]


def test_schemas_lose_their_prose_and_keep_fields_named_description(tmp_path: Path) -> None:
    schema = {"properties": {"description": {"type": "string", "description": "prose"}}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"description": "prose", "schema": schema}))
    (found,) = yaml.safe_load_all(manifests.kinds(tmp_path))
    assert found == {"schema": {"properties": {"description": {"type": "string"}}}}


def test_definitions_are_named_by_their_files(tmp_path: Path) -> None:
    definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
    (tmp_path / "a.example_things.yaml").write_text(definition)
    (tmp_path / "a.example_policy_of.yaml").write_text("kind: Policy\n")
    assert manifests.definitions(tmp_path) == ["customresourcedefinition/things.a.example"]


def test_addresses_are_those_of_the_plan() -> None:
    services = {part["metadata"]["name"]: part for part in every({"Service"})}
    annotations = services["lab-dns"]["metadata"]["annotations"]
    assert services["kube-dns"]["spec"]["clusterIP"] == str(CLUSTER.dns_service)
    assert annotations["metallb.universe.tf/loadBalancerIPs"] == str(CLUSTER.dns_balancer)


def test_only_the_names_service_can_get_the_address_of_the_names() -> None:
    pools = {part["metadata"]["name"]: part["spec"] for part in every({"IPAddressPool"})}
    first, last = CLUSTER.balancers
    assert pools["balancers"]["addresses"] == [f"{first}-{last}"]
    assert pools["dns"]["addresses"] == [f"{CLUSTER.dns_balancer}/32"]
    assert pools["dns"]["autoAssign"] is False
    assert not first <= CLUSTER.dns_balancer <= last


def test_each_other_cluster_is_asked_at_its_own_address() -> None:
    blocks = corefile().split("}\n}\n")
    for number in range(1, LARGEST + 1):
        other = Cluster(number)
        asked = [block for block in blocks if f"forward . {other.dns_balancer} {{" in block]
        assert len(asked) == (other != CLUSTER)
        assert all(f"{other.domain}:1053 {{" in block for block in asked)


def test_corefile_has_balanced_braces_and_no_way_out() -> None:
    text = corefile()
    assert text.count("{") == text.count("}")
    assert f"k8s_external {CLUSTER.domain}" in text
    assert text.count("forward .") == LARGEST - 1  # the other clusters
    assert ".:1053 {\n    errors\n    template ANY ANY {\n        rcode NXDOMAIN" in text


def test_no_image_is_ever_pulled() -> None:
    for _, container in containers():
        assert container["image"].startswith("lab.local/")
        assert container["image"].endswith(":1")
        assert container["imagePullPolicy"] == "Never"


def test_pods_have_the_least_rights() -> None:
    raw = []
    for pod, container in containers():
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        raw.extend(context["capabilities"].get("add", []))
        if context.get("runAsUser") != 0:
            assert pod["securityContext"]["runAsNonRoot"] is True
    assert raw == ["NET_RAW"]  # the speaker's, for ARP


def test_pods_ask_for_little_and_have_a_limit() -> None:
    for _, container in containers():
        resources = container["resources"]
        assert resources["requests"]["cpu"] == "10m"
        assert resources["limits"] == {"memory": "256Mi"}


def test_probes_are_quick_at_the_start_and_slow_later() -> None:
    for _, container in containers():
        for kind in ("readinessProbe", "livenessProbe"):
            if kind in container:
                assert container["startupProbe"]["periodSeconds"] == 1
                assert container[kind]["periodSeconds"] == 10
                # A busy machine, such as one that builds, is no reason to restart anything.
                assert container[kind]["timeoutSeconds"] == 5


def test_no_right_to_change_is_a_wildcard() -> None:
    for role in every({"Role", "ClusterRole"}):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"]
            assert "*" not in rule["verbs"]
            if set(rule["verbs"]) - {"get", "list", "watch"}:
                assert "*" not in rule["resources"]


def test_each_binding_and_pod_names_an_account_that_is_made() -> None:
    accounts = {
        (part["metadata"]["namespace"], part["metadata"]["name"])
        for part in every({"ServiceAccount"})
    }
    for binding in every({"RoleBinding", "ClusterRoleBinding"}):
        for subject in binding["subjects"]:
            if subject["kind"] == "ServiceAccount":
                assert (subject["namespace"], subject["name"]) in accounts
    for workload in every(WORKLOADS):
        account = workload["spec"]["template"]["spec"]["serviceAccountName"]
        assert (workload["metadata"]["namespace"], account) in accounts


def test_the_default_storage_class_waits_for_a_pod() -> None:
    (storage,) = every({"StorageClass"})
    default = "storageclass.kubernetes.io/is-default-class"
    assert storage["metadata"]["annotations"][default] == "true"
    assert storage["volumeBindingMode"] == "WaitForFirstConsumer"


def test_scripts_of_volumes_keep_their_variables() -> None:
    configs = {part["metadata"]["name"]: part["data"] for part in every({"ConfigMap"})}
    assert 'mkdir -m 0777 -p "$VOL_DIR"' in configs["local-path"]["setup"]
    assert 'rm -rf "$VOL_DIR"' in configs["local-path"]["teardown"]


def test_versions_are_those_that_the_families_pin() -> None:
    found = versions()
    assert found["metallb"] == "0.13.12"
    assert found["cert-manager"] == "1.21.2"
    assert set(found) == {"coredns", "metallb", "cert-manager", "local-path", "gateway-api"}


def test_every_addon_is_installed() -> None:
    assert set(ADDONS) >= {"cert-manager", "coredns", "metallb", "storage", "gateway-api"}


def test_failed_install_names_every_addon_that_is_not_there(tmp_path: Path) -> None:
    nobody = Kubectl(tmp_path / "kubeconfig", Path("/bin/false"))
    context = Context(CLUSTER, nobody, Tools({}), Report(io.StringIO()))
    with pytest.raises(LabError) as raised:
        install(context)
    assert raised.value.what.startswith("c2 lacks ")
    for name in ADDONS:
        assert f"{name}: " in raised.value.what
