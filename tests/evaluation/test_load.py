from __future__ import annotations

from pathlib import Path

from evaluation.load import LoadControl
from securetransport_examples.gatekeeper.service import LoadOrder, read_order

CONFIGURED = LoadOrder(5.0, stop=False)


def test_the_gatekeeper_reads_what_was_ordered(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    control = LoadControl(path)
    control.order(200.0)
    assert read_order(path, CONFIGURED).wanted == 200
    control.order(0)
    assert read_order(path, CONFIGURED).wanted == 0
    control.release()
    assert read_order(path, CONFIGURED) is CONFIGURED
