# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plots of an evaluation as SVG text: small multiples, one colour for each bundle everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dppo_ros.bag.evaluation import Cell, Evaluation
from dppo_ros.bag.evaluation_numbers import cells_of, phase_values
from dppo_ros.bag.plots import style, to_svg
from dppo_ros.core.rotations import FloatArray

COLOURS = ("#2a7f9e", "#e4572e", "#7a5cc0", "#3a9d6e", "#c99a2e", "#8a4b5e", "#55606e")
BANDS = ("#f1f4f8", "#e2e8f0")
_MM = 1e3
_COLUMNS = 4


def colour(index: int) -> str:
    """Return the colour of a bundle."""
    return COLOURS[index % len(COLOURS)]


def horizon_plot(evaluation: Evaluation) -> str:
    """Return error against step of the chunk: position, rotation, gripper."""
    figure = Figure(figsize=(9.6, 2.6), layout="constrained")
    axes = figure.subplots(1, 3)
    kinds = (
        ("distance: median, p90 dotted", "mm"),
        ("angle: median, p90 dotted", "deg"),
        ("gripper differs", "share of ticks"),
    )
    for index, contender in enumerate(evaluation.contenders):
        cells = cells_of(evaluation, contender)
        tone = colour(index)
        for panel, values in zip(axes, _horizon_values(cells), strict=True):
            steps = np.arange(values.shape[1])
            if panel is axes[2]:
                panel.plot(steps, np.nanmean(values, axis=0), color=tone, lw=1.4, marker="o", ms=3)
                continue
            middle, high = np.nanpercentile(values, (50, 90), axis=0)
            panel.plot(steps, middle, color=tone, lw=1.4, marker="o", ms=3, label=contender.label)
            panel.plot(steps, high, color=tone, lw=0.8, ls=":")
    for panel, (title, unit) in zip(axes, kinds, strict=True):
        style(panel, title, unit)
        panel.set_ylim(bottom=0.0)
        panel.set_xlabel("step of the chunk", fontsize=7)
    axes[0].legend(fontsize=7, frameon=False)
    return to_svg(figure)


