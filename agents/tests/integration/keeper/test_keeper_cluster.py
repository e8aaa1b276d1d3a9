"""Three keepers and servers through a rotation; the tests build on each other, in file order."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from datetime import timedelta

import pytest

from keeper_scene import Scene, Site
from securetransport.adapters.nats import NatsBus
from securetransport.adapters.tls import probe
from securetransport.core.crypto import signing, x509
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.ports import BusEvent, Connection, Credentials, ProbeResult
from servers import LOOPBACK, wait_until

MOST_SECONDS = 5.0
"""For a trust change on three servers; about 1.3 s on a quiet machine, of which 1 s is the poll."""


async def connect(scene: Scene, site: Site, events: list[BusEvent] | None = None) -> Connection:
    context = Credentials(tuple(scene.authority.anchors()), scene.authority.leaf("gatekeeper"))
    return await NatsBus().connect(
        [f"tls://{LOOPBACK}:{site.port}"],
        context,
        name="gatekeeper/1",
        inbox_prefix="_INBOX.gatekeeper",
        on_event=events.append if events is not None else None,
    )


def probes(scene: Scene) -> list[ProbeResult]:
    """Probe every port of every server without a certificate."""

    async def look() -> list[ProbeResult]:
        return [
            await probe(LOOPBACK, port, kind=kind)
            for site in scene.sites
            for port, kind in ((site.port, "client"), (site.route_port, "route"))
        ]

    return asyncio.run(look())


def names_listed(scene: Scene) -> set[frozenset[str]]:
    return {frozenset(result.ca_names) for result in probes(scene)}


def readiness(site: Site) -> str:
    try:
        with urllib.request.urlopen(f"{site.health_url}/readyz", timeout=3) as answer:  # noqa: S310
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_servers_wait_for_their_keeper_and_start_with_its_files(scene: Scene) -> None:
    for site in scene.sites:
        site.start_server()
    first = scene.sites[0]
    log = first.home / "server.log"
    wait_until("exec-server says what it waits for", lambda: "no ready.json" in log.read_text())
    assert not first.pid_file.exists()
    for site in scene.sites:
        site.start_keeper()
    digest = scene.authority.bundle(1, active=1).digest
    scene.wait_served(digest, epoch=1, seconds=60)
    assert names_listed(scene) == {scene.authority.names(1)}
    assert all(site.server and site.pid() == site.server.child.pid for site in scene.sites)


async def test_new_trust_is_in_force_in_seconds_and_no_client_notices(
    scene: Scene,
) -> None:
    events: list[BusEvent] = []
    connection = await connect(scene, scene.sites[0], events)
    try:
        pids = [site.pid() for site in scene.sites]
        digest = scene.authority.publish_bundle(1, 2, active=1)
        seconds = await asyncio.to_thread(scene.wait_served, digest)
        assert seconds < MOST_SECONDS, f"took {seconds:.2f} s"
        listed = await asyncio.to_thread(names_listed, scene)
        assert listed == {scene.authority.names(1, 2)}
        assert not any("root" in name for names in listed for name in names)
        assert pids == [site.pid() for site in scene.sites]
        await connection.flush()
        assert events == []
    finally:
        await connection.close()


def test_servers_move_to_the_active_epoch_one_after_the_other(scene: Scene) -> None:
    scene.authority.sign_with(2)
    digest = scene.authority.publish_bundle(1, 2, active=2)
    scene.wait_served(digest, epoch=2)
    began = [
        next(line["timestamp"] for line in site.events("leaf_issued") if line["epoch"] == 2)
        for site in scene.sites
    ]
    ended = [
        next(
            line["timestamp"]
            for line in site.events("server_reloaded")
            if line["timestamp"] > start
        )
        for site, start in zip(scene.sites, began, strict=True)
    ]
    assert ended[0] < began[1], "the second began before the first had ended"
    assert ended[1] < began[2], "the third began before the second had ended"
    assert {result.issuer_common_name for result in probes(scene)} == scene.authority.names(2)


def test_retired_epoch_leaves_every_port(scene: Scene) -> None:
    digest = scene.authority.publish_bundle(2, active=2)
    scene.wait_served(digest, epoch=2)
    assert names_listed(scene) == {scene.authority.names(2)}


@pytest.mark.parametrize("kind", ["garbage", "forged", "lower", "expired", "policy"])
def test_refused_document_leaves_the_old_one_in_force(scene: Scene, kind: str) -> None:
    authority, site = scene.authority, scene.sites[0]
    before, files = scene.attested(site), (site.managed / "ca.crt").read_bytes()
    body = authority.bundle(1, 2, active=2).to_bytes()
    version = authority.versions["trust/bundle"]
    bundle = DocumentKind.TRUST_BUNDLE
    refused = len(site.events("document_refused"))
    if kind == "garbage":
        authority.put("trust/bundle", {"document": "AAAA"})
    elif kind == "forged":
        forger = signing.generate_signing_key()
        data = authority.sign(bundle, body, version.next(), key=forger)
        authority.put_document("trust/bundle", data)
    elif kind == "lower":
        authority.put_document("trust/bundle", authority.sign(bundle, body, Version(counter=1)))
    elif kind == "expired":
        data = authority.sign(bundle, body, version.next(), life=timedelta(minutes=-1))
        authority.put_document("trust/bundle", data)
    else:
        data = authority.sign(DocumentKind.BROKER_POLICY, body, version.next())
        authority.put_document("trust/bundle", data)
    wait_until("it is refused", lambda: len(site.events("document_refused")) > refused)
    assert (site.managed / "ca.crt").read_bytes() == files
    after = scene.attested(site)
    assert before is not None
    assert after is not None
    assert (after.digest, after.bundle_version) == (before.digest, before.bundle_version)
    assert names_listed(scene) == {authority.names(2)}


def test_good_document_after_refused_ones_is_accepted(scene: Scene) -> None:
    digest = scene.authority.publish_bundle(1, 2, active=2)
    scene.wait_served(digest, epoch=2)


def test_killed_between_writing_and_reloading_is_repaired_by_the_next_start(scene: Scene) -> None:
    site, authority = scene.sites[0], scene.authority
    # Without the process id the keeper writes the files and cannot signal: then it is killed.
    hidden = site.pid_file.with_suffix(".hidden")
    site.pid_file.rename(hidden)
    written = len(site.events("files_written"))
    digest = authority.publish_bundle(2, active=2)
    wait_until("files are written", lambda: len(site.events("files_written")) > written)
    site.kill_keeper()
    hidden.rename(site.pid_file)
    assert frozenset(probes(scene)[0].ca_names) == authority.names(1, 2)
    site.start_keeper()
    scene.wait_served(digest, epoch=2, seconds=10)
    assert names_listed(scene) == {authority.names(2)}


def test_policy_change_is_proven_by_the_leaf_written_with_it(scene: Scene) -> None:
    site = scene.sites[0]
    before = scene.attested(site)
    assert before is not None
    scene.authority.publish_policy("gatekeeper")
    version = scene.authority.versions["broker/policy"]

    def is_in_force() -> bool:
        found = scene.attested(site)
        return found is not None and found.policy_version == version and found.is_served

    wait_until("the policy is served", is_in_force)
    after = scene.attested(site)
    assert after is not None
    assert after.leaf != before.leaf
    assert "/gatekeeper" not in (site.managed / "broker.conf").read_text()


def test_damaged_files_are_repaired(scene: Scene) -> None:
    site = scene.sites[1]
    (site.managed / "tls.key").write_text("garbage")
    wait_until("the key is whole", lambda: "PRIVATE" in (site.managed / "tls.key").read_text())
    key, leaf = (site.managed / "tls.key").read_text(), (site.managed / "tls.crt").read_text()
    assert x509.tls_identity(leaf, key).fingerprint


def test_private_files_are_readable_by_their_owner_only(scene: Scene) -> None:
    for path in scene.sites[0].managed.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path


def test_server_restarts_while_openbao_is_away(scene: Scene) -> None:
    site = scene.sites[2]
    assert site.server is not None
    scene.bao.processes[0].kill()
    wait_until("the keeper says so", lambda: "OpenBao has not answered" in readiness(site), 15)
    site.server.kill()
    site.start_server()
    wait_until("the server is back", lambda: site.pid_file.exists() and site.server is not None)
    digest = scene.authority.bundle(2, active=2).digest

    def listens() -> bool:
        result = asyncio.run(probe(LOOPBACK, site.port))
        return result.error is None

    wait_until("it serves", listens)
    scene.bao.start_node(0)
    scene.bao.wait_active()
    wait_until("the keeper is content", lambda: readiness(site) == "ok\n", 20)
    assert scene.serves(site, digest)


def test_keeper_logs_neither_keys_nor_tokens(scene: Scene) -> None:
    token = next(scene.bao.directory.glob("test-*.token")).read_text()
    for site in scene.sites:
        text = site.log.read_text()
        assert "PRIVATE KEY" not in text
        assert token not in text
        assert all(json.loads(line) for line in text.splitlines() if line.startswith("{"))


def test_metrics_count_down_the_leaf(scene: Scene) -> None:
    with urllib.request.urlopen(f"{scene.sites[0].health_url}/metrics", timeout=3) as answer:  # noqa: S310
        text = answer.read().decode()
    line = next(
        line for line in text.splitlines() if line.startswith("securetransport_keeper_leaf_seconds")
    )
    assert 0 < float(line.split()[1]) <= 90
