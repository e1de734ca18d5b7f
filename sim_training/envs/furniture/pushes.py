# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pushes in passing: now and then a part gets a random push while the robot works. NumPy only.

The published training environment has this as an option: at every step each part is pushed with a
chance of 1 %, as strongly as at the start of an episode (ankile/furniture-bench).
"""

from __future__ import annotations

import numpy as np

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.properties import episode_generator
from sim_training.envs.furniture.randomisation import RandomisationConfig
from sim_training.envs.furniture.starts import StartRange
from sim_training.envs.furniture.task import FurnitureTask
from sim_training.envs.protocol import IntArray

_PUSH_STREAM = 3


class PassingPushes:
    """Draws the pushes of n cells, step by step, from the seeds of their episodes."""

    def __init__(
        self, task: FurnitureTask, level: StartRange, config: RandomisationConfig, n_envs: int
    ) -> None:
        """Prepare.

        Args:
            task: whose parts are pushed.
            level: greatest force and torque of a push, before the part's own scale.
            config: how often, and how much stronger than the level.
            n_envs: number of cells.
        """
        values = config.resolved()
        self._rate = values.push_rate
        scales = [task.push_scales[name] for name in task.parts]
        self._force = (
            values.push_strength * level.push_force_n * np.array([s.force for s in scales])
        )
        self._torque = (
            values.push_strength * level.push_torque_nm * np.array([s.torque for s in scales])
        )
        self._generators = [np.random.default_rng(0) for _ in range(n_envs)]

    def restart(self, env_ids: IntArray, seeds: IntArray) -> None:
        """Begin new episodes in the given cells."""
        if self._rate == 0.0:
            return
        for env_id, seed in zip(env_ids, seeds, strict=True):
            self._generators[int(env_id)] = episode_generator(int(seed), _PUSH_STREAM)

    def draw(self, env_ids: IntArray) -> FloatArray | None:
        """Return the wrenches (m, parts, 6) of this control step, N and Nm; None if there is none.

        Horizontal force in any direction, magnitude uniform from 0; vertical torque, uniform
        around 0; base axes.
        """
        if self._rate == 0.0:
            return None
        parts = len(self._force)
        drawn = np.stack([self._generators[int(i)].random((parts, 4)) for i in env_ids])
        hit = drawn[..., 0] < self._rate
        if not hit.any():
            return None
        angle = 2.0 * np.pi * drawn[..., 1]
        force = hit * self._force * drawn[..., 2]
        wrenches = np.zeros((len(env_ids), parts, 6))
        wrenches[..., 0], wrenches[..., 1] = force * np.cos(angle), force * np.sin(angle)
        wrenches[..., 5] = hit * self._torque * (2.0 * drawn[..., 3] - 1.0)
        return wrenches

    def draw_chunk(self, env_ids: IntArray, steps: int) -> FloatArray | None:
        """Return the wrenches (m, steps, parts, 6) of the next control steps; None if none is."""
        drawn = [self.draw(env_ids) for _ in range(steps)]
        if all(one is None for one in drawn):
            return None
        nothing = np.zeros((len(env_ids), len(self._force), 6))
        return np.stack([nothing if one is None else one for one in drawn], axis=1)
