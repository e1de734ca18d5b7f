# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plots of success rates with their intervals, and the rows of the tables beside them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dppo_ros.bag.plots import ACCENT, EXECUTED, PREDICTED, style
from sim_training.evaluation_result import EvaluationResult
from sim_training.robustness.conditions import Sweep
from sim_training.robustness.measure import Measured, Paired, paired


def draw_sweep(axes: Axes, sweep: Sweep, points: Sequence[Measured]) -> None:
    """Draw success over the swept quantity, with 95 % Wilson intervals."""
    ordered = sorted(points, key=lambda point: point.condition.value)
    values = [point.condition.value for point in ordered]
    rates = [100 * point.result.success_rate for point in ordered]
    axes.errorbar(
        values,
        rates,
        yerr=_bars([point.result for point in ordered]),
        color=ACCENT,
        marker="o",
        markersize=4,
        lw=1.6,
        capsize=3,
    )
    style(axes, sweep.title, "assembled (%)")
    axes.set_xlabel(sweep.axis, fontsize=8, color="#55606e")
    axes.set_ylim(-3, 103)


def sweep_figure(sweep: Sweep, points: Sequence[Measured]) -> Figure:
    """Return the plot of one sweep."""
    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    draw_sweep(figure.subplots(), sweep, points)
    return figure


def ablation_figure(measured: Sequence[Measured]) -> Figure:
    """Return one bar for each switch, the first being the cell without randomisation."""
    figure = Figure(figsize=(6.0, 0.32 * len(measured) + 0.9), layout="constrained")
    axes = figure.subplots()
    labels = [point.condition.label for point in measured]
    results = [point.result for point in measured]
    rates = [100 * result.success_rate for result in results]
    colours = [EXECUTED, *[ACCENT] * (len(measured) - 1)]
    axes.barh(labels, rates, color=colours, xerr=_bars(results), error_kw={"capsize": 2, "lw": 1.0})
    axes.axvline(rates[0], color=PREDICTED, lw=1.0, ls=":")
    axes.invert_yaxis()
    style(axes, "Each switch alone", "")
    axes.set_xlabel("assembled (%)", fontsize=8, color="#55606e")
    axes.set_xlim(0, 103)
    return figure


def _bars(results: Sequence[EvaluationResult]) -> list[list[float]]:
    """Lengths of the error bars below and above each rate, in percent."""
    below = [100 * (result.success_rate - result.interval[0]) for result in results]
    above = [100 * (result.interval[1] - result.success_rate) for result in results]
    return [[max(0.0, length) for length in below], [max(0.0, length) for length in above]]


HEADINGS = ("cell", "assembled", "rate", "95 % Wilson interval", "lost", "gained", "p")
"""Columns of `row`."""


def row(point: Measured, baseline: EvaluationResult) -> tuple[str, ...]:
    """Return a table row: success with interval, and the paired comparison with a baseline."""
    result = point.result
    low, high = result.interval
    return (
        point.condition.label,
        f"{result.successes} / {len(result.episodes)}",
        f"{result.success_rate:.0%}",
        f"{low:.0%} to {high:.0%}",
        *_compared(paired(baseline, result), result is baseline),
    )


def _compared(pair: Paired, same: bool) -> tuple[str, str, str]:
    return ("-", "-", "-") if same else (str(pair.lost), str(pair.gained), f"{pair.p_value:.2g}")


def summary(point: Measured, baseline: EvaluationResult) -> dict[str, object]:
    """Return the numbers of `row`, and more, as JSON values."""
    result, pair = point.result, paired(baseline, point.result)
    return {
        "label": point.condition.label,
        "value": point.condition.value,
        "n_episodes": len(result.episodes),
        "successes": result.successes,
        "success_rate": result.success_rate,
        "wilson_95": list(result.interval),
        "mean_steps_success": result.mean(lambda e: e.steps, only_success=True),
        "phase_reached": result.phase_reached(),
        "lost": pair.lost,
        "gained": pair.gained,
        "mcnemar_p": pair.p_value,
        "wall_s": result.wall_s,
    }
