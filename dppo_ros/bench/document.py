# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements that were written as JSON, as one document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppo_ros.bench.table import markdown_table
from dppo_ros.core.errors import ConfigError

_TITLE = """# Measurements of the running graph

Taken with `dppo-ros bench` on the twin in wall time, every process of the graph and the listener on
one machine. Written by `dppo-ros bench document`; `dppo-ros bench PART --help` says what the rows
mean. Numbers of other machines differ: run the commands on yours.
"""
NOTES = "## Notes\n"
"""Heading of what people add; it is kept when a document is written anew."""
SECTIONS = {
    "latency": (
        "From the stamp of an observation to the command",
        "Every action chunk followed from the stamp of its observation to the first command that "
        "it caused. Times are those at which the middleware of each node took its message; "
        "*policy node* and *command node* include the way of the message to them.",
    ),
    "stream": (
        "Command stream",
        "Jitter is the distance of each interval between two commands from the nominal 5 ms.",
    ),
    "soak": (
        "Endurance",
        "Episode after episode with new start states. Commands are judged by the monitor of the "
        "drills, which shares no code with the safety gate. Memory is judged after it has settled.",
    ),
}
"""Title and explanation of each part that a document can hold."""


def document(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the document.

    Args:
        parts: What ``--json`` wrote, by the name of the part.
    """
    lines = [_TITLE]
    for name, (title, text) in SECTIONS.items():
        if name not in parts:
            continue
        found = parts[name]
        lines.append(f"## {title}\n\n{text}\n")
        lines.append("```\n" + found.get("command", f"dppo-ros bench {name}") + "\n```\n")
        tables = [value for value in found.values() if isinstance(value, list)]
        lines.extend(markdown_table(rows) + "\n" for rows in tables)
        verdict = str(found.get("verdict", ""))
        lines.append(f"{verdict[:1].upper()}{verdict[1:]}.\n")
        facts = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
        lines.append(f"Machine: {facts}.\n")
    return "\n".join(lines)


def with_notes_of(text: str, old: Path) -> str:
    """Return a document with the notes at the end of the one that it replaces.

    Args:
        text: The new document.
        old: The old one; what follows its heading ``Notes`` was written by people.
    """
    if not old.is_file():
        return text
    _, heading, notes = old.read_text().partition(NOTES)
    return f"{text}\n{heading}{notes}" if heading else text


def read_parts(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return the parts whose numbers lie in a folder as ``latency.json`` and so on.

    Raises:
        ConfigError: There is none.
    """
    parts = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in SECTIONS
        if (folder / f"{name}.json").is_file()
    }
    if not parts:
        names = ", ".join(f"{name}.json" for name in SECTIONS)
        raise ConfigError(f"{folder} holds none of {names}; write them with the option --json")
    return parts
