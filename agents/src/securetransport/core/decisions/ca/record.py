"""The rotation record: what the authority remembers of every CA epoch; compare-and-swap only.

The record says what was decided; OpenBao, the servers and the members say what is. Every intent is
written here first, and carried out afterwards: a crash between the two is seen as a difference. So
``planned`` is the intent to make an issuer, and fixes its name, before OpenBao is touched;
``prepared`` says that it is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RotationError
from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.body import Base64Bytes, Document, Epoch
from securetransport.core.formats.trust_bundle import TRUSTED_STATES, EpochState, RenewalWindow

_CANDIDATE = frozenset(
    {EpochState.PLANNED, EpochState.PREPARED, EpochState.DISTRIBUTED, EpochState.CONFIRMED}
)
_FINISHED = frozenset({EpochState.DESTROYED})
_MAX_FINISHED = 12
_MAX_EXCUSES = 20

_ALLOWED: dict[EpochState, frozenset[EpochState]] = {
    EpochState.PLANNED: frozenset({EpochState.PREPARED, EpochState.ABANDONED}),
    EpochState.PREPARED: frozenset({EpochState.DISTRIBUTED, EpochState.ABANDONED}),
    EpochState.DISTRIBUTED: frozenset({EpochState.CONFIRMED, EpochState.LEGACY}),
    EpochState.CONFIRMED: frozenset({EpochState.ACTIVE, EpochState.LEGACY}),
    EpochState.ACTIVE: frozenset({EpochState.LEGACY}),
    EpochState.LEGACY: frozenset({EpochState.RETIRED}),
    EpochState.RETIRED: frozenset({EpochState.DESTROYED}),
    EpochState.ABANDONED: frozenset({EpochState.DESTROYED}),
    EpochState.DESTROYED: frozenset(),
}
"""Transitions that exist. An epoch that was distributed but overtaken becomes ``legacy``: it is
trusted and issues nothing, and leaves like any other."""


class Issuer(Document):
    """The intermediate of an epoch, as OpenBao holds it.

    Attributes:
        issuer_id: OpenBao's id of the issuer.
        certificate: Its DER.
        fingerprint: SHA-256 of the DER, hex.
        common_name: ``nats-int e<epoch> <key digest>``.
        not_before: Start of validity.
        not_after: End of validity.
    """

    issuer_id: str
    certificate: Base64Bytes
    fingerprint: Fingerprint
    common_name: str
    not_before: AwareDatetime
    not_after: AwareDatetime


class Transition(Document):
    """One change of state with its instant."""

    state: EpochState
    at: AwareDatetime


class CaEpoch(Document):
    """One CA epoch.

    Attributes:
        epoch: Its number.
        attempt: Rises when a preparation was given up; part of the issuer's name in OpenBao.
        state: Where it stands.
        history: Every transition, oldest first.
        issuer: Known from ``prepared`` on.
    """

    epoch: Epoch
    attempt: int
    state: EpochState
    history: tuple[Transition, ...]
    issuer: Issuer | None = None

    @property
    def issuer_name(self) -> str:
        """Return the unique name of the issuer in OpenBao."""
        return f"e{self.epoch}-a{self.attempt}"

    def entered(self, state: EpochState) -> datetime | None:
        """Return when the epoch entered ``state``, ``None`` if it never did."""
        return next((step.at for step in self.history if step.state is state), None)

    def moved(self, state: EpochState, at: datetime, issuer: Issuer | None = None) -> CaEpoch:
        """Return the epoch in its next state.

        Raises:
            RotationError: There is no such transition.
        """
        if state not in _ALLOWED[self.state]:
            raise RotationError(
                f"no transition from {self.state} to {state}",
                kind="ca",
                epoch=self.epoch,
                step=state,
            )
        return self.model_copy(
            update={
                "state": state,
                "history": (*self.history, Transition(state=state, at=at)),
                "issuer": issuer or self.issuer,
            }
        )


class Holder(Document):
    """Who may change the record.

    Attributes:
        instance: The authority's instance id.
        boot_id: Random per process.
        accessor: Accessor of its OpenBao token; a take-over by another token revokes it first.
        renewed_at: Last sign of life.
    """

    instance: str
    boot_id: str
    accessor: str
    renewed_at: AwareDatetime


class Excuse(Document):
    """A gate that was passed without its evidence, by name, because the deadline was reached."""

    epoch: Epoch
    step: str
    missing: tuple[str, ...]
    at: AwareDatetime


class RotationRecord(Document):
    """Everything the authority remembers.

    Attributes:
        incarnation: Rises after a restore from a snapshot; nothing raises it yet, but records that
            are stored have it, and a record with an unknown field would be refused.
        holder: Who acts, ``None`` before the first.
        epochs: Live epochs and the last finished ones, by rising number and attempt.
        renewal: The renewal window announced last.
        completed: Activations that replaced an earlier active epoch.
        excuses: The last gates passed at the deadline.
    """

    incarnation: int = 0
    holder: Holder | None = None
    epochs: tuple[CaEpoch, ...] = ()
    renewal: RenewalWindow | None = None
    completed: int = 0
    excuses: tuple[Excuse, ...] = ()

    def live(self) -> tuple[CaEpoch, ...]:
        """Return the epochs that are not finished, by rising number."""
        return tuple(entry for entry in self.epochs if entry.state not in _FINISHED)

    def in_states(self, states: Iterable[EpochState]) -> tuple[CaEpoch, ...]:
        """Return the live epochs in one of ``states``, by rising number."""
        wanted = frozenset(states)
        return tuple(entry for entry in self.live() if entry.state in wanted)

    @property
    def active(self) -> CaEpoch | None:
        """Return the signing epoch."""
        found = self.in_states({EpochState.ACTIVE})
        return found[-1] if found else None

    @property
    def candidate(self) -> CaEpoch | None:
        """Return the epoch on its way to activation; the newest, if a crash left several."""
        active = self.active
        found = [
            entry
            for entry in self.in_states(_CANDIDATE)
            if active is None or entry.epoch > active.epoch
        ]
        return found[-1] if found else None

    @property
    def is_demoted(self) -> bool:
        """Tell whether the active epoch's renewal window was announced (rule 4 of ``decide``)."""
        active = self.active
        return (
            active is not None and self.renewal is not None and self.renewal.epoch == active.epoch
        )

    def is_cold(self, now: datetime) -> bool:
        """Tell whether no issuer that ever signed is still valid (rule 8 of ``decide``)."""
        return not any(
            entry.issuer is not None
            and entry.entered(EpochState.ACTIVE) is not None
            and now < entry.issuer.not_after
            for entry in self.epochs
        )

    @property
    def trusted(self) -> tuple[CaEpoch, ...]:
        """Return the epochs whose leaf certificates are accepted, by rising number."""
        return self.in_states(TRUSTED_STATES)

    def find(self, epoch: EpochNumber) -> CaEpoch | None:
        """Return the newest attempt of ``epoch``."""
        found = [entry for entry in self.epochs if entry.epoch == epoch]
        return found[-1] if found else None

    def planned(self, epoch: EpochNumber, at: datetime) -> RotationRecord:
        """Return the record with a new attempt at ``epoch``, in state ``planned``."""
        before = self.find(epoch)
        entry = CaEpoch(
            epoch=epoch,
            attempt=before.attempt + 1 if before else 1,
            state=EpochState.PLANNED,
            history=(Transition(state=EpochState.PLANNED, at=at),),
        )
        return self._with((*self.epochs, entry))

    def replaced(self, changed: CaEpoch) -> RotationRecord:
        """Return the record with one epoch's attempt exchanged."""
        return self._with(
            tuple(
                changed
                if (entry.epoch, entry.attempt) == (changed.epoch, changed.attempt)
                else entry
                for entry in self.epochs
            )
        )

    def excused(self, excuse: Excuse) -> RotationRecord:
        """Return the record with one more excuse, keeping the newest ones."""
        return self.model_copy(update={"excuses": (*self.excuses, excuse)[-_MAX_EXCUSES:]})

    def _with(self, epochs: tuple[CaEpoch, ...]) -> RotationRecord:
        ordered = sorted(epochs, key=lambda entry: (entry.epoch, entry.attempt))
        finished = [entry for entry in ordered if entry.state in _FINISHED][-_MAX_FINISHED:]
        kept = [entry for entry in ordered if entry.state not in _FINISHED or entry in finished]
        return self.model_copy(update={"epochs": tuple(kept)})


def lease_is_free(record: RotationRecord, instance: str, now: datetime, lease: timedelta) -> bool:
    """Tell whether ``instance`` may become the holder.

    A restarted process of the same instance may at once: its supervisor runs one at a time.
    """
    holder = record.holder
    return holder is None or holder.instance == instance or holder.renewed_at + lease <= now
