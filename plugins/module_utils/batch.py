# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of several modules in one module run, because starting a module costs more than it does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome


class Batch:
    """Carries out one object after the other and remembers what changed.

    Args:
        module: Whose connection, login and check mode all of them share.
    """

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._before: dict[str, Any] = {}
        self._after: dict[str, Any] = {}

    def ensure(
        self, what: str, work: Callable[[AnsibleModule], Outcome], **options: Any
    ) -> Outcome:
        """Do what the module for one such object would do with these options.

        Args:
            what: Name of the object in results and errors.
            work: What that module does.
            options: Its options beyond those of the connection.

        Raises:
            PlatformError: It cannot be done; the text begins with ``what``.
        """
        part = copy.copy(self._module)
        part.params = {**self._module.params, "state": "present", **options}
        try:
            outcome = work(part)
        except PlatformError as err:
            raise PlatformError(f"{what}: {err.message}", **err.fields) from err
        if outcome.changed:
            self._before[what] = _plain(outcome.before)
            self._after[what] = _plain(outcome.after)
        return outcome

    def outcome(self, **facts: Any) -> Outcome:
        """Return everything that changed, and ``facts``."""
        return Outcome(
            changed=bool(self._after),
            before=self._before,
            after=self._after,
            facts={"changed_objects": sorted(self._after), **facts},
        )


def _plain(value: Mapping[str, Any] | str) -> Any:
    return value if isinstance(value, str) else dict(value)
