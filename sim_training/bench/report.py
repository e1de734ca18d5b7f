# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements as JSON or as tables on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

Value = str | int | float | None
Row = Mapping[str, Value]


def print_values(values: Row, as_json: bool) -> None:
    """Print one set of measurements."""
    if as_json:
        print(json.dumps(values, indent=1))
        return
    table = Table()
    table.add_column("measure")
    table.add_column("value", justify="right")
    for name, value in values.items():
        table.add_row(name, _shown(value))
    Console().print(table)


def print_rows(machine: Row, rows: Sequence[Row], as_json: bool) -> None:
    """Print the machine's peak, then a table whose columns are the keys of the first row."""
    if as_json:
        print(json.dumps({"machine": machine, "rows": rows}, indent=1))
        return
    print_values(machine, as_json=False)
    table = Table()
    for index, name in enumerate(rows[0]):
        left = index < 2
        table.add_column(name.replace("_", " "), justify="left" if left else "right", no_wrap=left)
    for row in rows:
        table.add_row(*[_shown(value) for value in row.values()])
    Console(width=max(120, Console().width)).print(table)


def _shown(value: Value) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
