# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A very short data set for tests that only need a policy to come out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.envs.furniture.experts import EXPERTS
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.tasks import FurnitureConfig

TaskName = Literal["one_leg", "lamp", "round_table"]
Level = Literal["low", "med"]


def record_beginning(task: TaskName, folder: Path, level: Level = "low") -> Path:
    """Write the first second of one episode of the expert, as demonstrations."""
    env = make_mujoco_env(FurnitureConfig(name=task, randomness=level), 1)
    observation = env.reset(np.array([0]), np.array([0]))
    states, actions = [], []
    for _ in range(10):
        states.append(observation[0].copy())
        actions.append(EXPERTS[task](observation)[0])
        observation = env.step(actions[-1][None], np.array([True])).observation
    env.close()
    metadata = {"name": task, "task": task, "fps": 10.0, "seeds": [0], "success": [False]}
    return write_dataset(
        folder,
        EpisodeDataset(
            np.stack(states),
            np.stack(actions),
            np.array([10]),
            env.observation_spec,
            env.action_spec,
            metadata,
        ),
    )
