# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How start states are spread, measured through the physics of any simulator of the cells.

A pushed part is still sliding when the first observation is taken, so every start is looked at
twice: at the first observation, and once the arm has stood still for ``REST_S``.

NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import OBSTACLE
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion
from sim_training.envs.furniture.simulator import CellSimulator
from sim_training.envs.furniture.starts import StartState, sample_start
from sim_training.envs.furniture.task import CONTROL_RATE_HZ, CellStates, FurnitureTask
from sim_training.envs.protocol import IntArray

REST_S = 1.0
"""How long parts get to come to rest; a tray pushed at the greatest force slides for 0.6 s."""
MOVED_M = 1e-4
MOVED_RAD = np.radians(0.1)
"""A part that moves further than either in the first control period was not at rest."""


@dataclass(frozen=True)
class StartSample:
    """Start states of E episodes of one task.

    Attributes:
        task: the task.
        first: (E, parts, 3) displacement from the nominal pose at the first observation: x and y
            (m) in the tag frame, yaw (rad) about the tag's z axis, which points down.
        rest: (E, parts, 3) the same after ``REST_S``.
        moving: (E, parts) still moving at the first observation.
        outside: (E, parts) at rest with its centre outside the task's limits.
        fence_xy: (E, 2) displacement of the fence (m).
    """

    task: FurnitureTask
    first: FloatArray
    rest: FloatArray
    moving: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    fence_xy: FloatArray


def measure_starts(
    simulator: CellSimulator,
    randomness: str,
    distribution: str,
    seeds: Sequence[int],
    push_scale: float = 1.0,
) -> StartSample:
    """Sample start states and let the parts come to rest.

    Args:
        simulator: its cells are used a batch at a time.
        randomness: level, see ``starts.START_RANGES``.
        distribution: see ``starts.DISTRIBUTIONS``.
        seeds: one per episode.
        push_scale: factor of all pushes; 2 gives the impulse of a push of twice the duration.

    Raises:
        ConfigError: unknown level or distribution.
    """
    task, size = simulator.task, simulator.n_envs
    starts = [
        scaled_pushes(sample_start(task, randomness, seed, distribution), push_scale)
        for seed in seeds
    ]
    batches = [
        _measure_batch(simulator, starts[begin : begin + size])
        for begin in range(0, len(starts), size)
    ]
    first, soon, rest = (np.concatenate(columns) for columns in zip(*batches, strict=True))
    moved = np.abs(soon - first)
    limits = task.part_limits_m
    nominal_xy = np.stack([task.nominal_poses[name][:2] for name in task.parts])
    place = nominal_xy + rest[..., :2]
    fence = np.stack([start.tag_from_part[OBSTACLE][:2] for start in starts])
    return StartSample(
        task=task,
        first=first,
        rest=rest,
        moving=(np.hypot(moved[..., 0], moved[..., 1]) > MOVED_M) | (moved[..., 2] > MOVED_RAD),
        outside=((place < limits[0]) | (place > limits[1])).any(axis=-1),
        fence_xy=fence - task.nominal_poses[OBSTACLE][:2],
    )


def scaled_pushes(start: StartState, factor: float) -> StartState:
    """The same start with all its pushes stronger."""
    return replace(start, wrenches={name: factor * w for name, w in start.wrenches.items()})


def summarise(sample: StartSample) -> dict[str, dict[str, float]]:
    """Numbers per part, and under ``any`` the shares of starts with at least one such part.

    Per part: mean and 95th percentile of the displacement (mm) and of the turn (deg), at the first
    observation and at rest; shares still moving and outside.
    """
    numbers: dict[str, dict[str, float]] = {}
    for index, name in enumerate(sample.task.parts):
        row: dict[str, float] = {}
        for when, values in (("first", sample.first), ("rest", sample.rest)):
            distance_mm = 1e3 * np.hypot(values[:, index, 0], values[:, index, 1])
            turn_deg = np.degrees(np.abs(values[:, index, 2]))
            row[f"{when}_mean_mm"] = float(distance_mm.mean())
            row[f"{when}_p95_mm"] = float(np.percentile(distance_mm, 95))
            row[f"{when}_mean_deg"] = float(turn_deg.mean())
            row[f"{when}_p95_deg"] = float(np.percentile(turn_deg, 95))
        row["moving"] = float(sample.moving[:, index].mean())
        row["outside"] = float(sample.outside[:, index].mean())
        numbers[name] = row
    numbers["any"] = {
        "moving": float(sample.moving.any(axis=1).mean()),
        "outside": float(sample.outside.any(axis=1).mean()),
    }
    return numbers


def _measure_batch(
    simulator: CellSimulator, starts: Sequence[StartState]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Displacements (m, parts, 3) at the first observation, one period later and at rest."""
    ids = np.arange(len(starts), dtype=np.int64)
    simulator.reset(ids, starts)
    states = simulator.observe(ids)
    task, first = simulator.task, states
    seen = [displacements(task, states)]
    for _ in range(round(REST_S * CONTROL_RATE_HZ)):
        _hold_still(simulator, ids, first)
        seen.append(displacements(task, simulator.observe(ids)))
    return seen[0], seen[1], seen[-1]


def _hold_still(simulator: CellSimulator, ids: IntArray, first: CellStates) -> None:
    """One control period with the hand where it was, open; a held part stays as in an episode."""
    held = simulator.task.held
    if held is not None:
        simulator.place_part(ids, held.name, first.tag_from_part[held.name])
    robot = first.robot
    opened = np.full(len(ids), -1.0)
    simulator.control_step(ids, robot.tool_position, robot.base_from_tool, opened)


def displacements(task: FurnitureTask, states: CellStates) -> FloatArray:
    """Displacement of every part from its nominal pose (m, parts, 3): x, y (m), yaw (rad)."""
    columns = []
    for name in task.parts:
        nominal, pose = task.nominal_poses[name], states.tag_from_part[name]
        turned = matrix_from_quaternion(pose[:, 3:]) @ matrix_from_quaternion(nominal[3:]).T
        yaw = np.arctan2(turned[:, 1, 0] - turned[:, 0, 1], turned[:, 0, 0] + turned[:, 1, 1])
        columns.append(np.column_stack([pose[:, :2] - nominal[:2], yaw]))
    return np.stack(columns, axis=1)
