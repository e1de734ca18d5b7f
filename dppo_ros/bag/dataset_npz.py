# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trajectories from bags -> a dataset folder that ``dppo pretrain`` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dppo_ros.bag.frames import Trajectory
from dppo_ros.core.spec import VectorSpec
from sim_training.data.formats import EpisodeDataset, write_dataset


def write_npz(
    folder: Path,
    trajectories: Sequence[Trajectory],
    observation: VectorSpec,
    action: VectorSpec,
    metadata: Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Write trajectories as a dataset folder and return it.

    A trajectory that ends its successful episode ends with reward 1 and a terminal, where the
    success of every episode is known; otherwise the dataset has no rewards.

    Args:
        folder: The dataset folder.
        trajectories: What to write; at least one.
        observation: Layout of a state.
        action: Layout of an action.
        metadata: JSON values, see ``EpisodeDataset``.
        overwrite: Replace a dataset that is there already.

    Raises:
        DataError: The folder holds a dataset already, or the data has a defect.
    """
    lengths = np.array([len(trajectory) for trajectory in trajectories], dtype=np.int64)
    labelled = all(t.episode.success in ("true", "false") for t in trajectories)
    ends = np.zeros(int(lengths.sum()), dtype=bool)
    for last, trajectory in zip(np.cumsum(lengths) - 1, trajectories, strict=True):
        ends[last] = trajectory.is_last and trajectory.episode.success == "true"
    dataset = EpisodeDataset(
        states=np.concatenate([trajectory.states for trajectory in trajectories]),
        actions=np.concatenate([trajectory.actions for trajectory in trajectories]),
        traj_lengths=lengths,
        observation_spec=observation,
        action_spec=action,
        metadata=dict(metadata),
        rewards=ends.astype(np.float32) if labelled else None,
        terminals=ends if labelled else None,
    )
    return write_dataset(folder, dataset, overwrite)
