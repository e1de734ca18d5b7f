# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo compare`: learning curves and final returns of several groups of runs, over their seeds.

Reads what training and `dppo eval` wrote and measures nothing itself. A group is one method with
several seeds; the shaded band and the +- of the table are 95 % Student-t intervals of the mean over
seeds. Each group may name the evaluation of the policy that it started from; the change is then the
per-seed difference, and p the two-sided one-sample t-test of these differences against zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from dppo_ros.core.errors import DataError, unknown_name_message
from sim_training.checks import require_at_least
from sim_training.metrics import read_metrics
from sim_training.success_curves import (
    COLOURS,
    STEP,
    read_success_group,
    write_success_curves,
)

FloatArray = NDArray[np.float64]
_POINTS = 200

_LARGE = 100.0
"""Returns from here on are shown as whole numbers."""


@dataclass(frozen=True)
class CompareConfig:
    """Draw learning curves of groups of runs with intervals over seeds, and tabulate returns."""

    groups: tuple[str, ...] = ()
    """LABEL=PATTERN each, for example "DPPO=runs/hopper_dppo_seed*"; PATTERN matches run
    directories, one per seed."""
    starts: tuple[str, ...] = ()
    """LABEL=evaluation.json of the policy each group started from."""
    metric: str = "charts/episodic_return"
    """What to draw over environment steps."""
    window: int = 5
    """Iterations of the running mean that smooths each curve."""
    success: bool = False
    """Draw success with Wilson intervals instead: training episodes (without
    train.reset_at_iteration the window must be longer than an episode) and every evaluation in the
    run directories."""
    title: str = "Learning curves"
    """Above the picture."""
    out: Path = Path("curves.png")
    """Picture to write; a JSON file with the numbers is written beside it."""
    json: bool = False
    """Print JSON instead of a table."""

    def __post_init__(self) -> None:
        """Check the window."""
        require_at_least(1, self, "window")


@dataclass(frozen=True)
class Group:
    """One method: a label, a curve per seed, and what the final policies reached.

    Attributes:
        label: name of the method.
        curves: environment steps and metric of each run.
        finals: mean evaluation return of each evaluated run.
        start: mean evaluation return of the policy that the runs started from.
    """

    label: str
    curves: tuple[tuple[FloatArray, FloatArray], ...]
    finals: tuple[float, ...]
    start: float | None


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and half-width of its 95 % Student-t interval (infinite for a single value)."""
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        return float(sample.mean()), math.inf
    deviation = float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return float(sample.mean()), float(stats.t.ppf(0.975, len(sample) - 1)) * deviation


def change_from(start: float, finals: Sequence[float]) -> tuple[float, float]:
    """Return the mean gain over a start value and the two-sided p-value of its t-test."""
    gains = np.asarray(finals, dtype=np.float64) - start
    if len(gains) < 2:
        return float(gains.mean()), math.nan
    return float(gains.mean()), float(stats.ttest_1samp(gains, 0.0).pvalue)


def run_compare(config: CompareConfig) -> int:
    """Draw and tabulate; return the exit code.

    Raises:
        DataError: a pattern matches nothing, or a file cannot be used.
    """
    if not config.groups:
        raise DataError(
            'nothing to compare; give --groups "LABEL=PATTERN", as in "DPPO=runs/hopper_dppo_*"'
        )
    starts = dict(_labelled(text) for text in config.starts)
    labels = [_labelled(text)[0] for text in config.groups]
    for label in starts:
        if label not in labels:
            raise DataError(unknown_name_message("label in --starts", label, labels))
    if config.success:
        return _compare_success(config, starts)
    groups = [_read_group(text, config, starts) for text in config.groups]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    _draw(groups, config)
    summary = [summarise(group) for group in groups]
    path = config.out.with_suffix(".json")
    path.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if config.json:
        print(json.dumps(summary, indent=1))
    else:
        _print(summary, config.title)
        print(config.out)
    return 0


def _compare_success(config: CompareConfig, starts: dict[str, str]) -> int:
    groups = []
    for text in config.groups:
        label, runs = _find_runs(text)
        start = Path(starts[label]) if label in starts else None
        groups.append(read_success_group(label, runs, start, config.window))
    lines = write_success_curves(groups, config.title, config.out)
    if config.json:
        print(config.out.with_suffix(".json").read_text(encoding="utf-8"), end="")
    else:
        print("\n".join([*lines, str(config.out)]))
    return 0


def summarise(group: Group) -> dict[str, Any]:
    """Return the numbers of a group as JSON values; unknown ones are null."""
    summary: dict[str, Any] = {"label": group.label, "seeds": len(group.curves)}
    summary["env_steps"] = int(min(steps[-1] for steps, _ in group.curves))
    summary["start"] = group.start
    if not group.finals:
        return summary
    mean, half = mean_interval(group.finals)
    summary |= {"final": mean, "final_pm": _finite(half), "per_seed": list(group.finals)}
    if group.start is not None:
        gain, p_value = change_from(group.start, group.finals)
        summary |= {"gain": gain, "p_value": _finite(p_value)}
    return summary


def band(group: Group) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return steps, mean and half-width of the interval over seeds, on a common grid."""
    first = max(steps[0] for steps, _ in group.curves)
    last = min(steps[-1] for steps, _ in group.curves)
    grid = np.linspace(first, last, _POINTS)
    table = np.stack([np.interp(grid, steps, values) for steps, values in group.curves])
    if len(table) < 2:
        return grid, table[0], np.zeros(_POINTS)
    factor = float(stats.t.ppf(0.975, len(table) - 1)) / math.sqrt(len(table))
    return grid, table.mean(0), factor * table.std(0, ddof=1)


