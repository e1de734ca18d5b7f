# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two datasets as one, in the units of the first.

NumPy only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import DataError
from sim_training.data.formats import EpisodeDataset, read_dataset


def extendable(folder: Path, task: str) -> EpisodeDataset:
    """Read a dataset that demonstrations of this task are to be added to.

    Raises:
        DataError: unreadable, or of another task.
    """
    dataset = read_dataset(folder)
    theirs = dataset.metadata.get("task")
    if theirs != task:
        raise DataError(
            f"add_to {folder} holds demonstrations of {theirs!r}, not of {task!r}; choose a "
            "dataset of the same task"
        )
    return dataset


def join(first: EpisodeDataset, second: EpisodeDataset) -> EpisodeDataset:
    """Both datasets as one; the metadata keeps where each part came from.

    Raises:
        DataError: only one of them has images, rewards or terminals, or image sizes differ.
    """
    metadata = {
        **second.metadata,
        "seeds": [*first.metadata.get("seeds", []), *second.metadata["seeds"]],
        "episodes": first.metadata.get("episodes", 0) + second.metadata["episodes"],
        "success": [*first.metadata.get("success", []), *second.metadata["success"]],
        "added_to": {"generator": first.metadata.get("generator"), "sha256": first.data_hash},
    }
    return EpisodeDataset(
        states=np.concatenate([first.states, second.states]),
        actions=np.concatenate([first.actions, second.actions]),
        traj_lengths=np.concatenate([first.traj_lengths, second.traj_lengths]),
        observation_spec=second.observation_spec,
        action_spec=second.action_spec,
        metadata=metadata,
        # Same units as before, so that training can go on from a policy of the first part.
        observation_normalizer=first.observation_normalizer,
        action_normalizer=first.action_normalizer,
        images=_joined(first, second, "images"),
        rewards=_joined(first, second, "rewards"),
        terminals=_joined(first, second, "terminals"),
    )


def _joined(first: EpisodeDataset, second: EpisodeDataset, name: str) -> NDArray[Any] | None:
    """Return an array that a dataset may have, of both; None if neither has it."""
    parts = [getattr(dataset, name) for dataset in (first, second)]
    sizes = [None if part is None else part.shape[1:] for part in parts]
    if sizes[0] != sizes[1]:
        raise DataError(
            f"{name}: one dataset has {sizes[0]} per frame and the other {sizes[1]}; only data "
            "recorded in the same way can be joined"
        )
    return None if sizes[0] is None else np.concatenate(parts)
