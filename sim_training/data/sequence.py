# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training windows cut from trajectories: one observation history and the chunk that follows.

Every start s with s + H inside its trajectory counts, so a trajectory of length L gives
max(0, L - H + 1) windows and none is padded at the end. The observation history repeats the
first frame at the start of a trajectory, and so does that of the images.

Legend: W windows, N frames, To stacked observations, Do observation size, H chunk length, A action
size, Ti stacked images, C image channels, h = w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dppo_ros.core.errors import DataError
from sim_training.networks.observation import TensorObservation

IntArray = NDArray[np.int64]


def window_starts(traj_lengths: IntArray, horizon_steps: int) -> tuple[IntArray, IntArray]:
    """Return window start frames (W,) and the first frame of their trajectories (W,)."""
    first = np.concatenate([[0], np.cumsum(traj_lengths)[:-1]]).astype(np.int64)
    counts = np.maximum(traj_lengths - horizon_steps + 1, 0)
    begin = np.repeat(first, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return (begin + within).astype(np.int64), begin


@dataclass(frozen=True)
class WindowDataset:
    """All windows as one contiguous table, so that a batch is a single row selection.

    Images stay as they were recorded, one byte per byte, and are gathered by frame number: copying
    them into every window that sees them would multiply the memory.

    Attributes:
        rows: (W, To Do + H A) float32, on the training device.
        cond_steps: To.
        obs_dim: Do.
        horizon_steps: H.
        action_dim: A.
        images: (N, C, h, w) uint8, or None.
        image_frames: (W, Ti) rows of `images` that a window sees, newest last, or None.
    """

    rows: Tensor
    cond_steps: int
    obs_dim: int
    horizon_steps: int
    action_dim: int
    images: Tensor | None = None
    image_frames: Tensor | None = None

    def __len__(self) -> int:
        """Return W."""
        return len(self.rows)

    def batch(self, indices: Tensor) -> tuple[TensorObservation, Tensor]:
        """Return observations and chunks (B, H, A) of the chosen windows."""
        rows = self.rows.index_select(0, indices)
        split = self.cond_steps * self.obs_dim
        state = rows[:, :split].view(-1, self.cond_steps, self.obs_dim)
        chunk = rows[:, split:].reshape(-1, self.horizon_steps, self.action_dim)
        observation = {"state": state}
        if self.images is not None and self.image_frames is not None:
            frames = self.image_frames.index_select(0, indices)
            chosen = self.images.index_select(0, frames.flatten())
            observation["rgb"] = chosen.unflatten(0, frames.shape)
        return observation, chunk


def make_windows(
    states: NDArray[np.float32],
    actions: NDArray[np.float32],
    traj_lengths: IntArray,
    cond_steps: int,
    horizon_steps: int,
    device: torch.device | str = "cpu",
    images: NDArray[np.uint8] | None = None,
    img_cond_steps: int = 1,
) -> WindowDataset:
    """Cut normalised trajectories into windows.

    Args:
        states: (N, Do) normalised.
        actions: (N, A) normalised.
        traj_lengths: (n,), sum N.
        cond_steps: To.
        horizon_steps: H.
        device: where the table shall live.
        images: (N, C, h, w) uint8 for a policy that sees them.
        img_cond_steps: Ti.

    Raises:
        DataError: every trajectory is shorter than H.
    """
    starts, begins = window_starts(traj_lengths, horizon_steps)
    if not len(starts):
        raise DataError(
            f"no trajectory is at least horizon_steps={horizon_steps} long (longest: "
            f"{int(traj_lengths.max(initial=0))}); lower horizon_steps or record longer ones"
        )
    history = _history(starts, begins, cond_steps)
    future = starts[:, None] + np.arange(horizon_steps)
    rows = np.concatenate(
        [states[history].reshape(len(starts), -1), actions[future].reshape(len(starts), -1)], axis=1
    )
    table = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).to(device)
    sizes = (cond_steps, states.shape[1], horizon_steps, actions.shape[1])
    if images is None:
        return WindowDataset(table, *sizes)
    frames = torch.from_numpy(_history(starts, begins, img_cond_steps)).to(device)
    return WindowDataset(table, *sizes, torch.from_numpy(images).to(device), frames)


def _history(starts: IntArray, begins: IntArray, steps: int) -> IntArray:
    """Return the last `steps` frames (W, steps) up to each start, none before its trajectory."""
    frames = starts[:, None] + np.arange(1 - steps, 1)
    return np.maximum(frames, begins[:, None])


def epoch_order(n_windows: int, seed: int, epoch: int) -> Tensor:
    """Return the shuffled window indices (W,) of one epoch; a pure function of its arguments."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (2**63 - 1))
    return torch.randperm(n_windows, generator=generator)
