# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How every module ends: one outcome, or one error.

A module's work is a function that returns an :class:`Outcome`; :func:`run` turns it into
``exit_json`` and every :class:`PlatformError` into ``fail_json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a module did, or would do in check mode.

    Attributes:
        changed: Whether something is, or would be, different now.
        before: Fields as they were, those that change only; a text for policies.
        after: The same fields as they are now.
        facts: Values the module returns; never secrets.
    """

    changed: bool
    before: Mapping[str, Any] | str = field(default_factory=dict)
    after: Mapping[str, Any] | str = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


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


def run(module: AnsibleModule, work: Callable[[AnsibleModule], Outcome]) -> None:
    """Carry out ``work`` and end the module with its outcome or its error."""
    try:
        outcome = work(module)
    except PlatformError as err:
        module.fail_json(msg=err.message, **err.fields)
    result: dict[str, Any] = {"changed": outcome.changed, **outcome.facts}
    if outcome.changed:
        result["diff"] = {"before": outcome.before, "after": outcome.after}
    module.exit_json(**result)
