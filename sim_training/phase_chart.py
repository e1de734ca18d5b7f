# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bar charts of how far episodes came: one group per phase, one bar per evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#9aa3af", "#2a7f9e", "#e4572e", "#3a9d6e", "#8a5fb0", "#e9a23b")
_GROUP_WIDTH = 0.82


class Progress(Protocol):
    """The part of an evaluation that is drawn here."""

    @property
    def label(self) -> str:
        """Name in the legend."""
        ...

    @property
    def phase_reached(self) -> Mapping[str, float]:
        """Share of episodes that came at least as far, by phase, in order."""
        ...


def draw_phases(evaluations: Sequence[Progress]) -> list[Figure]:
    """Returns one chart per set of phases; evaluations of the same task stand side by side."""
    by_phases: dict[tuple[str, ...], list[Progress]] = {}
    for entry in evaluations:
        by_phases.setdefault(tuple(entry.phase_reached), []).append(entry)
    return [_draw(names, entries) for names, entries in by_phases.items() if len(names) > 1]


def _draw(names: tuple[str, ...], entries: Sequence[Progress]) -> Figure:
    # Not pyplot: a report must neither need a display nor keep figures alive.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.0, 1.3 * len(names)), 3.0), layout="constrained")
    axis = figure.subplots()
    places = np.arange(len(names))
    width = _GROUP_WIDTH / len(entries)
    for index, entry in enumerate(entries):
        shares = [100.0 * entry.phase_reached[name] for name in names]
        offset = (index - (len(entries) - 1) / 2) * width
        colour = _COLOURS[index % len(_COLOURS)]
        bars = axis.bar(places + offset, shares, width * 0.94, color=colour, label=entry.label)
        if len(entries) <= 3:
            axis.bar_label(bars, fmt="%.0f", fontsize=7)
    axis.set_xticks(places, [name.replace("_", " ") for name in names], fontsize=8)
    axis.set_ylabel("episodes that came this far (%)", fontsize=8)
    axis.set_ylim(0, 112)
    axis.tick_params(labelsize=8)
    axis.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside upper left", ncols=2, fontsize=8, frameon=False)
    return figure
