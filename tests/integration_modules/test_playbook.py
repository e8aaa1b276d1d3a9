# SPDX-License-Identifier: Apache-2.0
"""One task per kind of module through ``ansible-playbook``: the way in is Ansible's, not ours."""

from __future__ import annotations

from pathlib import Path

from conftest import NatsLab, OpenBaoLab
from module_lab import Ansible, Task, free_port


def test_modules_run_in_a_playbook_in_check_mode_and_for_real(
    ansible: Ansible, openbao: OpenBaoLab, nats: NatsLab, tmp_path: Path
) -> None:
    mount = openbao.options(path="playbook", type="transit")
    stream = {"name": "PLAYBOOK", "subjects": ["playbook.>"]}
    layout = nats.options(streams=[stream], consumers=[])
    key = {"key_file": str(tmp_path / "administrator.key")}
    tasks: list[Task] = [
        (module, options, is_check)
        for module, options in (
            ("openbao_mount", mount),
            ("nats_layout", layout),
            ("administrator_key", key),
        )
        for is_check in (True, False)
    ]
    tasks.append(("ports_info", {"ports": [free_port()]}, True))
    tasks.append(("openbao_mount", {**mount, "type": "kv"}, False))
    results = ansible.playbook(tasks)
    assert [result["changed"] for result in results[:6]] == [True, True] * 3
    assert "type is 'transit' and cannot be changed" in results[-1]["msg"]
