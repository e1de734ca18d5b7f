# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a run directory or checkpoint folder to a policy that is ready to act."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dppo_ros.core.errors import CheckpointError, ConfigError
from sim_training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, load_module
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.policies.header import PolicyHeader
from sim_training.policies.make import TrainablePolicy


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy with its description and origin.

    Attributes:
        policy: in evaluation mode, gradients off.
        header: description.
        checkpoint: where it came from.
        weights: which weights the base network holds: "ema" or "model".
    """

    policy: TrainablePolicy
    header: PolicyHeader
    checkpoint: Checkpoint
    weights: str


def load_policy(path: Path, weights: str = "auto", prefer_best: bool = True) -> LoadedPolicy:
    """Load a policy; a fine-tuned checkpoint gives frozen and fine-tuned network.

    Args:
        path: run directory or checkpoint folder.
        weights: "ema", "model", or "auto" (ema where the checkpoint has it).
        prefer_best: of a run directory take the best checkpoint, if there is one.

    Raises:
        CheckpointError: missing, altered, or not fitting its own description.
    """
    checkpoint = load_checkpoint(find_checkpoint(path, prefer_best))
    header = PolicyHeader.from_json(checkpoint.header)
    policy = header.build_policy()
    has_average = any(key.startswith("ema.") for key in checkpoint.model)
    if weights == "ema" and not has_average:
        raise CheckpointError(
            f"{checkpoint.path} has no averaged weights, as pre-trained policies do; use weights "
            "model or auto"
        )
    use_average = weights == "ema" or (weights == "auto" and has_average)
    load_module(policy.base, checkpoint.model, "ema" if use_average else "base")
    if policy.actor_ft is not None:
        load_module(policy.actor_ft, checkpoint.model, "actor_ft")
        if isinstance(policy, DiffusionPolicy) and policy.eta is not None:
            load_module(policy.eta, checkpoint.model, "eta")
    policy.eval()
    policy.requires_grad_(False)
    return LoadedPolicy(policy, header, checkpoint, "ema" if use_average else "model")


def with_chain_options(
    policy: TrainablePolicy, ddim_steps: int | None, eta: float | None
) -> TrainablePolicy:
    """Return the policy with another evaluated chain; None leaves that option as it is.

    Raises:
        ConfigError: the policy has no chain.
    """
    if ddim_steps is None and eta is None:
        return policy
    if not isinstance(policy, DiffusionPolicy):
        raise ConfigError("ddim_steps and eta are for diffusion policies; leave them out")
    if ddim_steps is not None:
        policy = policy.with_ddim(ddim_steps)
    return policy.with_eval_eta(eta)
