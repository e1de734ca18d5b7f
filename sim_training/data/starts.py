# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo data starts`: both start-state distributions of a furniture task, measured and plotted.

Writes a table to the terminal, the numbers to a JSON file, and a picture of the cell from above
with every part of every start, all levels and distributions side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.observation import OBSTACLE
from sim_training.checks import require_at_least
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.start_statistics import (
    REST_S,
    StartSample,
    measure_starts,
    summarise,
)
from sim_training.envs.furniture.starts import DISTRIBUTIONS, START_RANGES
from sim_training.envs.furniture.task import FurnitureTask
from sim_training.envs.furniture.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Samples = Mapping[tuple[str, str], StartSample]
"""By level and distribution."""
_COLOURS = ("#2a7f9e", "#e4572e", "#3a9d6e", "#8a5fb0", "#e9a23b", "#6b7280")
_NEEDLE_MM = 18.0
_SHOWN_NEEDLES, _SHOWN_FENCES = 120, 40
"""More than this hide one another."""
_MARGIN_MM = 130.0
"""What is shown around the limits of the parts; what came to rest beyond is counted."""


@dataclass(frozen=True)
class StartsConfig:
    """Measure where the parts of a furniture task start, for every level and distribution."""

    task: str = "one_leg"
    """Furniture task."""
    episodes: int = 200
    """Start states of each level and distribution."""
    seed: int = 0
    """Episode i starts from seed + i."""
    n_envs: int = 8
    """Cells simulated side by side."""
    env_threads: int = 1
    """Simulation threads."""
    push_scale: float = 1.0
    """Factor of all pushes; 2 is the impulse of pushes of 1/60 s instead of 1/120 s."""
    out: Path = Path("starts")
    """Folder for TASK.json and TASK.png."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            ConfigError: unknown task, or a number out of range.
        """
        if self.task not in TASKS:
            raise ConfigError(unknown_name_message("furniture task", self.task, TASKS))
        require_at_least(1, self, "episodes", "n_envs", "env_threads")
        require_at_least(0, self, "seed")
        if not 0.0 < self.push_scale <= 10.0:
            raise ConfigError(f"push_scale is {self.push_scale}; it must be above 0, at most 10")


def run_starts(config: StartsConfig) -> int:
    """Measure, print, write; return the exit code."""
    task = TASKS[config.task]
    n_envs = min(config.n_envs, config.episodes)
    simulator = MujocoSimulation(task, n_envs, config.env_threads)
    seeds = range(config.seed, config.seed + config.episodes)
    samples = {
        (level, distribution): measure_starts(
            simulator, level, distribution, seeds, config.push_scale
        )
        for level in START_RANGES
        for distribution in DISTRIBUTIONS
    }
    simulator.close()
    print_starts(task, samples)
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / f"{task.name}.json"
    path.write_text(json.dumps(_to_json(config, samples), indent=1) + "\n", encoding="utf-8")
    draw_starts(task, samples, path.with_suffix(".png"))
    print(path)
    print(path.with_suffix(".png"))
    return 0


def _to_json(config: StartsConfig, samples: Samples) -> dict[str, Any]:
    return {
        "settings": {**asdict(config), "out": None, "simulator": "mujoco", "rest_s": REST_S},
        "results": [
            {"randomness": level, "starts": distribution, "parts": _rounded(summarise(sample))}
            for (level, distribution), sample in samples.items()
        ],
    }


