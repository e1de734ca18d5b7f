# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A furniture task on a simulator that executes whole chunks, see ``protocol.ChunkSteppable``.

No torch, no rclpy.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.simulator import ChunkSimulator, HeldParts
from sim_training.envs.furniture.task import CONTROL_RATE_HZ
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome


class ChunkFurnitureEnv(FurnitureEnv[ChunkSimulator]):
    """A furniture task, a ``StepEnv`` and ``ChunkSteppable``."""

    def step_chunk(self, actions: Float32Array, active: BoolArray) -> list[StepOutcome]:
        """All control steps of a chunk (n_envs, h, 10); the rules judge each one afterwards.

        Raises:
            ActionError: wrong shape or non-finite action of an active cell.
        """
        ids = np.flatnonzero(active)
        goals = [self._goal(actions[:, step], ids) for step in range(actions.shape[1])]
        position, rotation, gripper = (np.stack(part, axis=1) for part in zip(*goals, strict=True))
        wrenches = self._pushes.draw_chunk(ids, actions.shape[1])
        outcomes = []
        for states in self.simulator.control_chunk(
            ids, position, rotation, gripper, self._held_parts(ids), wrenches
        ):
            self._let_go(ids)
            outcomes.append(self._judge(ids, states))
        return outcomes

    def _held_parts(self, ids: IntArray) -> HeldParts | None:
        held = self.task.held
        if held is None or not self._held[ids].any():
            return None
        until = math.ceil(held.until_step * self.control_rate_hz / CONTROL_RATE_HZ)
        held = replace(held, until_step=until)
        return HeldParts(held, self._held[ids], self._held_poses[ids], self._steps[ids])
