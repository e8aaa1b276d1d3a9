"""What one reader of a value accepts, every other reader accepts: ACL, roles, modules, agents."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from securetransport.core.acl import load_acl
from securetransport.core.base import names
from securetransport.core.base.errors import ConfigError
from securetransport.keeper.settings import ServerSection
from securetransport.runtime import sections

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "roles" / "preflight" / "files" / "package.py"


def _preflight() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preflight_package", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PREFLIGHT = _preflight()
# What looks like a value, and what looks like one at first sight.
ODD = st.sampled_from(
    ["", " ", "\n", "a", "a\n", "\na", "a b", "A", "a_b", "a--b", "-a", "a-", "a.b", "a/b",
     "\u00fc", "\u0664", "\uff11", "1", "01", "0", "65535", "65536", "-1", "1.0", "1e3", "true",
     "admin", "metadata", "root", "a" * 40, "a" * 41, "a" * 64, "a.test", "A.test", "a..test", ".",
     "127.0.0.1", "256.0.0.1", "::1", "[::1]", "[::1", "::1%eth0", "localhost", "90s", "1h30m",
     "5 m", "0.5", "nan", "inf", "1_000"]
)  # fmt: skip
TEXTS = st.one_of(ODD, st.text(max_size=45), st.from_regex(r"[a-z0-9.:\[\]-]{1,45}"))
NUMBERS = st.one_of(st.booleans(), st.integers(), st.floats(), st.none(), st.integers(-2, 70_000))


def by_preflight(kind: str, value: object) -> bool:
    entry = {"name": "x", "kind": kind, "value": value}
    return not PREFLIGHT.value_problems([entry])


def by_settings(model: type[BaseModel], field: str, value: object, **others: object) -> bool:
    try:
        model.model_validate({**others, field: value})
    except ValidationError as error:
        return not any(item["loc"][:1] == (field,) for item in error.errors())
    return True


def by_acl(**changes: object) -> bool:
    document: dict[str, Any] = {
        "version": 1,
        "trust_domain": "a.test",
        "streams": {"S": {"subjects": ["a.>"], "max_age_seconds": 3600, "max_bytes": 1 << 20}},
        "topics": {"a.b": {"stream": "S"}},
        "services": {"one": {"produces": ["a.b"]}},
    }
    try:
        load_acl(json.dumps({**document, **changes}))
    except ConfigError:
        return False
    return True


@given(TEXTS)
def test_a_service_of_the_acl_is_one_of_roles_and_agents(text: str) -> None:
    accepted = by_preflight("service", text)
    assert by_settings(sections.IdentitySection, "service", text) == accepted
    is_free = text not in names.RESERVED_NAMES
    assert by_acl(services={text: {"produces": ["a.b"]}}) == (accepted and is_free)


@given(TEXTS)
def test_a_trust_domain_is_one_everywhere(text: str) -> None:
    accepted = by_preflight("trust_domain", text)
    assert by_settings(sections.IdentitySection, "trust_domain", text) == accepted
    assert by_acl(trust_domain=text) == accepted


@given(TEXTS)
def test_an_instance_is_one_everywhere(text: str) -> None:
    accepted = by_preflight("instance", text)
    assert by_settings(sections.IdentitySection, "instance", text) == accepted
    assert by_settings(ServerSection, "name", text) == by_preflight("server", text) == accepted


@given(st.sampled_from(["a", "a" * 24, "a" * 40]), st.sampled_from(["1", "b" * 39, "b" * 40]))
def test_service_and_instance_together_fit_a_certificate_everywhere(
    service: str, instance: str
) -> None:
    try:
        sections.IdentitySection(service=service, instance=instance)
        accepted = True
    except ValidationError:
        accepted = False
    assert by_preflight("identity", f"{service}/{instance}") == accepted


@given(st.one_of(TEXTS, NUMBERS))
def test_a_port_is_one_everywhere(value: object) -> None:
    if by_preflight("port", value):
        assert by_settings(sections.HealthSection, "port", int(str(value)))
        assert by_settings(ServerSection, "client_address", f"127.0.0.1:{value}")
    elif isinstance(value, int) and not isinstance(value, bool) and value != 0:
        # The role writes the number; 0 is for tests, any free port.
        assert not by_settings(sections.HealthSection, "port", value)
    if isinstance(value, bool):
        assert not by_settings(sections.HealthSection, "port", value)


@given(TEXTS, st.sampled_from([1, 4222, 65535]))
def test_a_host_that_a_role_takes_is_one_in_every_address(text: str, port: int) -> None:
    accepted = by_preflight("host", text)
    assert by_settings(ServerSection, "client_address", f"{text}:{port}") == accepted
    urls = (f"https://{text}:{port}",)
    assert by_settings(sections.OpenBaoSection, "addresses", urls) == accepted
    assert by_settings(sections.NatsSection, "servers", (f"tls://{text}:{port}",)) == accepted
    if accepted:
        assert by_settings(sections.HealthSection, "host", text)


@settings(max_examples=300)
@given(st.one_of(TEXTS, NUMBERS))
def test_a_duration_is_one_for_modules_and_agents(value: object) -> None:
    accepted = by_preflight("duration", value)
    overrides = {"ldm_deadline": value}
    assert by_settings(sections.ProfileSection, "overrides", overrides) == accepted


@pytest.mark.parametrize("field", ["max_age_seconds", "max_bytes"])
@given(value=st.one_of(st.booleans(), st.floats(), st.text(max_size=5), st.none()))
def test_a_size_that_jetstream_refuses_passes_no_acl(field: str, value: object) -> None:
    stream = {"subjects": ["a.>"], "max_age_seconds": 3600, "max_bytes": 1 << 20, field: value}
    assert not by_acl(streams={"S": stream})


def test_what_is_judged_is_what_the_role_asks_about() -> None:
    text = (ROOT / "roles" / "preflight" / "vars" / "main.yml").read_text(encoding="utf-8")
    kinds: set[str] = set()
    judge: Callable[[list[dict[str, object]]], list[str]] = PREFLIGHT.value_problems
    for part in text.split("'kind': '")[1:]:
        kinds.add(part.partition("'")[0])
    assert {"port", "host", "instance", "service", "duration", "trust_domain", "identity"} <= kinds
    for kind in kinds:
        assert judge([{"name": "x", "kind": kind, "value": "\n/"}]), kind
