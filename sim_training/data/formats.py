# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstrations on disk: the DPPO npz layout plus a description that other tools can read.

A dataset is a folder:

    train.npz           states (N, Do) and actions (N, A), normalised to [-1, 1], trajectories
                        concatenated without padding; traj_lengths (n,). Where recorded:
                        images (N, C, h, w) uint8, rewards (N,) and terminals (N,), as they are
    normalization.npz   obs_min, obs_max (Do,), action_min, action_max (A,), raw units
    dataset.json        names and units of every component, LeRobot v3 `info` fields, provenance,
                        SHA-256 of both npz files

Legend: N frames in all, n trajectories, Do observation size, A action size, C three channels per
camera, h = w image size in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import DataError, DppoError
from dppo_ros.core.finite import first_non_finite
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import VectorSpec
from sim_training.data.archive import (
    SCHEMA_VERSION,
    load_description,
    load_npz,
    save_description,
    save_npz,
    sha256_of,
)

_NPZ_FILES = ("train.npz", "normalization.npz")
_TINY_RANGE = 1e-5
_LEAST_OBSERVATION_RANGE = 0.02
_OPTIONAL = ("images", "rewards", "terminals")


@dataclass(frozen=True)
class EpisodeDataset:
    """Demonstrations in raw units.

    Attributes:
        states: (N, Do) float32.
        actions: (N, A) float32.
        traj_lengths: (n,) int64, sum N. A trajectory may be a segment of an episode.
        observation_spec: layout of a state.
        action_spec: layout of an action.
        metadata: JSON values; known keys: name, task, randomness, fps, seeds, success,
            generator, git_commit.
        observation_normalizer: None until written or read.
        action_normalizer: likewise.
        data_hash: SHA-256 of train.npz, once written.
        images: (N, C, h, w) uint8 RGB, cameras along C, or None for a task without pixels.
        rewards: (N,) float32 of the action in the same row, or None.
        terminals: (N,) whether the task ended with that action, or None.
    """

    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    traj_lengths: NDArray[np.int64]
    observation_spec: VectorSpec
    action_spec: VectorSpec
    metadata: dict[str, Any] = field(default_factory=dict)
    observation_normalizer: MinMaxNormalizer | None = None
    action_normalizer: MinMaxNormalizer | None = None
    data_hash: str = ""
    images: NDArray[np.uint8] | None = None
    rewards: NDArray[np.float32] | None = None
    terminals: NDArray[np.bool_] | None = None

    @property
    def cameras(self) -> int:
        """Return how many cameras were recorded."""
        return 0 if self.images is None else self.images.shape[1] // 3

    @property
    def image_size_px(self) -> int:
        """Return height and width of the images, 0 without images."""
        return 0 if self.images is None else int(self.images.shape[-1])

    def validate(self) -> None:
        """Check shapes, finiteness and lengths against each other.

        Raises:
            DataError: with the first defect found.
        """
        for name, array, dim in (
            ("states", self.states, self.observation_spec.dim),
            ("actions", self.actions, self.action_spec.dim),
        ):
            if array.ndim != 2 or array.shape[1] != dim:
                raise DataError(f"{name} has shape {array.shape}; the layout needs (N, {dim})")
            bad = first_non_finite(array)
            if bad is not None:
                row, column = bad
                raise DataError(
                    f"{name} holds {array[row, column]} at frame {row}, column {column}; remove "
                    "or repair that trajectory"
                )
        if len(self.states) != len(self.actions):
            raise DataError(
                f"states has {len(self.states)} frames but actions {len(self.actions)}; each "
                "frame needs one of each"
            )
        lengths = self.traj_lengths
        if lengths.ndim != 1 or not len(lengths) or lengths.min() < 1:
            raise DataError(f"traj_lengths is {lengths!r}; it needs one positive entry or more")
        if int(lengths.sum()) != len(self.states):
            raise DataError(
                f"traj_lengths sum to {int(lengths.sum())} but there are {len(self.states)} "
                "frames; the file was cut or mixed up"
            )
        self._validate_optional()

    def _validate_optional(self) -> None:
        frames = len(self.states)
        images = self.images
        if images is not None:
            square = images.ndim == 4 and images.shape[2] == images.shape[3] > 0
            if not square or images.shape[1] == 0 or images.shape[1] % 3:
                raise DataError(
                    f"images has shape {images.shape}; it needs (N, C, h, w) with three channels "
                    "per camera and h = w"
                )
            if images.dtype != np.uint8:
                raise DataError(f"images holds {images.dtype}; it needs uint8 values 0 to 255")
        for name in _OPTIONAL:
            array = getattr(self, name)
            if array is not None and len(array) != frames:
                raise DataError(
                    f"{name} has {len(array)} entries for {frames} frames; each frame needs one"
                )
        if self.rewards is not None and not np.isfinite(self.rewards).all():
            raise DataError("rewards holds values that are not finite; remove those trajectories")

    def normalizers(self) -> tuple[MinMaxNormalizer, MinMaxNormalizer]:
        """Return observation and action normaliser, computed from the data if there is none."""
        observation = self.observation_normalizer or normalizer_of(
            self.states, _LEAST_OBSERVATION_RANGE
        )
        return observation, self.action_normalizer or normalizer_of(self.actions)

    def envelope(self) -> dict[str, list[float]]:
        """Return min, max and largest per-frame change of every action, raw units."""
        change = np.abs(np.diff(self.actions.astype(np.float64), axis=0))
        inside = np.ones(len(change), dtype=bool)
        inside[np.cumsum(self.traj_lengths)[:-1] - 1] = False
        change = change[inside]
        largest = change.max(axis=0) if len(change) else np.zeros(self.actions.shape[1])
        return {
            "minimum": self.actions.min(axis=0).astype(float).tolist(),
            "maximum": self.actions.max(axis=0).astype(float).tolist(),
            "max_step_change": largest.tolist(),
        }