def _find_runs(text: str) -> tuple[str, list[Path]]:
    label, pattern = _labelled(text)
    found = (Path(name) for name in glob(pattern))  # absolute patterns too
    runs = sorted(path for path in found if (path / "metrics.jsonl").is_file())
    if not runs:
        raise DataError(
            f"{pattern!r} (group {label!r}) matches no run directory with a metrics.jsonl; train "
            "first, or correct the pattern"
        )
    return label, runs


def _read_group(text: str, config: CompareConfig, starts: dict[str, str]) -> Group:
    label, runs = _find_runs(text)
    start = _mean_return(Path(starts[label])) if label in starts else None
    curves = tuple(_read_curve(run, config) for run in runs)
    finals = tuple(value for run in runs for value in _final_return(run))
    return Group(label, curves, finals, start)


def _read_curve(run: Path, config: CompareConfig) -> tuple[FloatArray, FloatArray]:
    rows = [row for row in read_metrics(run / "metrics.jsonl") if config.metric in row]
    if not rows or STEP not in rows[0]:
        known = sorted({name for row in read_metrics(run / "metrics.jsonl") for name in row})
        raise DataError(
            f"{run} has no {config.metric!r} over {STEP!r}; "
            + (
                f"choose --metric among {', '.join(known)}"
                if known
                else "it has logged nothing: leave it out of the pattern"
            )
        )
    steps = np.array([row[STEP] for row in rows], dtype=np.float64)
    values = np.array([row[config.metric] for row in rows], dtype=np.float64)
    return steps, _running_mean(values, config.window)


def _running_mean(values: FloatArray, window: int) -> FloatArray:
    """Return the mean of each value and the up to `window` - 1 values before it."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(end - window, 0)
    return (total[end] - total[begin]) / (end - begin)


def _final_return(run: Path) -> list[float]:
    """Return the mean return of the newest evaluation of a run, if it was evaluated."""
    found = sorted((run / "eval").glob("*/evaluation.json"), key=lambda path: path.stat().st_mtime)
    return [_mean_return(found[-1])] if found else []


def _mean_return(path: Path) -> float:
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["mean_reward"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is not an evaluation of `dppo eval` ({error})") from error


def _labelled(text: str) -> tuple[str, str]:
    label, separator, value = text.partition("=")
    if not separator or not label or not value:
        raise DataError(f'{text!r} must be LABEL=VALUE, as in "DPPO=runs/hopper_dppo_*"')
    return label, value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _draw(groups: Sequence[Group], config: CompareConfig) -> None:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for group, colour in zip(groups, COLOURS * len(groups), strict=False):
        steps, mean, half = band(group)
        name = f"{group.label} ({len(group.curves)} seeds)"
        axes.plot(steps, mean, color=colour, lw=1.8, label=name)
        axes.fill_between(steps, mean - half, mean + half, color=colour, alpha=0.18, lw=0)
        if group.start is not None:
            axes.axhline(group.start, color=colour, lw=1.0, ls=":")
    axes.set_title(config.title, loc="left", fontsize=11)
    axes.set_xlabel("environment steps")
    axes.set_ylabel(config.metric.rpartition("/")[2].replace("_", " "))
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    axes.grid(color="#e6e9ee", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(config.out, dpi=130, metadata={"Software": None})


def _number(value: float, sign: str = "") -> str:
    """Return a return with as many decimals as its size asks for: 2421, 0.45."""
    return format(value, f"{sign}.0f" if abs(value) >= _LARGE else f"{sign}.3g")


def _print(summary: Sequence[dict[str, Any]], title: str) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("method", "seeds", "env steps", "start", "final (95 % t)", "gain", "p"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for row in summary:
        half = row.get("final_pm")
        final = "-" if "final" not in row else _number(row["final"])
        final += "" if half is None else f" +- {_number(half)}"
        table.add_row(
            row["label"],
            str(row["seeds"]),
            f"{row['env_steps']:,}",
            "-" if row["start"] is None else _number(row["start"]),
            final,
            _number(row["gain"], "+") if "gain" in row else "-",
            f"{row['p_value']:.2g}" if row.get("p_value") is not None else "-",
        )
    Console().print(table)
