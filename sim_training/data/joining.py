# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two datasets as one, in the units of the first.

NumPy only.
"""

from __future__ import annotations

from pathlib import Path

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
        DataError: only one of them has images, or their sizes differ.
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
        images=_joined_images(first, second),
    )


def _joined_images(first: EpisodeDataset, second: EpisodeDataset) -> NDArray[np.uint8] | None:
    sizes = [(d.cameras, d.image_size_px) for d in (first, second)]
    if sizes[0] != sizes[1]:
        raise DataError(
            f"the datasets have (cameras, pixels) {sizes[0]} and {sizes[1]}; only equal ones can "
            "be joined"
        )
    if first.images is None or second.images is None:
        return None
    return np.concatenate([first.images, second.images])
