# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo data import`: training data of the DPPO reference implementation as a dataset folder.

The reference stores already normalised trajectories in one npz file and the limits beside it:

    train.npz           states (N, Do), actions (N, A), traj_lengths (n,); perhaps images
                        (N, C, h, w) uint8, rewards (N,), terminals (N,)
    normalization.npz   obs_min, obs_max, action_min, action_max, (Do,) or (A,) each, meant for
                        2 (x - min) / (max - min + 1e-6) - 1
    normalization.pth   furniture tasks: a torch state dict stats.{observations,actions}.{min,max},
                        used without the 1e-6

Our folder keeps raw units and the same scaling, so that policies of both sides see equal numbers.
Nothing here unpickles: npz files with objects and `.pkl` files are refused, `.pth` files are read
as plain tensors.

Legend: N frames, n trajectories, Do observation size, A action size, C channels, h = w pixels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError, DataError, DppoError
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import VectorSpec
from sim_training.data.archive import load_npz, npz_names, sha256_of
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.data.task_layouts import task_layout

logger = logging.getLogger(__name__)

RANGE_EPSILON = 1e-6
"""The reference adds this to every range in npz limits; here it becomes part of the maximum."""
_REQUIRED = ("states", "actions", "traj_lengths")
_OPTIONAL = ("images", "rewards", "terminals")
_LIMITS = ("obs_min", "obs_max", "action_min", "action_max")
_TORCH_LIMITS = (
    "stats.observations.min",
    "stats.observations.max",
    "stats.actions.min",
    "stats.actions.max",
)
_OUTSIDE = 1e-3
_ROUND_TRIP = 1e-3


@dataclass(frozen=True)
class ImportConfig:
    """Write a dataset folder from the reference's training data."""

    file: Path = Path("train.npz")
    """The reference's trajectories, normalised; may be given without `--file`."""
    normalization: Path = Path("normalization.npz")
    """Its limits: normalization.npz, or normalization.pth of the furniture tasks."""
    task: str = "hopper"
    """Task the data belongs to; gives the numbers their names and units."""
    out: Path = Path("data/imported")
    """Dataset folder."""
    fps: float | None = None
    """Control steps per second; None: as the task says."""
    overwrite: bool = False
    """Replace what is there."""


def import_dataset(config: ImportConfig) -> Path:
    """Write a dataset folder from the reference's files and return it.

    Raises:
        ConfigError: unknown task, or its control rate is neither known nor given.
        DataError: a file is missing, of the wrong kind, or contradicts the other or the task.
    """
    return write_dataset(config.out, read_reference(config), config.overwrite)


def read_reference(config: ImportConfig) -> EpisodeDataset:
    """Return the reference's trajectories in raw units, with its scaling as normalisers.

    Raises:
        ConfigError: unknown task, or its control rate is neither known nor given.
        DataError: a file is missing, of the wrong kind, or contradicts the other or the task.
    """
    arrays = _read_arrays(config.file)
    layout = task_layout(config.task, pixels="images" in arrays)
    fps = config.fps if config.fps is not None else layout.control_rate_hz
    if fps is None or not fps > 0:
        raise ConfigError(
            f"fps is {fps}; say how many control steps a second {config.task!r} has, e.g. --fps 20"
        )
    observation, action = read_normalization(config.normalization)
    for name, normalizer, spec in (
        ("states", observation, layout.observation_spec),
        ("actions", action, layout.action_spec),
    ):
        _check_scaled(config.file, name, arrays[name], normalizer)
        if spec.dim != normalizer.dim:
            raise DataError(
                f"{name} has {normalizer.dim} columns but task {config.task!r} has {spec.dim}; "
                "choose the task the data belongs to"
            )
    dataset = EpisodeDataset(
        states=_raw(observation, arrays["states"], layout.observation_spec),
        actions=_raw(action, arrays["actions"], layout.action_spec),
        traj_lengths=arrays["traj_lengths"].astype(np.int64),
        observation_spec=layout.observation_spec,
        action_spec=layout.action_spec,
        metadata={
            "name": config.task,
            "task": config.task,
            "fps": float(fps),
            "generator": {
                "command": "dppo data import",
                "file_sha256": sha256_of(config.file),
                "normalization_sha256": sha256_of(config.normalization),
            },
        },
        observation_normalizer=observation,
        action_normalizer=action,
        images=arrays.get("images"),
        rewards=arrays.get("rewards"),
        terminals=arrays.get("terminals"),
    )
    dataset.validate()
    return dataset


