# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a simulator of the furniture cells has to offer. The task rules are not its business.

NumPy only; ``env.FurnitureEnv`` makes an environment out of any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.starts import StartState
from sim_training.envs.furniture.task import CellStates, FurnitureTask, HeldPart
from sim_training.envs.protocol import BoolArray, IntArray


class CellSimulator(Protocol):
    """Physics and controller of n cells of one task.

    The controller is the reference's: per control step one differential-IK solve from an absolute
    tool goal to joint targets, held by soft joint drives, and a latched gripper.

    Attributes:
        task: the task whose parts are in the cells.
        n_envs: number of cells n.
        control_rate_hz: control steps per second.
        randomises_physics: ``reset`` applies ``StartState.properties``, and positions in the robot
            frame count from the robot's base at its height.
    """

    task: FurnitureTask
    n_envs: int
    control_rate_hz: float
    randomises_physics: bool

    def reset(self, env_ids: IntArray, starts: Sequence[StartState]) -> None:
        """Put the given cells into start states, gripper open, pushes applied."""
        ...

    def control_step(
        self,
        env_ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
        wrenches: FloatArray | None = None,
    ) -> None:
        """Advance the given cells by one control period towards a tool goal.

        Args:
            env_ids: (m,) cells.
            goal_position: (m, 3) m, base frame.
            base_from_goal: (m, 3, 3).
            gripper: (m,) latch command, negative opens, positive closes.
            wrenches: (m, parts, 6) force (N) and torque (Nm) on every part about its centre of
                mass, base axes, during the first ``starts.PUSH_DURATION_S``; None: none.
        """
        ...

    def observe(self, env_ids: IntArray) -> CellStates:
        """True states of the given cells now."""
        ...

    def place_part(self, env_ids: IntArray, name: str, tag_from_part: FloatArray) -> None:
        """Put a part of the given cells to poses (m, 7), at rest."""
        ...

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """One (height, width, 3) RGB image of one cell."""
        ...

    def close(self) -> None:
        """Release graphics and processes."""
        ...


@dataclass(frozen=True)
class HeldParts:
    """Which of m cells still hold their part before a chunk.

    Attributes:
        part: what is held, and when it is let go.
        flags: (m,) it is held.
        poses: (m, 7) where, tag frame.
        steps: (m,) control steps since the start.
    """

    part: HeldPart
    flags: BoolArray
    poses: FloatArray
    steps: IntArray


class ChunkSimulator(CellSimulator, Protocol):
    """A simulator that makes several control steps without returning to the caller."""

    def control_chunk(
        self,
        env_ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
        held: HeldParts | None = None,
        wrenches: FloatArray | None = None,
    ) -> list[CellStates]:
        """Advance the given cells by h control periods, each towards its own goal.

        Args:
            env_ids: (m,) cells.
            goal_position: (m, h, 3) m, base frame.
            base_from_goal: (m, h, 3, 3).
            gripper: (m, h) latch commands.
            held: parts to put back to their place before each period until they are let go.
            wrenches: (m, h, parts, 6), see ``control_step``.

        Returns:
            True states after each period.
        """
        ...
