# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One episode of a policy on a simulated cell, with an inference delay that is set, without ROS.

The planner, the execution modes and the chunk schedule are those of the nodes; only the clock is
counted instead of read. One inference runs at a time, and of the queries that come meanwhile the
newest is kept, as in the policy node.

Legend: T control ticks, A action numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.chunk import ActionChunk, ChunkSchedule, Hold
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.observation import RobotState, assemble_observation, split_action
from dppo_ros.core.planner import ChunkPlanner, PlannedChunk, Query

FloatArray = NDArray[np.float64]

SLICES_PER_TICK = 10
START_NS = 1_000_000_000


class CellState(Protocol):
    """What a trial reads of a cell's state."""

    @property
    def robot(self) -> RobotState:
        """Return tool and gripper state."""
        ...

    @property
    def tag_from_part(self) -> dict[str, FloatArray]:
        """Return the pose (7,) of every part, m and xyzw, tag frame."""
        ...

    @property
    def success(self) -> bool:
        """Return whether the task is solved."""
        ...


class Cell(Protocol):
    """What a trial needs of a simulated cell; ``FurnitureCell`` is one."""

    def reset(self, seed: int, randomness: str | None = None) -> CellState:
        """Start a new episode."""
        ...

    def set_target(self, position: FloatArray, base_from_tool: FloatArray, gripper: float) -> None:
        """Hold a new tool goal."""
        ...

    def advance(self, physics_steps: int) -> None:
        """Run physics steps."""
        ...

    def state(self) -> CellState:
        """Return the present state."""
        ...


@dataclass
class Trial:
    """What happened in an episode.

    Attributes:
        success: The task was solved.
        ticks: Control ticks until then, or until the limit.
        goals_m: (T, 3) goal position in force at the end of each tick (m, base frame).
        held_ticks: Ticks that began without an action of their own, from the first action on.
        chunks: Chunks that were used.
        delay_steps: Delay that each of them was sampled for.
    """

    success: bool = False
    ticks: int = 0
    goals_m: list[FloatArray] = field(default_factory=list)
    held_ticks: int = 0
    chunks: int = 0
    delay_steps: list[int] = field(default_factory=list)


class _Inference:
    """One inference at a time, each taking the same time; the newest waiting query wins."""

    def __init__(self, planner: ChunkPlanner, delay_ns: int) -> None:
        self._planner = planner
        self._delay_ns = delay_ns
        self._waiting: Query | None = None
        self._running: tuple[int, PlannedChunk] | None = None

    def ask(self, query: Query) -> None:
        self._waiting = query

    def finished(self, now_ns: int) -> list[PlannedChunk]:
        """Return the chunks that are ready by now, and begin what waits."""
        ready: list[PlannedChunk] = []
        while True:
            if self._running is None and self._waiting is not None:
                query, self._waiting = self._waiting, None
                self._running = (now_ns + self._delay_ns, self._planner.infer(query))
            if self._running is None or self._running[0] > now_ns:
                return ready
            arrival_ns, chunk = self._running
            self._running = None
            self._planner.delivered(chunk, arrival_ns)
            ready.append(chunk)


def run_trial(
    cell: Cell,
    manifest: BundleManifest,
    planner: ChunkPlanner,
    delay_ns: int,
    seed: int,
    max_ticks: int,
    physics_step_ns: int,
) -> Trial:
    """Return what happened in one episode.

    Args:
        cell: The simulated cell.
        manifest: Description of the policy.
        planner: A planner without history.
        delay_ns: Time from a query to its chunk (ns).
        seed: Start state of the episode.
        max_ticks: Control ticks until the episode counts as failed.
        physics_step_ns: Time of a physics step (ns).
    """
    period_ns = manifest.control_period_ns
    slice_ns = period_ns // SLICES_PER_TICK
    schedule = ChunkSchedule(
        manifest.act_steps, period_ns, (manifest.act_steps + 1) * period_ns + delay_ns
    )
    inference, trial = _Inference(planner, delay_ns), Trial()
    state, goal = cell.reset(seed), None
    for tick in range(max_ticks):
        tick_ns = START_NS + tick * period_ns
        vector = assemble_observation(manifest.observation, state.robot, state.tag_from_part)
        query = planner.observe(AlignedObservation(tick_ns, vector))
        if query is not None:
            inference.ask(query)
        acted = False
        for part in range(SLICES_PER_TICK):
            now_ns = tick_ns + part * slice_ns
            for chunk in inference.finished(now_ns):
                schedule.push(ActionChunk(chunk.stamp_ns, chunk.actions))
                trial.chunks += 1
                trial.delay_steps.append(chunk.delay_steps)
            due = schedule.due(now_ns)
            if not isinstance(due, Hold):
                position, matrix, gripper = split_action(due.action)
                cell.set_target(position, matrix, float(gripper))
                goal = position
                acted = acted or part == 0
            cell.advance(slice_ns // physics_step_ns)
        trial.ticks = tick + 1
        if goal is not None:
            trial.held_ticks += not acted
            trial.goals_m.append(goal)
        state = cell.state()
        if state.success:
            trial.success = True
            break
    return trial


def goal_jerk(goals_m: list[FloatArray], period_s: float) -> float:
    """Return the root mean square of the third difference quotient of the goals (m/s^3)."""
    if len(goals_m) < 4:
        return float("nan")
    third = np.diff(np.array(goals_m), n=3, axis=0) / period_s**3
    return float(np.sqrt((third**2).sum(axis=1).mean()))
