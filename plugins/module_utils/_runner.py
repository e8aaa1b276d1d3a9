# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only place besides the modules that knows Ansible: options in, one result or error out.

A module is documentation, its options, and one call of :func:`run_local` or :func:`run_remote`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from ansible.module_utils.basic import AnsibleModule

from ._access import Access
from ._errors import PlatformError
from ._outcome import Outcome

Client = TypeVar("Client")
Spec = TypeVar("Spec")

STATE: Final = {"type": "str", "choices": ["present", "absent"], "default": "present"}


def spec_of(kind: Callable[..., Spec], options: Mapping[str, Any]) -> Spec:
    """Return the description ``kind``, a dataclass, filled from the options of the same names."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # it is a dataclass
    return kind(**{name: value for name, value in options.items() if name in names})


def run_local(
    options: dict[str, Any],
    ensure: Callable[[Spec, bool], Outcome],
    make: Callable[[Mapping[str, Any]], Spec],
) -> None:
    """Run a module that needs no server.

    Args:
        options: The module's options.
        ensure: The backend; gets what ``make`` made and whether only to tell.
        make: Makes the description of what is wanted from the options that were given.
    """
    module = AnsibleModule(options, supports_check_mode=True)
    _run(module, lambda: ensure(make(module.params), module.check_mode))


def run_remote(
    access: Access[Client],
    options: dict[str, Any],
    ensure: Callable[[Client, Spec, bool], Outcome],
    make: Callable[[Mapping[str, Any]], Spec],
    **module_options: Any,
) -> None:
    """Run a module that talks to a server.

    Args:
        access: How to reach it.
        options: The module's options beyond those of ``access``.
        ensure: The backend; gets the client, what ``make`` made and whether only to tell.
        make: Makes the description of what is wanted from the options that were given.
        module_options: More arguments for Ansible's module, such as ``required_if``.
    """
    spec = {**access.options, **options}
    module = AnsibleModule(spec, supports_check_mode=True, **access.rules, **module_options)

    def work() -> Outcome:
        wanted = make(module.params)
        with access.open(module.params, module.no_log_values.add) as client:
            return ensure(client, wanted, module.check_mode)

    _run(module, work)


def _run(module: AnsibleModule, work: Callable[[], Outcome]) -> None:
    """Carry out ``work`` and end the module with its outcome or its error."""
    try:
        outcome = work()
    except PlatformError as err:
        module.fail_json(msg=err.message, **err.fields)
    except OSError as err:
        # Files and folders of the host that no backend expected to be like that.
        module.fail_json(msg=f"{err.filename or 'this host'}: {err.strerror or err}")
    result: dict[str, Any] = {"changed": outcome.changed, **outcome.facts}
    if outcome.changed:
        result["diff"] = outcome.diffs or {"before": outcome.before, "after": outcome.after}
    module.exit_json(**result)