def normalizer_of(samples: NDArray[np.float32], least_range: float = 0.0) -> MinMaxNormalizer:
    """Return min-max scaling that does not blow up noise.

    Args:
        samples: (N, D) raw values.
        least_range: narrower ranges are widened to this about their middle. Observations use
            0.02 (SI units): a part that only trembles by 0.1 mm in the simulator must not fill
            [-1, 1], or a millimetre of sensor noise would saturate the input. Ranges under 1e-5
            count as constant.
    """
    low = samples.min(axis=0).astype(np.float64)
    high = samples.max(axis=0).astype(np.float64)
    middle = 0.5 * (low + high)
    half = np.maximum(0.5 * (high - low), 0.5 * least_range)
    half = np.where(high - low < _TINY_RANGE, 0.0, half)
    wide = high - low >= least_range
    return MinMaxNormalizer(
        np.where(wide & (half > 0), low, middle - half),
        np.where(wide & (half > 0), high, middle + half),
    )


def write_dataset(folder: Path, dataset: EpisodeDataset, overwrite: bool = False) -> Path:
    """Write a dataset; dataset.json comes last, so a half-written folder is not readable.

    Raises:
        DataError: the folder already holds a dataset, or the data has a defect.
    """
    dataset.validate()
    folder = Path(folder)
    if (folder / "dataset.json").exists() and not overwrite:
        raise DataError(f"{folder} already holds a dataset; choose another folder or --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").unlink(missing_ok=True)
    observation, action = dataset.normalizers()
    train: dict[str, NDArray[Any]] = {
        "states": observation.normalize(dataset.states.astype(np.float32)),
        "actions": action.normalize(dataset.actions.astype(np.float32)),
        "traj_lengths": dataset.traj_lengths.astype(np.int64),
    }
    train |= {k: v for k in _OPTIONAL if (v := getattr(dataset, k)) is not None}
    limits = {
        "obs_min": observation.minimum,
        "obs_max": observation.maximum,
        "action_min": action.minimum,
        "action_max": action.maximum,
    }
    save_npz(folder / "train.npz", train)
    save_npz(folder / "normalization.npz", limits)
    sums = {name: sha256_of(folder / name) for name in _NPZ_FILES}
    save_description(folder / "dataset.json", _describe(dataset, sums))
    return folder


def read_dataset(folder: Path, verify: bool = True) -> EpisodeDataset:
    """Read a dataset back into raw units.

    Args:
        folder: the dataset folder.
        verify: compare the SHA-256 sums and validate the content.

    Raises:
        DataError: anything missing, unreadable, altered or contradictory.
    """
    folder = Path(folder)
    description = load_description(folder)
    sums = description["sha256"]
    if verify:
        for name in _NPZ_FILES:
            if not (folder / name).is_file():
                raise DataError(f"{folder} lacks {name}; generate the dataset again")
            if sha256_of(folder / name) != sums.get(name):
                raise DataError(
                    f"{folder / name} does not match the SHA-256 in dataset.json: it was changed "
                    "or cut; generate the dataset again"
                )
    train = load_npz(folder / "train.npz", ("states", "actions", "traj_lengths"), _OPTIONAL)
    limits = load_npz(
        folder / "normalization.npz", ("obs_min", "obs_max", "action_min", "action_max")
    )
    try:
        observation = MinMaxNormalizer(limits["obs_min"], limits["obs_max"])
        action = MinMaxNormalizer(limits["action_min"], limits["action_max"])
        dataset = EpisodeDataset(
            states=np.asarray(
                observation.denormalize(train["states"].astype(np.float32)), np.float32
            ),
            actions=np.asarray(action.denormalize(train["actions"].astype(np.float32)), np.float32),
            traj_lengths=train["traj_lengths"].astype(np.int64),
            observation_spec=VectorSpec.from_json(description["observation"]),
            action_spec=VectorSpec.from_json(description["action"]),
            metadata=dict(description["metadata"]),
            observation_normalizer=observation,
            action_normalizer=action,
            data_hash=str(sums.get("train.npz", "")),
            images=train.get("images"),
            rewards=train.get("rewards"),
            terminals=train.get("terminals"),
        )
    except DataError:
        raise
    except (DppoError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: {error}; generate the dataset again") from error
    if verify:
        dataset.validate()
    return dataset


def _describe(dataset: EpisodeDataset, sums: Mapping[str, str]) -> dict[str, Any]:
    fps = float(dataset.metadata.get("fps", 10.0))
    features: dict[str, Any] = {
        key: {"dtype": "float32", "shape": [spec.dim], "names": list(spec.component_names)}
        for key, spec in (
            ("observation.state", dataset.observation_spec),
            ("action", dataset.action_spec),
        )
    }
    if dataset.images is not None:
        shape = list(dataset.images.shape[1:])
        names = ["channels", "height", "width"]
        features["observation.images"] = {"dtype": "uint8", "shape": shape, "names": names}
    return {
        "schema_version": SCHEMA_VERSION,
        "info": {
            "codebase_version": "v3.0",
            "fps": fps,
            "features": features,
            "total_episodes": len(dataset.traj_lengths),
            "total_frames": int(dataset.traj_lengths.sum()),
        },
        "observation": dataset.observation_spec.to_json(),
        "action": dataset.action_spec.to_json(),
        "metadata": dataset.metadata,
        "sha256": dict(sums),
    }
