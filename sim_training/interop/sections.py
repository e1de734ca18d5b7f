# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a reference checkpoint: which network is which, duplicates checked.

The published code saves whole modules, so a fine-tuned checkpoint holds one network under two
names: a diffusion policy repeats the frozen network (`network` = `actor`), a Gaussian or mixture
policy the fine-tuned one (`network` = `actor_ft`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dppo_ros.core.errors import CheckpointError
from sim_training.interop.torch_file import TorchValue, find_non_finite

Weights = dict[str, Tensor]

_FILE_KEYS = ("epoch", "itr", "model", "ema")
_PARTS = ("network", "actor", "actor_ft", "critic", "eta")
_SHOWN = 6
_ETA_LOGIT = "eta.eta_logit"
"""Infinite in every shipped DDIM setting: tanh of it is the largest eta."""


@dataclass(frozen=True)
class ReferenceCheckpoint:
    """The networks of a reference checkpoint, names without their part's prefix.

    Attributes:
        iteration: epoch or iteration of the reference.
        base: pre-trained (raw) or frozen network.
        average: exponential moving average of a pre-trained network.
        actor_ft: fine-tuned network.
        critic: state-value network.
        eta: DDIM noise parameters; empty unless fine-tuned with DDIM.
        notes: what is worth telling about the parts.
    """

    iteration: int
    base: Weights
    average: Weights | None
    actor_ft: Weights | None
    critic: Weights | None
    eta: Weights
    notes: tuple[str, ...] = ()

    @property
    def finetuned(self) -> bool:
        """Whether there is a fine-tuned network."""
        return self.actor_ft is not None


def split_checkpoint(content: dict[str, TorchValue], path: Path) -> ReferenceCheckpoint:
    """Return the parts of a checkpoint.

    Raises:
        CheckpointError: unknown or missing parts, numbers that are not finite, or duplicates that
            differ.
    """
    unknown = sorted(set(content) - set(_FILE_KEYS))
    if unknown or "model" not in content:
        raise CheckpointError(
            f"{path} has the keys {some(content)}; a checkpoint of the published DPPO code has "
            "'model' and one of 'epoch' (pre-training, with 'ema') or 'itr' (fine-tuning)"
        )
    iteration = content.get("itr", content.get("epoch", 0))
    if not isinstance(iteration, int) or iteration < 0:
        raise CheckpointError(f"{path}: itr or epoch is {iteration!r}; it must be a whole number")
    model = _state_dict(content["model"], "model", path)
    parts = _by_part(model, path)
    average = None
    if "ema" in content:
        averages = _by_part(_state_dict(content["ema"], "ema", path), path)
        if set(parts) != {"network"} or set(averages) != {"network"}:
            raise CheckpointError(
                f"{path} has 'ema', so it is a pre-trained policy, but holds more than `network.` "
                f"({some(parts)}); use a checkpoint that the reference wrote"
            )
        average = averages["network"]
        _require_same_shapes(parts["network"], average, path)
    if "actor_ft" not in parts:
        if set(parts) != {"network"}:
            raise CheckpointError(
                f"{path} holds {some(parts)} but no `actor_ft.`, so it is neither a pre-trained "
                "policy nor one fine-tuned with PPO; only those can be imported"
            )
        return ReferenceCheckpoint(iteration, parts["network"], average, None, None, {})
    return _finetuned(parts, iteration, path)


def some(names: Iterable[str]) -> str:
    """Return the first few names in order, and how many more there are."""
    listed = sorted(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _finetuned(parts: dict[str, Weights], iteration: int, path: Path) -> ReferenceCheckpoint:
    if "critic" not in parts:
        raise CheckpointError(f"{path} has `actor_ft.` but no `critic.`; weights are missing")
    actor_ft, notes = parts["actor_ft"], []
    frozen = parts.get("actor")
    if "network" in parts:
        twin = "actor" if frozen is not None and _equal(parts["network"], frozen) else "actor_ft"
        if not _equal(parts["network"], parts[twin]):
            raise CheckpointError(
                f"{path}: `network.` equals neither `actor.` nor `actor_ft.`, although it is the "
                "same network under a second name; the file is damaged or was edited"
            )
        notes.append(f"`network.` repeats `{twin}.` exactly")
    if frozen is None:
        frozen = actor_ft
        notes.append("no frozen network in the file: the fine-tuned one stands in for it")
    return ReferenceCheckpoint(
        iteration, frozen, None, actor_ft, parts["critic"], parts.get("eta", {}), tuple(notes)
    )


def _state_dict(value: TorchValue, name: str, path: Path) -> Weights:
    if not isinstance(value, dict) or not value:
        raise CheckpointError(f"{path}: {name!r} is not a state dictionary")
    weights: Weights = {}
    for key, tensor in value.items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{path}: {name}.{key} is a number or dictionary, not a tensor")
        weights[key] = tensor
    bad = find_non_finite(weights, accepted=(_ETA_LOGIT,))
    if bad is not None:
        raise CheckpointError(
            f"{path}: {name}.{bad} holds NaN or infinite numbers; the training had diverged, so "
            "use an earlier checkpoint"
        )
    return weights


def _by_part(weights: Weights, path: Path) -> dict[str, Weights]:
    parts: dict[str, Weights] = {}
    unknown = []
    for key, value in weights.items():
        part, _, rest = key.partition(".")
        if part not in _PARTS or not rest:
            unknown.append(key)
        else:
            parts.setdefault(part, {})[rest] = value
    if unknown:
        raise CheckpointError(
            f"{path} holds weights that do not belong to a policy of a known kind: "
            f"{some(unknown)}; parts of importable checkpoints: {', '.join(_PARTS)}"
        )
    return parts


def _require_same_shapes(first: Weights, second: Weights, path: Path) -> None:
    different = set(first) ^ set(second)
    different |= {k for k in set(first) & set(second) if first[k].shape != second[k].shape}
    if different:
        raise CheckpointError(f"{path}: 'model' and 'ema' differ in {some(different)}")


def _equal(first: Weights, second: Weights) -> bool:
    return set(first) == set(second) and all(torch.equal(first[k], second[k]) for k in first)
