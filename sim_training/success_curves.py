# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo compare --success`: success over control steps, and what few runs can say about it.

Lines: the first training episode of every environment (with exploration noise), pooled over the
last `window` iterations and all runs of a group. Where iterations carry episodes over, all
episodes that ended instead: a window should then be longer than an episode, else quick ones count
more often, and the line begins with the first whole window. Points: evaluations without
exploration noise of the starting policy (at step 0) and of checkpoints. Bands and bars are 95 %
Wilson intervals: they say how well a success rate is known, not how much another training seed
would differ. Evaluations on the same start states are compared by the exact McNemar test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dppo_ros.core.errors import DataError
from dppo_ros.core.statistics import sign_test, wilson_interval
from sim_training.metrics import FIRST_EPISODES, read_metrics

ENDED, ENDED_RATE = "charts/episodes", "charts/success_rate"
STEP = "charts/global_step"
COLOURS = ("#e4572e", "#2a7f9e", "#3a9d6e", "#8a5fb0", "#e9a23b")


@dataclass(frozen=True)
class Point:
    """Successes of some episodes after some control steps of training."""

    steps: int
    successes: int
    episodes: int

    @property
    def rate(self) -> float:
        """Share of successes."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the share."""
        return wilson_interval(self.successes, self.episodes)

    def to_json(self) -> dict[str, Any]:
        """Return the point as JSON values."""
        counts = {"steps": self.steps, "successes": self.successes, "episodes": self.episodes}
        return {**counts, "rate": self.rate, "wilson_95": list(self.interval)}


@dataclass(frozen=True)
class Evaluated:
    """An evaluation: where in training, and the outcome of every start seed."""

    steps: int
    outcomes: Mapping[int, bool]

    @property
    def point(self) -> Point:
        """The evaluation as one point of a curve."""
        return Point(self.steps, sum(self.outcomes.values()), len(self.outcomes))


@dataclass(frozen=True)
class SuccessGroup:
    """One method.

    Attributes:
        label: its name.
        training: pooled success of training episodes.
        evaluated: by control steps; the policy that the runs started from has step 0.
    """

    label: str
    training: tuple[Point, ...]
    evaluated: tuple[Evaluated, ...]

    def to_json(self) -> dict[str, Any]:
        """Return curve, evaluations and the test of the last one against the first."""
        known = self.evaluated
        change = paired(known[0], known[-1]) if len(known) > 1 else None
        return {
            "label": self.label,
            "training": [point.to_json() for point in self.training],
            "evaluated": [one.point.to_json() for one in known],
            "first_to_last": change,
        }


def paired(first: Evaluated, second: Evaluated) -> dict[str, Any] | None:
    """Return the exact McNemar test on the start seeds that both have; None without any."""
    common = first.outcomes.keys() & second.outcomes.keys()
    if not common:
        return None
    gained = sum(second.outcomes[seed] and not first.outcomes[seed] for seed in common)
    lost = sum(first.outcomes[seed] and not second.outcomes[seed] for seed in common)
    return {
        "episodes": len(common),
        "gained": gained,
        "lost": lost,
        "p_value": sign_test(gained, lost),
    }


def pooled(runs: Sequence[Sequence[Point]], window: int) -> tuple[Point, ...]:
    """Return the successes of the last `window` iterations of all runs, iteration by iteration.

    Args:
        runs: the iterations of each run; only those that every run has are used.
        window: at least 1.
    """
    points = []
    for last in range(1, min(len(run) for run in runs) + 1):
        parts = [point for run in runs for point in run[max(0, last - window) : last]]
        steps = max(run[last - 1].steps for run in runs)
        successes = sum(point.successes for point in parts)
        points.append(Point(steps, successes, sum(point.episodes for point in parts)))
    return tuple(points)


def read_success_group(
    label: str, runs: Sequence[Path], start: Path | None, window: int
) -> SuccessGroup:
    """Return what is known of the runs of one method.

    Args:
        label: its name.
        runs: run directories of `dppo finetune`; `eval` inside them holds their evaluations.
        start: evaluation.json of the policy that they started from.
        window: iterations to pool.

    Raises:
        DataError: a file cannot be used.
    """
    curves = [_first_episodes(run) for run in runs]
    if all(curves):
        training = pooled(curves, window)
    else:
        training = pooled([_ended_episodes(run) for run in runs], window)[window - 1 :]
    training = tuple(point for point in training if point.episodes)
    if not training:
        raise DataError(
            f"{label}: no episode of {', '.join(map(str, runs))} ended within {window} iterations; "
            "give runs of `dppo finetune` with more of them, or a shorter window"
        )
    evaluated = [] if start is None else [Evaluated(0, _outcomes(start))]
    if len(runs) == 1:
        evaluated += _evaluations(runs[0])
    return SuccessGroup(label, training, tuple(evaluated))


