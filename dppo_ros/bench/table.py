# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plain tables for the terminal and for documents, and the same numbers as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Cell: TypeAlias = str | int | float | bool | None
Row: TypeAlias = Mapping[str, Cell]


def shown(value: Cell) -> str:
    """Return a value as people read it: three digits that count, a dash for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def text_table(rows: Sequence[Row]) -> str:
    """Return rows as aligned text; the columns are the keys of the first row."""
    if not rows:
        return "(nothing measured)"
    cells = [list(rows[0]), *([shown(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
             for line in cells]  # fmt: skip
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown_table(rows: Sequence[Row]) -> str:
    """Return rows as a table of a Markdown document."""
    if not rows:
        return "(nothing measured)"
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[shown(value).replace("|", "\\|") for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_json(path: Path, machine: Mapping[str, str], result: Mapping[str, object]) -> None:
    """Write the numbers of a measurement and the machine they are from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, **result}, indent=1, allow_nan=True) + "\n")
