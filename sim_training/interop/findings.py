# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an import found out and where each value came from, for people and for the record."""

from __future__ import annotations

from dataclasses import dataclass, field

from dppo_ros.core.errors import CheckpointError

WEIGHTS = "shapes of the weights"
OPTION = "given"
ASSUMED = "assumed, as in the reference's settings"


@dataclass
class Findings:
    """Settings with their values and sources, in the order in which they were found."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, setting: str, value: object, source: str) -> None:
        """Add one row."""
        self.rows.append((setting, str(value), source))

    def note_default(self, setting: str, value: object, default: object) -> None:
        """Add one row for a setting that only the user can change."""
        self.note(setting, value, ASSUMED if value == default else OPTION)

    def agree(self, setting: str, candidates: dict[str, int | None], option: str = "") -> int:
        """Return the value on which all sources that know it agree, and note it.

        Args:
            setting: name of the size.
            candidates: source to value; None where the source does not know.
            option: what the user can set if nobody knows; empty if somebody always does.

        Raises:
            CheckpointError: nobody knows it, or two sources contradict each other.
        """
        known = {source: value for source, value in candidates.items() if value is not None}
        if not known:
            raise CheckpointError(f"{setting} cannot be read from the weights; give {option}")
        if len(set(known.values())) > 1:
            listed = ", ".join(f"{value} ({source})" for source, value in known.items())
            raise CheckpointError(
                f"{setting} is contradictory: {listed}; the checkpoint, the normalisation file, "
                "the task and the options must belong together"
            )
        source, value = next(iter(known.items()))
        self.note(setting, value, source)
        return value

    def table(self) -> str:
        """Return the rows as aligned text."""
        widths = [max(len(row[column]) for row in self.rows) for column in (0, 1)]
        lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in self.rows]
        return "\n".join(lines)

    def to_json(self) -> list[dict[str, str]]:
        """Return the rows as JSON values."""
        return [{"setting": a, "value": b, "source": c} for a, b, c in self.rows]


def source_of(option: object) -> str:
    """Return where a setting comes from, given the user's option for it (None: not set)."""
    return ASSUMED if option is None else OPTION