def _rounded(numbers: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {
        part: {name: round(value, 4) for name, value in row.items()}
        for part, row in numbers.items()
    }


def print_starts(task: FurnitureTask, samples: Samples) -> None:
    """Print one line per level, distribution and part: displacement, yaw, shares."""
    episodes = len(next(iter(samples.values())).rest)
    title = f"{task.name}: {episodes} starts each; mean (95th percentile) from the nominal pose"
    table = Table(title=title, title_justify="left")
    for heading in ("level", "starts", "part"):
        table.add_column(heading)
    for heading in ("mm, first", "mm, rest", "deg, rest", "moving", "outside"):
        table.add_column(heading, justify="right")
    for (level, distribution), sample in samples.items():
        for part, row in summarise(sample).items():
            cells = [
                f"{row[f'{key}_mean_{unit}']:.1f} ({row[f'{key}_p95_{unit}']:.1f})"
                if part != "any"
                else ""
                for key, unit in (("first", "mm"), ("rest", "mm"), ("rest", "deg"))
            ]
            shares = (f"{row['moving']:.0%}", f"{row['outside']:.0%}")
            table.add_row(level, distribution, part, *cells, *shares)
        table.add_section()
    Console().print(table)


def draw_starts(task: FurnitureTask, samples: Samples, path: Path) -> None:
    """Draw the cell from above, one panel per level (rows) and distribution (columns)."""
    # Not pyplot: this must neither need a display nor keep figures alive.
    from matplotlib.figure import Figure

    levels = list(dict.fromkeys(level for level, _ in samples))
    kinds = list(dict.fromkeys(kind for _, kind in samples))
    figure = Figure(figsize=(5.2 * len(kinds), 4.3 * len(levels) + 0.6), layout="constrained")
    axes = figure.subplots(len(levels), len(kinds), squeeze=False, sharex=True, sharey=True)
    for row, level in enumerate(levels):
        for column, kind in enumerate(kinds):
            _draw_panel(axes[row, column], task, samples[level, kind])
            axes[row, column].set_title(f"{level}, {kind}", fontsize=10)
    low, high = 1e3 * task.part_limits_m
    axes[0, 0].set_xlim(high[0] + _MARGIN_MM, low[0] - _MARGIN_MM)
    axes[0, 0].set_ylim(low[1] - _MARGIN_MM, high[1] + _MARGIN_MM)
    axes[0, 0].legend(loc="upper center", ncols=len(task.parts), fontsize=7, markerscale=2)
    episodes = len(next(iter(samples.values())).rest)
    figure.suptitle(
        f"{task.name}: parts at rest at the start, {episodes} starts per panel, from above "
        "(robot below); needles show yaw",
        fontsize=10,
    )
    figure.supxlabel("tag x (mm), robot's left on the left", fontsize=9)
    figure.supylabel("tag y (mm), away from the robot", fontsize=9)
    figure.savefig(path, dpi=90)


def _draw_panel(axis: Axes, task: FurnitureTask, sample: StartSample) -> None:
    low, high = 1e3 * task.part_limits_m
    axis.plot(
        [low[0], high[0], high[0], low[0], low[0]],
        [low[1], low[1], high[1], high[1], low[1]],
        ":",
        color="#9aa3af",
        linewidth=1,
    )
    _draw_fence(axis, task, sample)
    beyond = 0
    for index, name in enumerate(task.parts):
        colour = _COLOURS[index % len(_COLOURS)]
        nominal = 1e3 * task.nominal_poses[name][:2]
        place = nominal + 1e3 * sample.rest[:, index, :2]
        yaw = sample.rest[:, index, 2]
        away = (place < low - _MARGIN_MM) | (place > high + _MARGIN_MM)
        beyond += int(away.any(axis=1).sum())
        axis.scatter(place[:, 0], place[:, 1], s=3, color=colour, label=name, zorder=3)
        # Nominal heading is drawn away from the robot (+y); a needle turns with the part.
        needle = _NEEDLE_MM * np.column_stack([-np.sin(yaw), np.cos(yaw)])
        for start, tip in zip(place[:_SHOWN_NEEDLES], needle[:_SHOWN_NEEDLES], strict=True):
            axis.plot(*np.stack([start, start + tip]).T, color=colour, linewidth=0.5, alpha=0.4)
        half = 1e3 * np.array(task.half_outlines[name])
        corners = nominal + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
        axis.plot(*corners.T, color=colour, linewidth=1)
    if beyond:
        text = f"{beyond} parts beyond this picture"
        axis.text(0.5, 0.03, text, transform=axis.transAxes, ha="center", fontsize=8)
    axis.set_aspect("equal")
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.2)


def _draw_fence(axis: Axes, task: FurnitureTask, sample: StartSample) -> None:
    """Every fence faintly: the inner faces that parts can touch."""
    inner = 1e3 * geo.FENCE_INNER_SIDE_M
    far = -1e3 * geo.FENCE_INNER_FRONT_M
    near = far - 2e3 * geo.FENCE_SIDE_HALF_M[0]
    shape = np.array([[-inner, near], [-inner, far], [inner, far], [inner, near]])
    places = 1e3 * (task.nominal_poses[OBSTACLE][:2] + sample.fence_xy)
    for place in places[:_SHOWN_FENCES]:
        axis.plot(*(place + shape).T, color="#374151", linewidth=0.7, alpha=0.25)
