"""The authority's public keys that a member pins, and the file they come in.

Ansible puts the file ``authority-keys.json`` on every host; it is public, but whoever can change it
decides whom the host believes. Format (docs/wire-format.md, "Pinned authority keys")::

    {"keys": [
      {"key_id": "authority-signing:v1", "algorithm": "ML-DSA-65", "public_key": "<base64>"}
    ]}

The key id is the name of the transit key and its version, so a new version is a new entry.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from securetransport.core.base.errors import ConfigError, UnknownKeyError
from securetransport.core.crypto import signing
from securetransport.core.formats.body import Base64Bytes

# Names of transit's key types: their signatures are FIPS 204 with an empty context.
_TRANSIT_ALGORITHMS: Final = {"mldsa-65": signing.ML_DSA_65, "mldsa-87": signing.ML_DSA_87}


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key_id: str
    algorithm: str
    public_key: Base64Bytes


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[_Entry]


def authority_key_id(name: str, version: int) -> str:
    """Return the key id of one version of a transit key, ``<name>:v<version>``."""
    return f"{name}:v{version}"


@dataclass(frozen=True)
class AuthorityKeys:
    """Pinned public keys.

    Attributes:
        keys: Key id to (algorithm, raw public key).
    """

    keys: Mapping[str, tuple[str, bytes]]

    def lookup(self, key_id: str) -> tuple[str, bytes]:
        """Return algorithm and public key; made for ``documents.verify_document``.

        Raises:
            UnknownKeyError: The key is not pinned.
        """
        try:
            return self.keys[key_id]
        except KeyError as err:
            raise UnknownKeyError("authority key is not pinned", key_id=key_id) from err

    def merged(self, other: AuthorityKeys) -> AuthorityKeys:
        """Return the keys of both, for example of several transit keys.

        Raises:
            ConfigError: Both have a key id with different keys.
        """
        problems = [
            f"authority key {key_id!r} is given twice with different keys"
            for key_id in sorted(set(self.keys) & set(other.keys))
            if self.keys[key_id] != other.keys[key_id]
        ]
        if problems:
            raise ConfigError(problems)
        return AuthorityKeys({**self.keys, **other.keys})

    def to_json(self) -> str:
        """Return the file's text: sorted, so that the same keys are the same bytes."""
        entries = [
            {
                "key_id": key_id,
                "algorithm": algorithm,
                "public_key": base64.b64encode(public_key).decode("ascii"),
            }
            for key_id, (algorithm, public_key) in sorted(self.keys.items())
        ]
        return json.dumps({"keys": entries}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> AuthorityKeys:
        """Parse the file's text.

        Raises:
            ConfigError: One line per wrong field; no key at all is wrong too.
        """
        try:
            entries = _File.model_validate_json(text).keys
        except ValidationError as err:
            raise ConfigError(
                [
                    f"authority keys: {'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}"
                    for item in err.errors()
                ]
            ) from err
        if not entries:
            raise ConfigError(
                ["authority keys: keys: no key is pinned, so nothing can be verified"]
            )
        keys: dict[str, tuple[str, bytes]] = {}
        problems: list[str] = []
        for index, entry in enumerate(entries):
            where = f"authority keys: keys.{index}"
            problems += _entry_problems(where, entry.algorithm, entry.public_key)
            if entry.key_id in keys:
                problems.append(f"{where}.key_id: {entry.key_id!r} appears twice")
            keys[entry.key_id] = (entry.algorithm, entry.public_key)
        if problems:
            raise ConfigError(problems)
        return cls(keys)

    @classmethod
    def from_transit(cls, key: Mapping[str, Any]) -> AuthorityKeys:
        """Return all versions of a transit key.

        Args:
            key: The ``data`` of ``GET transit/keys/<name>``.

        Raises:
            ConfigError: The key is not ML-DSA, or the answer has no public keys.
        """
        name, algorithm = key.get("name"), _TRANSIT_ALGORITHMS.get(str(key.get("type")))
        if algorithm is None:
            raise ConfigError([f"transit key {name!r} is of type {key.get('type')!r}, not ML-DSA"])
        keys: dict[str, tuple[str, bytes]] = {}
        problems: list[str] = []
        for version, facts in key.get("keys", {}).items():
            key_id = authority_key_id(str(name), int(version))
            try:
                public_key = base64.b64decode(facts["public_key"], validate=True)
            except (KeyError, TypeError, ValueError):
                problems.append(f"transit key {key_id}: public_key is missing or not base64")
                continue
            problems += _entry_problems(f"transit key {key_id}", algorithm, public_key)
            keys[key_id] = (algorithm, public_key)
        if problems or not keys:
            raise ConfigError(problems or [f"transit key {name!r} has no versions"])
        return cls(keys)


def _entry_problems(where: str, algorithm: str, public_key: bytes) -> list[str]:
    expected = signing.PUBLIC_KEY_BYTES.get(algorithm)
    if expected is None:
        known = ", ".join(signing.PUBLIC_KEY_BYTES)
        return [f"{where}.algorithm: {algorithm!r} is unknown; known: {known}"]
    if len(public_key) != expected:
        return [f"{where}.public_key: has {len(public_key)} bytes, {algorithm} has {expected}"]
    return []
