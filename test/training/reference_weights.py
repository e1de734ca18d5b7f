# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as the published DPPO code writes them, with weights and inputs given by formulas.

The formulas depend on the reference's names only. Whoever fills the original's networks by the
same rule gets the numbers in `test_import_parity`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.locomotion_config import HopperConfig
from sim_training.envs.make import EnvConfig
from sim_training.interop.config import ImportConfig, ImportedChain, ImportedNetwork
from sim_training.interop.names import reference_names
from sim_training.networks.config import CriticConfig, GaussianConfig, NetworkConfig
from sim_training.networks.critic import StateCritic
from sim_training.networks.shape import PolicyShape
from sim_training.policies.make import make_policy

SHAPE = PolicyShape(obs_dim=11, action_dim=3, cond_steps=1, horizon_steps=4, act_steps=4)
"""Sizes of the hopper settings."""
CRITIC = CriticConfig(mlp_dims=(12, 12, 12))
State = dict[str, Tensor]


def wave(shape: tuple[int, ...], step: float, phase: float) -> Tensor:
    """Return sin(step * j + phase) for the flat index j, in this shape."""
    index = torch.arange(int(np.prod(shape, dtype=int)), dtype=torch.float64)
    return torch.sin(step * index + phase).float().reshape(shape)


def formula_weights(shapes: dict[str, tuple[int, ...]], phase: float = 0.1) -> State:
    """Return a weight for each of the reference's names.

    The i-th name in alphabetical order gets 0.2 sin(0.37 j + 1.3 i + phase) at flat index j; scales
    of normalisations add 1, learnable log-variances add -4.
    """
    weights = {}
    for index, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        value = 0.2 * wave(shape, 0.37, 1.3 * index + phase)
        if name.endswith("weight") and len(shape) == 1:
            value = value + 1.0
        if name == "logvar":
            value = value - 4.0
        weights[name] = value
    return weights


def reference_state(module: nn.Module, phase: float = 0.1) -> State:
    """Return formula weights of one of our networks under the reference's names."""
    own = module.state_dict()
    names = reference_names(module)
    return formula_weights({names[key]: tuple(own[key].shape) for key in own}, phase)


def limits(gaussian: GaussianConfig) -> State:
    """Return the weights of the reference that hold the range of the deviation."""
    return {
        "logvar_min": torch.tensor(gaussian.std_min**2).log(),
        "logvar_max": torch.tensor(gaussian.std_max**2).log(),
    }


def network(
    config: NetworkConfig,
    shape: PolicyShape = SHAPE,
    gaussian: GaussianConfig | None = None,
) -> nn.Module:
    """Return a network of ours."""
    return make_policy(config, DiffusionConfig(), gaussian or GaussianConfig(), shape).base


def pretrained(module: nn.Module, extra: State | None = None) -> dict[str, object]:
    """Return a pre-training checkpoint; the average has other weights than the model."""
    states = [{**reference_state(module, phase), **(extra or {})} for phase in (0.1, 0.5)]
    model, average = ({f"network.{k}": v for k, v in state.items()} for state in states)
    return {"epoch": 7, "model": model, "ema": average}


def finetuned(
    module: nn.Module, shape: PolicyShape = SHAPE, ddim: bool = False, extra: State | None = None
) -> dict[str, object]:
    """Return a fine-tuned checkpoint of a diffusion policy, duplicates included."""
    base = {**reference_state(module, 0.1), **(extra or {})}
    actor_ft = {**reference_state(module, 0.3), **(extra or {})}
    critic = reference_state(StateCritic(CRITIC, shape), 0.7)
    model = {f"network.{k}": v for k, v in base.items()}
    model |= {f"actor.{k}": v.clone() for k, v in base.items()}
    model |= {f"actor_ft.{k}": v for k, v in actor_ft.items()}
    model |= {f"critic.{k}": v for k, v in critic.items()}
    if ddim:
        model["eta.eta_logit"] = torch.tensor([float("inf")])
    return {"itr": 30, "model": model}


def import_config(folder: Path, content: object, **changes: object) -> ImportConfig:
    """Save a checkpoint and return the settings of its import, which leave nothing open."""
    file = folder / "state_7.pt"
    torch.save(content, file)
    values: dict[str, object] = {
        "checkpoint": file,
        "out": folder / "imported",
        "env": HopperConfig(),
        "assume_normalized": True,
        "network": ImportedNetwork(activation_type="Mish", groupnorm_eps=1e-5, num_heads=2),
        "chain": ImportedChain(denoising_steps=20, fixed_std=0.1),
        "horizon_steps": 4,
        "act_steps": 4,
        **changes,
    }
    return ImportConfig(**values)  # type: ignore[arg-type]


def observation(batch: int, shape: PolicyShape = SHAPE) -> State:
    """Return normalised observations by formula."""
    found = {"state": wave((batch, shape.cond_steps, shape.obs_dim), 0.7, 0.2)}
    if shape.cameras:
        size = (batch, *shape.image_shape)
        index = torch.arange(int(np.prod(size)), dtype=torch.int64)
        found["rgb"] = (37 * index % 256).to(torch.uint8).reshape(size)
    return found


def some_task(shape: PolicyShape) -> EnvConfig:
    """Return a task with these images: robomimic's, or hopper without any."""
    from sim_training.envs.robomimic import RobomimicConfig

    return RobomimicConfig(name="transport", pixels=True) if shape.cameras else HopperConfig()
