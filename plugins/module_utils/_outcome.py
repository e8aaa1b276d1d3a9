# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backend did: one :class:`Outcome`, whichever server or file it was about.

A backend is a function ``ensure_x(client, spec, check_mode) -> Outcome``. It takes a client of one
server and a frozen description of what is wanted, knows nothing of Ansible, and raises
:class:`PlatformError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._errors import PlatformError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, or would be done in check mode.

    Attributes:
        changed: Whether something is, or would be, different now.
        before: Fields as they were, those that change only; a text for policies.
        after: The same fields as they are now.
        facts: Values that the module returns; never secrets.
        diffs: Differences of several files, one each, in place of ``before`` and ``after``.
    """

    changed: bool
    before: Mapping[str, Any] | str = field(default_factory=dict)
    after: Mapping[str, Any] | str = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    diffs: Sequence[Mapping[str, str]] = ()


def reconcile(
    current: Mapping[str, Any] | None,
    wanted: Mapping[str, Any] | None,
    *,
    apply: Callable[[], object],
    check_mode: bool,
) -> Outcome:
    """Compare an object with what is wanted and call ``apply`` once if they differ.

    Args:
        current: The object as the server has it; ``None`` when it does not exist.
        wanted: Fields that must hold, in the server's own form; ``None`` when it must not exist.
            Fields of ``current`` that are not named here are left alone.
        apply: Makes the difference; not called in check mode.
        check_mode: Whether only to tell.
    """
    if wanted is None:
        before, after = dict(current or {}), {}
        changed = current is not None
    else:
        known = current or {}
        changes = {
            name: value
            for name, value in wanted.items()
            if current is None or known.get(name) != value
        }
        before = {name: known[name] for name in changes if name in known}
        after = changes
        changed = current is None or bool(changes)
    if changed and not check_mode:
        apply()
    return Outcome(changed=changed, before=before, after=after)


Step = tuple[str, Callable[[bool], Outcome]]
"""Name of an object in results and errors, and what ensures it, given whether only to tell."""


def ensure_each(steps: Callable[[], Iterable[Step]], check_mode: bool) -> Outcome:
    """Ensure one object after the other.

    All of them are compared before the first one is changed, so that what a server cannot change
    is an error while nothing has been changed yet.

    Args:
        steps: Returns the objects in their order; called once to compare and once to change.
        check_mode: Whether only to tell.

    Raises:
        PlatformError: One cannot be done; the text begins with its name.
    """
    outcome = _walk(steps(), check_mode=True)
    if outcome.changed and not check_mode:
        outcome = _walk(steps(), check_mode=False)
    return outcome


def _walk(steps: Iterable[Step], *, check_mode: bool) -> Outcome:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for what, ensure in steps:
        try:
            outcome = ensure(check_mode)
        except PlatformError as err:
            raise PlatformError(f"{what}: {err.message}", **err.fields) from err
        if outcome.changed:
            before[what], after[what] = outcome.before, outcome.after
    facts = {"changed_objects": sorted(after)}
    return Outcome(changed=bool(after), before=before, after=after, facts=facts)