def components_plot(evaluation: Evaluation) -> str:
    """Return the error of every action component against the step of the chunk."""
    names = evaluation.contenders[0].bundle.manifest.action.component_names
    rows = -(-len(names) // 5)
    figure = Figure(figsize=(9.6, 1.7 * rows), layout="constrained")
    panels = figure.subplots(rows, 5, squeeze=False, sharex=True).ravel()
    for panel, name in zip(panels, names, strict=False):
        column = names.index(name)
        for index, contender in enumerate(evaluation.contenders):
            values = np.concatenate([
                cell.horizon.components[:, :, column] for cell in cells_of(evaluation, contender)
            ])  # fmt: skip
            panel.plot(np.nanmean(values, axis=0), color=colour(index), lw=1.3)
        style(panel, name.replace("tool_goal_", ""), "")
        panel.title.set_fontsize(7)
        panel.set_ylim(bottom=0.0)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    return to_svg(figure)


def phases_plot(evaluation: Evaluation) -> str:
    """Return the distance to the executed goals in every phase, median to p90."""
    by_bundle = [phase_values(cells_of(evaluation, c)) for c in evaluation.contenders]
    phases = list(dict.fromkeys(name for found in by_bundle for name in found))
    figure = Figure(figsize=(9.6, 0.6 + 0.24 * len(phases) * len(by_bundle)), layout="constrained")
    axes = figure.subplots()
    for row in range(0, len(phases), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=BANDS[0], zorder=0)
    for index, found in enumerate(by_bundle):
        offset = (index - (len(by_bundle) - 1) / 2) * 0.8 / len(by_bundle)
        for row, name in enumerate(phases):
            known = found.get(name, np.zeros(0))
            known = known[np.isfinite(known)]
            if known.size:
                low, middle, high = np.percentile(known, (10, 50, 90)) * _MM
                axes.plot((low, high), (row + offset,) * 2, color=colour(index), lw=2, alpha=0.45)
                axes.plot(middle, row + offset, "o", color=colour(index), ms=4.5)
    style(axes, "distance to the executed goal by phase: p10, median, p90", "")
    axes.set_yticks(range(len(phases)), phases, fontsize=8)
    axes.set_ylim(len(phases) - 0.5, -0.5)
    axes.set_xlabel("mm", fontsize=8)
    return to_svg(figure)


def timelines_plot(evaluation: Evaluation) -> str:
    """Return the distance to the executed goals over time, one panel for each bag."""
    episodes = evaluation.episodes
    columns = min(3, len(episodes))
    rows = -(-len(episodes) // columns)
    figure = Figure(figsize=(9.6, 0.5 + 1.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, episode in zip(panels, episodes, strict=False):
        for index, contender in enumerate(evaluation.contenders):
            cell = evaluation.cells[episode.label, contender.label]
            if index == 0:
                _phase_bands(panel, cell)
            panel.plot(_seconds(cell), cell.errors.translation_m * _MM, color=colour(index), lw=0.9)
        mark = {"true": "✓ ", "false": "✗ "}.get(episode.identity.success, "")
        style(panel, f"{mark}{episode.label}", "mm")
        panel.title.set_fontsize(7)
    for panel in panels[len(episodes) :]:
        panel.set_visible(False)
    return to_svg(figure)


def outliers_plot(evaluation: Evaluation) -> str:
    """Return, for each bag and bundle, which share of observations and actions is outside."""
    figure = Figure(figsize=(9.6, 0.9 + 0.28 * len(evaluation.episodes)), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    rows = np.arange(len(evaluation.episodes))
    for index, contender in enumerate(evaluation.contenders):
        cells = cells_of(evaluation, contender)
        columns = (
            [100 * cell.observations.share for cell in cells],
            [float(np.percentile(cell.observations.scores, 99)) for cell in cells],
            [100 * cell.actions.share for cell in cells],
        )
        for panel, values in zip(axes, columns, strict=True):
            offset = (index - (len(evaluation.contenders) - 1) / 2) * 0.5
            panel.plot(values, rows + offset / len(evaluation.contenders), "o",
                       color=colour(index), ms=5)  # fmt: skip
    titles = (
        ("observations outside", "% of observations"),
        ("score of observations, p99", "half-ranges"),
        ("predicted actions outside", "% of actions"),
    )
    for panel, (title, unit) in zip(axes, titles, strict=True):
        style(panel, title, "")
        panel.title.set_fontsize(7)
        panel.set_xlabel(unit, fontsize=7)
        panel.set_xlim(-0.04 * max(panel.get_xlim()[1], 1.0), max(panel.get_xlim()[1], 1.0))
    axes[0].set_yticks(rows, [episode.label for episode in evaluation.episodes], fontsize=7)
    axes[0].invert_yaxis()
    return to_svg(figure)


def success_plot(evaluation: Evaluation) -> str:
    """Return success rates of the bundles that ran, with their Wilson intervals."""
    found = evaluation.successes
    figure = Figure(figsize=(9.6, 0.8 + 0.32 * len(found)), layout="constrained")
    axes = figure.subplots()
    labels = [contender.label for contender in evaluation.contenders]
    for row, (name, success) in enumerate(found.items()):
        tone = colour(labels.index(name)) if name in labels else COLOURS[-1]
        axes.plot((100 * success.low, 100 * success.high), (row, row), color=tone, lw=5, alpha=0.3)
        axes.plot(100 * success.successes / success.trials, row, "o", color=tone, ms=7)
        axes.annotate(
            f"{success.successes} of {success.trials}", (100 * success.high, row), fontsize=7,
            xytext=(6, 0), textcoords="offset points", va="center",
        )  # fmt: skip
    style(axes, "labelled episodes that succeeded, 95 % interval", "")
    axes.set_yticks(range(len(found)), list(found), fontsize=8)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(0, 112)
    axes.set_xlabel("%", fontsize=8)
    return to_svg(figure)


def pairs_plot(evaluation: Evaluation) -> str:
    """Return the differences between bundles bag by bag, with the mean and its interval."""
    figure = Figure(figsize=(9.6, 0.9 + 0.4 * len(evaluation.pairs)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0.0, color="#1f2937", lw=0.8)
    for row, ((first, second), pair) in enumerate(evaluation.pairs.items()):
        differences = [
            (
                evaluation.cells[e.label, second].translation_m
                - evaluation.cells[e.label, first].translation_m
            )
            * _MM
            for e in evaluation.episodes
        ]
        # Deterministic spread, so that equal values stay visible.
        spread = 0.16 * np.cos(2.4 * np.arange(len(differences)))
        axes.plot(differences, row + spread, "o", color="#8a93a1", ms=3.5, alpha=0.8)
        tone = COLOURS[1] if pair.is_clear else COLOURS[-1]
        axes.plot((pair.low * _MM, pair.high * _MM), (row, row), color=tone, lw=5, alpha=0.35)
        axes.plot(pair.mean * _MM, row, "D", color=tone, ms=6)
    names = [f"{second} minus {first}" for first, second in evaluation.pairs]
    style(axes, "median distance of a bag, second minus first bundle; dots are bags", "")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("mm (left of 0: the second is nearer to what was executed)", fontsize=8)
    return to_svg(figure)


def latency_plot(evaluation: Evaluation) -> str:
    """Return recorded and re-measured latencies as percentile bars."""
    rows: list[tuple[str, FloatArray, str]] = []
    for kind in ("live_inference", "observation_to_command", "loop_in_command_node"):
        parts = [e.latencies_ms.get(kind, np.zeros(0)) for e in evaluation.episodes]
        rows.append((f"recorded: {kind.replace('_', ' ')}", np.concatenate(parts), COLOURS[-1]))
    for index, contender in enumerate(evaluation.contenders):
        times = [cell.loop.latencies_ms for cell in cells_of(evaluation, contender)]
        rows.append((f"here: {contender.label}", np.concatenate(times), colour(index)))
    rows = [row for row in rows if row[1].size]
    figure = Figure(figsize=(9.6, 0.7 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for row, (_, values, tone) in enumerate(rows):
        low, middle, high, worst = np.percentile(values, (10, 50, 99, 100))
        axes.plot((low, high), (row, row), color=tone, lw=5, alpha=0.35)
        axes.plot(middle, row, "o", color=tone, ms=6)
        axes.plot(worst, row, "|", color=tone, ms=9)
    style(axes, "latency: p10 to p99, median, largest", "")
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xlabel("ms (logarithmic)", fontsize=8)
    return to_svg(figure)


def _horizon_values(cells: Sequence[Cell]) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        np.concatenate([cell.horizon.translation_m for cell in cells]) * _MM,
        np.degrees(np.concatenate([cell.horizon.rotation_rad for cell in cells])),
        np.concatenate([cell.horizon.gripper for cell in cells]),
    )


def _seconds(cell: Cell) -> FloatArray:
    return np.asarray((cell.loop.stamps_ns - cell.loop.stamps_ns[0]) * 1e-9)


def _phase_bands(axes: Axes, cell: Cell) -> None:
    seconds, phases = _seconds(cell), cell.loop.phases
    changes = [i for i in range(1, len(phases)) if phases[i] != phases[i - 1]]
    edges = [0, *changes, len(phases) - 1]
    for index, (start, end) in enumerate(pairwise(edges)):
        axes.axvspan(seconds[start], seconds[end], color=BANDS[index % 2], lw=0, zorder=0)