def read_normalization(path: Path) -> tuple[MinMaxNormalizer, MinMaxNormalizer]:
    """Return the reference's scaling of observations and of actions.

    Args:
        path: normalization.npz, or normalization.pth of the furniture tasks.

    Raises:
        DataError: missing, of another kind, or with other entries.
    """
    epsilon = 0.0 if path.suffix == ".pth" else RANGE_EPSILON
    limits = _torch_limits(path) if path.suffix == ".pth" else _npz_limits(path)
    try:
        observation, action = (
            MinMaxNormalizer(low, np.asarray(high, dtype=np.float64) + epsilon)
            for low, high in (limits[:2], limits[2:])
        )
    except DppoError as error:
        raise DataError(f"{path}: {error}") from error
    return observation, action


def _npz_limits(path: Path) -> list[NDArray[Any]]:
    _require_suffix(path, "limits")
    _require_names(path, npz_names(path), _LIMITS, ())
    arrays = load_npz(path, _LIMITS)
    return [arrays[name].astype(np.float64) for name in _LIMITS]


def _torch_limits(path: Path) -> list[NDArray[Any]]:
    import pickle

    import torch

    try:
        # weights_only: tensors and plain containers, never code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path} is not a file of plain tensors: {str(error).splitlines()[0]}; use the "
            "normalization.pth that belongs to the data"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, not a state dict")
    _require_names(path, tuple(map(str, content)), _TORCH_LIMITS, ())
    return [np.asarray(content[name].double().numpy()) for name in _TORCH_LIMITS]


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    _require_suffix(path, "trajectories")
    _require_names(path, npz_names(path), _REQUIRED, _OPTIONAL)
    arrays = load_npz(path, _REQUIRED, _OPTIONAL)
    for name in ("states", "actions"):
        if arrays[name].ndim != 2 or not np.issubdtype(arrays[name].dtype, np.floating):
            raise DataError(
                f"{path}: {name} has shape {arrays[name].shape} of {arrays[name].dtype}; it needs "
                "(frames, components) of floating-point numbers"
            )
    if not np.issubdtype(arrays["traj_lengths"].dtype, np.integer):
        raise DataError(
            f"{path}: traj_lengths holds {arrays['traj_lengths'].dtype}; it needs whole numbers"
        )
    for name, kind in (("rewards", np.float32), ("terminals", np.bool_)):
        if name in arrays:
            if arrays[name].ndim != 1:
                shape = arrays[name].shape
                raise DataError(f"{path}: {name} has shape {shape}; it needs one number a frame")
            arrays[name] = arrays[name].astype(kind)
    return arrays


def _require_suffix(path: Path, what: str) -> None:
    if path.suffix == ".pkl":
        raise DataError(
            f"{path} is a pickle, and reading a pickle can run any code in it; convert it where "
            "you trust it with numpy.savez(new_file, **dictionary) and import the npz file"
        )
    if path.suffix != ".npz":
        raise DataError(f"{path} should hold {what} in an npz file; its ending is {path.suffix!r}")
    if not path.is_file():
        raise DataError(f"{path} does not exist; check the path")


def _require_names(
    path: Path, found: tuple[str, ...], required: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    missing = sorted(set(required) - set(found))
    unknown = sorted(set(found) - set(required) - set(optional))
    if missing or unknown:
        wrong = [f"lacks {', '.join(missing)}"] * bool(missing)
        wrong += [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        also = f" and may hold {', '.join(optional)}" if optional else ""
        raise DataError(f"{path} {' and '.join(wrong)}; it must hold {', '.join(required)}{also}")


def _check_scaled(
    path: Path, name: str, values: NDArray[Any], normalizer: MinMaxNormalizer
) -> None:
    if values.shape[1] != normalizer.dim:
        raise DataError(
            f"{path}: {name} has {values.shape[1]} columns but the limits have {normalizer.dim}; "
            "use the normalization file that belongs to this data"
        )
    beyond = np.abs(values) > 1.0 + _OUTSIDE
    if beyond.any():
        frame, column = np.argwhere(beyond)[0]
        raise DataError(
            f"{path}: {name} holds {values[frame, column]} at frame {frame}, column {column}; the "
            "reference's files are normalised to [-1, 1], this one is not"
        )


def _raw(
    normalizer: MinMaxNormalizer, scaled: NDArray[Any], spec: VectorSpec
) -> NDArray[np.float32]:
    raw = normalizer.denormalize(scaled.astype(np.float64)).astype(np.float32)
    error = np.abs(normalizer.normalize(raw.astype(np.float64)) - scaled).max(axis=0, initial=0.0)
    lost = np.flatnonzero(error > _ROUND_TRIP)
    if len(lost):
        logger.warning(
            "range too narrow for 32-bit numbers, kept to within %.2g of [-1, 1]: %s",
            error.max(),
            ", ".join(spec.component_names[int(column)] for column in lost),
        )
    return raw