def write_success_curves(groups: Sequence[SuccessGroup], title: str, out: Path) -> list[str]:
    """Draw the groups, write their numbers beside the picture, return lines for the terminal."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for group, colour in zip(groups, COLOURS * len(groups), strict=False):
        _draw_group(axes, group, colour)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("control steps")
    axes.set_ylabel("assembled")
    axes.set_ylim(0.0, 1.0)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    axes.grid(color="#e6e9ee", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="best")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130, metadata={"Software": None})
    between = _between(groups)
    numbers = {"groups": [group.to_json() for group in groups], "between_last": between}
    path = out.with_suffix(".json")
    path.write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return _lines(groups, between)


def _draw_group(axes: Axes, group: SuccessGroup, colour: str) -> None:
    steps = [point.steps for point in group.training]
    low, high = zip(*(point.interval for point in group.training), strict=True)
    rates = [point.rate for point in group.training]
    axes.plot(steps, rates, color=colour, lw=1.4, label=group.label)
    axes.fill_between(steps, low, high, color=colour, alpha=0.13, lw=0)
    if not group.evaluated:
        return
    points = [one.point for one in group.evaluated]
    below = [point.rate - point.interval[0] for point in points]
    above = [point.interval[1] - point.rate for point in points]
    axes.errorbar(
        [point.steps for point in points],
        [point.rate for point in points],
        yerr=[below, above],
        color=colour,
        fmt="o",
        ms=4,
        capsize=3,
    )


def _between(groups: Sequence[SuccessGroup]) -> list[dict[str, Any]]:
    """Return the test of the last evaluations of every two groups with trained ones."""
    known = [group for group in groups if group.evaluated and group.evaluated[-1].steps > 0]
    results = []
    for first, second in combinations(known, 2):
        test = paired(second.evaluated[-1], first.evaluated[-1])
        if test is not None:
            results.append({"first": first.label, "second": second.label, **test})
    return results


def _lines(groups: Sequence[SuccessGroup], between: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for group in groups:
        for one in group.evaluated:
            point = one.point
            low, high = point.interval
            lines.append(
                f"{group.label}, {point.steps:,} steps: {point.successes} of {point.episodes} "
                f"({point.rate:.1%}, {low:.1%} - {high:.1%})"
            )
        change = group.to_json()["first_to_last"]
        if change is not None:
            lines.append(
                f"{group.label}, first to last: {change['gained']} mended, {change['lost']} lost, "
                f"p = {change['p_value']:.2g}"
            )
    return lines + [
        f"{test['first']} against {test['second']}: {test['gained']} only the first, "
        f"{test['lost']} only the second, p = {test['p_value']:.2g}"
        for test in between
    ]


def _first_episodes(run: Path) -> list[Point]:
    """Return the first episode of every environment by iteration; none if they carry over."""
    rows = [row for row in read_metrics(run / "metrics.jsonl") if STEP in row]
    # The very first iteration begins afresh in any case.
    if not all(FIRST_EPISODES in row for row in rows):
        return []
    n_envs = _n_envs(run) if rows else 0
    return [Point(int(row[STEP]), round(row[FIRST_EPISODES] * n_envs), n_envs) for row in rows]


def _ended_episodes(run: Path) -> list[Point]:
    """Return the episodes that ended in each iteration."""
    rows = [row for row in read_metrics(run / "metrics.jsonl") if ENDED in row and STEP in row]
    if not rows:
        raise DataError(f"{run} has no {ENDED!r}; give run directories of `dppo finetune`")
    counts = [(int(row[STEP]), row.get(ENDED_RATE, 0.0), int(row[ENDED])) for row in rows]
    return [Point(steps, round(rate * ended), ended) for steps, rate, ended in counts]


def _n_envs(run: Path) -> int:
    try:
        return int(yaml.safe_load((run / "config.yaml").read_text())["train"]["n_envs"])
    except (OSError, TypeError, KeyError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{run} has no config.yaml with train.n_envs ({error})") from error


def _evaluations(run: Path) -> list[Evaluated]:
    """Return the evaluations of a run's checkpoints, by control steps."""
    steps = {row["iteration"]: int(row[STEP]) for row in read_metrics(run / "metrics.jsonl")}
    found = []
    for path in sorted((run / "eval").glob("*/evaluation.json")):
        iteration = _content(path).get("iteration")
        if iteration in steps:
            found.append(Evaluated(steps[iteration], _outcomes(path)))
    return sorted(found, key=lambda one: one.steps)


def _outcomes(path: Path) -> dict[int, bool]:
    try:
        return {int(e["seed"]): bool(e["success"]) for e in _content(path)["episodes"]}
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is not an evaluation of `dppo eval` ({error})") from error


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not an evaluation of `dppo eval` ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not an evaluation of `dppo eval`; it holds no object")
    return content
