# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found: episodes, success and mean return with intervals, phases, tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import stdtrit

from dppo_ros.core.errors import DataError
from dppo_ros.core.statistics import wilson_interval


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean by Student's t; the values' own mean if fewer than two."""
    if len(values) < 2:
        mean = float(np.mean(values)) if len(values) else 0.0
        return mean, mean
    n = len(values)
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return float(np.mean(values)) - half, float(np.mean(values)) + half


@dataclass(frozen=True)
class Episode:
    """Outcome of one evaluation episode."""

    seed: int
    success: bool
    phase: int
    steps: int
    reward: float


@dataclass(frozen=True)
class EvaluationResult:
    """Outcome of an evaluation.

    Attributes:
        task: task name.
        phase_names: milestones of the task.
        episodes: sorted by seed.
        wall_s: seconds it took.
        settings: how it was run.
    """

    task: str
    phase_names: tuple[str, ...]
    episodes: tuple[Episode, ...]
    wall_s: float
    settings: dict[str, Any] = field(default_factory=dict)

    def joined(self, parts: Sequence[tuple[Episode, ...]]) -> EvaluationResult:
        """Return the result with the episodes of several processes, this one's among them."""
        episodes = sorted((one for part in parts for one in part), key=lambda one: one.seed)
        return replace(self, episodes=tuple(episodes))

    @property
    def successes(self) -> int:
        """Number of successful episodes."""
        return sum(episode.success for episode in self.episodes)

    @property
    def success_rate(self) -> float:
        """Share of successful episodes."""
        return self.successes / max(len(self.episodes), 1)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the success rate."""
        return wilson_interval(self.successes, len(self.episodes))

    @property
    def return_interval(self) -> tuple[float, float]:
        """95 % interval of the mean return (Student's t)."""
        return mean_interval([episode.reward for episode in self.episodes])

    def phase_reached(self) -> dict[str, float]:
        """Return the share of episodes that reached at least each phase."""
        phases = np.array([episode.phase for episode in self.episodes])
        return {
            name: float(np.mean(phases >= index)) if len(phases) else 0.0
            for index, name in enumerate(self.phase_names)
        }

    def mean(self, values: Callable[[Episode], float], only_success: bool = False) -> float:
        """Return the mean of a quantity over (successful) episodes; 0 if there is none."""
        chosen = [values(e) for e in self.episodes if e.success or not only_success]
        return float(np.mean(chosen)) if chosen else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return summary and every episode as JSON values."""
        low, high = self.interval
        return {
            "task": self.task,
            "n_episodes": len(self.episodes),
            "successes": self.successes,
            "success_rate": self.success_rate,
            "wilson_95": [low, high],
            "mean_reward": self.mean(lambda e: e.reward),
            "mean_reward_95": list(self.return_interval),
            "mean_steps": self.mean(lambda e: e.steps),
            "mean_steps_success": self.mean(lambda e: e.steps, only_success=True),
            "phase_reached": self.phase_reached(),
            "wall_s": self.wall_s,
            "settings": self.settings,
            "episodes": [vars(episode) for episode in self.episodes],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EvaluationResult:
        """Return the result that `to_json` wrote.

        Raises:
            DataError: the content is not one.
        """
        try:
            return cls(
                task=str(content["task"]),
                phase_names=tuple(content["phase_reached"]),
                episodes=tuple(Episode(**episode) for episode in content["episodes"]),
                wall_s=float(content["wall_s"]),
                settings=dict(content["settings"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is not an evaluation ({error}); run dppo eval again") from error

    def metrics(self) -> dict[str, float]:
        """Return the summary under metric names."""
        low, high = self.interval
        return_low, return_high = self.return_interval
        phases = {f"eval/phase_{name}": share for name, share in self.phase_reached().items()}
        return {
            "eval/success_rate": self.success_rate,
            "eval/success_low": low,
            "eval/success_high": high,
            "eval/episodic_return": self.mean(lambda e: e.reward),
            "eval/return_low": return_low,
            "eval/return_high": return_high,
            "eval/episodic_length": self.mean(lambda e: e.steps),
            "eval/success_length": self.mean(lambda e: e.steps, only_success=True),
            **phases,
        }


def print_result(result: EvaluationResult) -> None:
    """Print success with its interval, lengths, and how far the episodes came."""
    low, high = result.interval
    table = Table(title=f"{result.task}: {len(result.episodes)} episodes", title_justify="left")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_row("success", f"{result.successes}/{len(result.episodes)}")
    table.add_row("success rate", f"{result.success_rate:.1%}")
    table.add_row("95 % interval", f"{low:.1%} - {high:.1%}")
    table.add_row("mean return", f"{result.mean(lambda e: e.reward):.6g}")
    low, high = result.return_interval
    table.add_row("95 % interval", f"{low:.6g} - {high:.6g}")
    table.add_row("mean steps", f"{result.mean(lambda e: e.steps):.0f}")
    steps = result.mean(lambda e: e.steps, only_success=True)
    table.add_row("mean steps of successes", f"{steps:.0f}")
    for name, share in result.phase_reached().items():
        table.add_row(f"reached {name}", f"{share:.0%}")
    table.add_row("wall time", f"{result.wall_s:.1f} s")
    Console().print(table)
