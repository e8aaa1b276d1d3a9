"""A picture of a rotation being watched: what ``make status`` shows, as SVG without a network."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from demo.rotation import Rotation
from securetransport.cli import view

_COLUMNS = 118
# As rich's own, without fonts from elsewhere: the reader's monospace font does.
_FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}"
 xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
  line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(rotation: Rotation, told: Sequence[str]) -> str:
    """Return the status at the moment of activation, and below it what was told, as SVG."""
    console = Console(
        record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(view.render(dict(rotation.status)))
    for line in told:
        console.print(line, highlight=False, markup=False, style="bold" if line[0] != " " else "")
    return console.export_svg(
        title="a rotation under load, as `make try` shows it",
        code_format=_FRAME,
        unique_id="securetransport",
    )


def write(svg: str, *paths: Path) -> None:
    """Write the picture to each path."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", "utf-8")
