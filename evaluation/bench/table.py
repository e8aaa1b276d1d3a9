"""How the bench's figures are shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from evaluation.bench.figures import Comparison, Sample

_COLUMNS = ("messages", "asked", "per s", "publish", "servers", "receive", "ledger", "sum", "batch")


def samples(found: Sequence[Sample]) -> Table:
    """Return one row for each sample; CPU in milliseconds per message."""
    table = Table(
        *_COLUMNS, title="CPU milliseconds per message, by stage", title_justify="left", box=None
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for one in found:
        table.add_row(
            one.mode,
            "full" if one.wanted_rate < 0 else f"{one.wanted_rate:.0f}/s",
            f"{one.per_second:.0f}",
            *(
                f"{value:.2f}"
                for value in (
                    one.publish_ms,
                    one.servers_ms,
                    one.receive_ms,
                    one.ledger_ms,
                    one.total_ms,
                )
            ),
            f"{one.batch:.1f}" if one.batch else "",
        )
    return table


def ratios(found: Sequence[Sample], sign_ms: float, verify_ms: float) -> list[str]:
    """Return protected against plain at each load, and signatures alone, in lines."""
    lines = []
    for protected in (one for one in found if one.mode == "protected"):
        plain = _same_load(found, protected)
        if plain is None:
            continue
        asked = "full speed" if protected.wanted_rate < 0 else f"{protected.wanted_rate:.0f}/s"
        cpu = plain.total_ms / protected.total_ms
        text = f"{asked}: plain costs {cpu:.0%} of the CPU of protected"
        if protected.wanted_rate < 0:
            text += f"; protected reaches {protected.per_second / plain.per_second:.0%} of plain"
        lines.append(text)
    lines.append(
        f"signing alone {sign_ms:.2f} ms, verifying alone {verify_ms:.2f} ms; a message bears"
        " its share of a signature, see batch"
    )
    return lines


def comparison(name: str, found: Comparison) -> str:
    """Return one line about a figure in pairs of runs."""
    return (
        f"{name}: ratio {found.middle:.3f} (90 % interval {found.low:.3f} to {found.high:.3f},"
        f" pairs {min(found.ratios):.2f} to {max(found.ratios):.2f}, n={len(found.ratios)})"
    )


def _same_load(found: Sequence[Sample], protected: Sample) -> Sample | None:
    return next(
        (one for one in found if one.mode == "plain" and one.wanted_rate == protected.wanted_rate),
        None,
    )
