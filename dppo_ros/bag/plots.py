# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plots of a replay as SVG text, for the page that ``report`` writes. Matplotlib, no display."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dppo_ros.bag.replay import ReplayResult
from dppo_ros.core.rotations import FloatArray

EXECUTED, PREDICTED, ACCENT = "#1f2937", "#e4572e", "#2a7f9e"
MODE_COLOURS = {
    "running": "#3a9d6e",
    "waiting": "#c9ced6",
    "holding": "#e9a23b",
    "stopped": "#c8372d",
    "disabled": "#8a93a1",
    "idle": "#8a93a1",
    "homing": "#2a7f9e",
    "recovering": "#7a5cc0",
    "fault": "#c8372d",
    "estop": "#8a1c14",
}
_POSITION = 3


def style(axes: Axes, title: str, unit: str) -> None:
    """Give a panel its title, unit and the quiet look of all pages."""
    axes.set_title(title, loc="left", fontsize=9, color=EXECUTED)
    axes.set_ylabel(unit, fontsize=8, color="#55606e")
    axes.tick_params(labelsize=7, colors="#55606e")
    axes.grid(color="#e6e9ee", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def to_svg(figure: Figure) -> str:
    """Return a figure as SVG text that depends on nothing outside."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dppo_ros"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def actions_plot(result: ReplayResult) -> str:
    """Return replayed and executed tool goal and gripper over time."""
    figure = Figure(figsize=(9.0, 5.6), layout="constrained")
    columns = [*range(_POSITION), result.predicted.shape[1] - 1]
    all_axes = figure.subplots(len(columns), 1, sharex=True)
    for axes, column in zip(all_axes, columns, strict=True):
        axes.plot(
            result.times_s, result.executed[:, column], color=EXECUTED, lw=1.2, label="executed"
        )
        axes.plot(
            result.times_s, result.predicted[:, column], color=PREDICTED, lw=1.0, ls="--",
            label="replayed",
        )  # fmt: skip
        style(axes, result.action_names[column], "m" if column < _POSITION else "latch")
    all_axes[0].legend(fontsize=7, frameon=False, ncols=2, loc="upper right")
    all_axes[-1].set_xlabel("time (s)", fontsize=8)
    return to_svg(figure)


def errors_plot(result: ReplayResult) -> str:
    """Return translation and rotation error over time, with the command side's mode."""
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    upper, lower, strip = figure.subplots(3, 1, sharex=True, height_ratios=(4, 4, 0.7))
    upper.plot(result.times_s, result.translation_errors_m * 1e3, color=PREDICTED, lw=1.0)
    style(upper, "distance between replayed and executed goal", "mm")
    lower.plot(result.times_s, np.degrees(result.rotation_errors_rad), color=ACCENT, lw=1.0)
    style(lower, "angle between replayed and executed goal", "deg")
    _mode_strip(strip, result)
    strip.set_xlabel("time (s)", fontsize=8)
    return to_svg(figure)


def _mode_strip(axes: Axes, result: ReplayResult) -> None:
    end_s = float(result.times_s[-1]) if result.times_s.size else 0.0
    starts = [start for start, _ in result.modes]
    ends = [*starts[1:], end_s]
    shown: set[str] = set()
    for (start, mode), end in zip(result.modes, ends, strict=True):
        label = mode if mode not in shown else None
        shown.add(mode)
        axes.axvspan(start, max(end, start), color=MODE_COLOURS.get(mode, "#ffffff"), label=label)
    axes.set_yticks([])
    axes.set_title("mode of the command side", loc="left", fontsize=9, color=EXECUTED)
    axes.tick_params(labelsize=7, colors="#55606e")
    if shown:
        axes.legend(fontsize=6, frameon=False, ncols=len(shown), loc="lower right",
                    bbox_to_anchor=(1.0, 1.0))  # fmt: skip


def latency_plot(result: ReplayResult) -> str:
    """Return the distributions of all latencies and of the observation age."""
    kinds = [(name, values) for name, values in result.latencies_ms.items() if values.size]
    figure = Figure(figsize=(9.0, 2.4), layout="constrained")
    panels = figure.subplots(1, len(kinds) + 1, squeeze=False)[0]
    for axes, (name, values) in zip(panels, kinds, strict=False):
        _histogram(axes, values, name.replace("_", " "), "ms")
    _histogram(panels[-1], result.staleness_s, "age of the observation behind an action", "s")
    return to_svg(figure)


def _histogram(axes: Axes, values: FloatArray | Sequence[float], title: str, unit: str) -> None:
    style(axes, title, "count")
    axes.title.set_fontsize(7)
    axes.set_xlabel(unit, fontsize=7)
    if len(values):
        axes.hist(values, bins=24, color=ACCENT, alpha=0.85)
        axes.axvline(float(np.median(values)), color=PREDICTED, lw=1.0)
