# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: safetensors for numbers, JSON for the rest, written atomically, read strictly.

A checkpoint folder holds `model.safetensors` (all weights), `training.safetensors` (optimisers,
random states, statistics) and `state.json` (counters, policy description, SHA-256 of both). It
appears under its final name only when complete. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dppo_ros.core.errors import CheckpointError

SCHEMA_VERSION = 1
_TENSOR_FILES = ("model.safetensors", "training.safetensors")
_STEP = "step_"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds.

    Attributes:
        path: the folder.
        iteration: iterations finished when it was written.
        header: policy description, JSON values.
        model: weights by dotted name.
        training: the algorithm's state as returned by its `state_dict`.
        loop: the training loop's own counters.
    """

    path: Path
    iteration: int
    header: dict[str, Any]
    model: dict[str, Tensor]
    training: dict[str, Any]
    loop: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint under `folder`; an older one of the same name is replaced.

    Returns:
        The folder.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors: dict[str, Tensor] = {}
    training = _encode(checkpoint.training, "training", tensors)
    save_file({k: _owned(v) for k, v in checkpoint.model.items()}, part / _TENSOR_FILES[0])
    save_file(tensors or {"empty": torch.zeros(1)}, part / _TENSOR_FILES[1])
    state = {
        "schema_version": SCHEMA_VERSION,
        "iteration": checkpoint.iteration,
        "header": checkpoint.header,
        "loop": checkpoint.loop,
        "training": training,
        "sha256": {name: _sha256(part / name) for name in _TENSOR_FILES},
    }
    (part / "state.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(part, folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder, verifying that it is whole.

    Raises:
        CheckpointError: a file is missing, unreadable or altered.
    """
    path = folder / "state.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} is not a checkpoint (no state.json)")
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        version, sums = state["schema_version"], state["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not readable: {error!r}; use another one") from error
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{folder} has schema version {version}; this program reads {SCHEMA_VERSION}"
        )
    files = []
    for name in _TENSOR_FILES:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} lacks {name}; use another checkpoint")
        if _sha256(folder / name) != sums.get(name):
            raise CheckpointError(
                f"{folder / name} does not match its SHA-256: it was cut or altered; use another "
                "checkpoint"
            )
        try:
            files.append(load_file(folder / name))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{folder / name} is not readable: {error}") from error
    return Checkpoint(
        path=folder,
        iteration=int(state["iteration"]),
        header=state["header"],
        model=files[0],
        training=_decode(state["training"], files[1]),
        loop=state["loop"],
    )


def numbered_checkpoints(run_dir: Path) -> list[Path]:
    """Return the complete numbered checkpoints of a run, oldest first."""
    folder = run_dir / "checkpoints"
    found = [p for p in folder.glob(f"{_STEP}*") if (p / "state.json").is_file()]
    return sorted(found, key=lambda p: int(p.name[len(_STEP) :]))


def checkpoint_name(iteration: int) -> str:
    """Return the folder name of the checkpoint after this many iterations."""
    return f"{_STEP}{iteration:07d}"


def find_checkpoint(path: Path, prefer_best: bool = True) -> Path:
    """Return the checkpoint meant by a run directory or checkpoint folder.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(path)
    if (path / "state.json").is_file():
        return path
    best = path / "checkpoints" / "best"
    if prefer_best and (best / "state.json").is_file():
        return best
    numbered = numbered_checkpoints(path)
    if not numbered and (path / "bundle.json").is_file():
        raise CheckpointError(
            f"{path} is a policy bundle, which holds no weights to load here; give the run "
            "directory that it was exported from (`dppo robustness` takes bundles)"
        )
    if not numbered:
        raise CheckpointError(
            f"{path} holds no checkpoint; give a run directory written by `dppo pretrain` or "
            "`dppo finetune`, or one of its checkpoints/ folders"
        )
    return numbered[-1]


def prune_checkpoints(run_dir: Path, keep: int) -> None:
    """Remove the oldest numbered checkpoints beyond `keep` (0 keeps all)."""
    if keep > 0:
        for folder in numbered_checkpoints(run_dir)[:-keep]:
            shutil.rmtree(folder, ignore_errors=True)


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Load the entries `prefix.*` into a module; names and shapes must match exactly.

    Raises:
        CheckpointError: missing, surplus or misshapen entries.
    """
    start = prefix + "."
    own = {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}
    expected = module.state_dict()
    missing = sorted(set(expected) - set(own))
    surplus = sorted(set(own) - set(expected))
    if missing or surplus:
        raise CheckpointError(
            f"weights {prefix!r} do not fit the network: missing {missing[:3]}, surplus "
            f"{surplus[:3]}; the configuration does not match the checkpoint"
        )
    for key, value in own.items():
        if value.shape != expected[key].shape:
            raise CheckpointError(
                f"weight {prefix}.{key} has shape {tuple(value.shape)}; the network needs "
                f"{tuple(expected[key].shape)}"
            )
    module.load_state_dict(own)


def module_tensors(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Return the weights of a module under dotted names `prefix.*`."""
    return {f"{prefix}.{key}": value for key, value in module.state_dict().items()}


def _owned(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _encode(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    if isinstance(value, Tensor):
        tensors[path] = _owned(value)
        return {"__tensor__": path}
    if isinstance(value, np.ndarray):
        tensors[path] = torch.from_numpy(np.ascontiguousarray(value)).clone()
        return {"__array__": path}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        pairs = [[k, _encode(v, f"{path}.{k}", tensors)] for k, v in value.items()]
        if all(isinstance(k, str) for k, _ in pairs):
            return dict(pairs)
        return {"__pairs__": pairs}
    if isinstance(value, (list, tuple)):
        return [_encode(v, f"{path}.{i}", tensors) for i, v in enumerate(value)]
    return value


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        if "__tensor__" in value:
            return tensors[value["__tensor__"]]
        if "__array__" in value:
            return tensors[value["__array__"]].numpy()
        if "__pairs__" in value:
            return {k: _decode(v, tensors) for k, v in value["__pairs__"]}
        return {k: _decode(v, tensors) for k, v in value.items()}
    if isinstance(value, list):
        return [_decode(v, tensors) for v in value]
    return value


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
