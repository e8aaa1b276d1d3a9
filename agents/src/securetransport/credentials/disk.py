"""What one member's renewal keeps on the disk: the secret-id, the opened one, and what is known.

Every file is private and replaced as a whole. The order of the writes is the caller's: it is what
makes a crash harmless.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports import Files

_LONGEST: Final = 512


class _Known(BaseModel):
    """What is known of the secret-id whose digest it names; holds no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    since: AwareDatetime
    accessor: str | None = None
    handover: str | None = None
    expires_at: AwareDatetime | None = None
    is_stated: bool = False
    is_refused: bool = False


class Opened(BaseModel):
    """A secret-id that came out of its wrapping and is not yet in its place.

    Attributes:
        secret_id: The secret.
        accessor: Its accessor.
        handover: Of the offer.
        expires_at: When it ends; ``None`` for never.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret_id: str = Field(repr=False, min_length=1, max_length=_LONGEST)
    accessor: str
    handover: str
    expires_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of one member lie.

    Attributes:
        role_id: The role-id.
        secret_id: The secret-id that the bao agent reads.
        state: What is known of it; the opened one lies beside, with ``.next`` behind its name.
    """

    role_id: Path
    secret_id: Path
    state: Path

    @property
    def opened(self) -> Path:
        """Where an opened secret-id waits."""
        return self.state.with_name(self.state.name + ".next")


@dataclass
class Disk:
    """Reads and writes the files of one member."""

    files: Files
    place: Place
    _known: _Known | None = field(default=None, repr=False)

    def role_id(self) -> str:
        """Return the role-id.

        Raises:
            SecureTransportError: Ansible has delivered none.
        """
        return self._text(self.place.role_id)

    def secret_id(self) -> str | None:
        """Return the secret-id in its place, ``None`` when there is none."""
        try:
            return self._text(self.place.secret_id)
        except SecureTransportError:
            return None

    def known(self, secret_id: str) -> _Known | None:
        """Return what is known of this very secret-id."""
        if self._known is None:
            data = self.files.read(self.place.state)
            try:
                self._known = _Known.model_validate_json(data) if data else None
            except ValidationError:
                self._known = None
        digest = _digest(secret_id)
        return self._known if self._known and self._known.digest == digest else None

    def remember(  # noqa: PLR0913  # one keyword per fact
        self,
        secret_id: str,
        *,
        since: datetime,
        accessor: str | None = None,
        handover: str | None = None,
        expires_at: datetime | None = None,
        is_stated: bool = False,
        is_refused: bool = False,
    ) -> None:
        """Write what is known of a secret-id."""
        known = _Known(
            digest=_digest(secret_id),
            since=since,
            accessor=accessor,
            handover=handover,
            expires_at=expires_at,
            is_stated=is_stated,
            is_refused=is_refused,
        )
        self.files.write(self.place.state, known.model_dump_json())
        self._known = known

    def stated(self) -> None:
        """Write that the authority was told."""
        if self._known is not None:
            known = self._known.model_copy(update={"is_stated": True})
            self.files.write(self.place.state, known.model_dump_json())
            self._known = known

    def forget(self) -> None:
        """Look at the secret-id in its place anew."""
        self.files.remove(self.place.state)
        self._known = None

    def opened(self) -> Opened | None:
        """Return the opened secret-id, ``None`` when there is none that can be read."""
        data = self.files.read(self.place.opened)
        try:
            return Opened.model_validate_json(data) if data else None
        except ValidationError:
            return None

    def put_opened(self, opened: Opened) -> None:
        """Keep an opened secret-id."""
        self.files.write(self.place.opened, json.dumps(opened.model_dump(mode="json")))

    def try_room(self) -> None:
        """Write as much as an opened secret-id needs, and nothing that means one.

        Raises:
            SecureTransportError: The disk takes nothing.
        """
        self.files.write(self.place.opened, " " * _LONGEST)

    def drop_opened(self) -> None:
        """Forget the opened secret-id."""
        self.files.remove(self.place.opened)

    def put_secret_id(self, secret_id: str) -> None:
        """Put a secret-id in its place."""
        self.files.write(self.place.secret_id, secret_id)

    def _text(self, path: Path) -> str:
        data = self.files.read(path)
        try:
            text = data.decode("ascii").strip() if data is not None else ""
        except UnicodeDecodeError:
            text = ""
        if not text or len(text) > _LONGEST:
            raise SecureTransportError("file holds no half of an AppRole", path=path)
        return text


def _digest(secret_id: str) -> str:
    return hashlib.sha256(secret_id.encode()).hexdigest()
