# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of `dppo import`: what the weights of a checkpoint cannot say themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sim_training.envs.make import EnvConfig
from sim_training.networks.config import Activation


@dataclass(frozen=True)
class ImportedNetwork:
    """What the shapes of the weights do not tell about the network."""

    activation_type: Activation | None = None
    """Required for MLPs. The reference's gym and D3IL settings use ReLU, nearly all others Mish."""
    critic_activation_type: Activation = "Mish"
    """Every shipped setting uses Mish."""
    groupnorm_eps: float | None = None
    """Required for UNets: 1e-4 in some furniture settings of the reference, else 1e-5."""
    n_groups: int = 8
    """UNets: groups of the group normalisation."""
    num_heads: int = 4
    """Attention heads of image encoders and transformers."""
    tanh_mean: bool = True
    """Gaussian policies: whether the network squashes its means; only SAC-like ones do not."""


@dataclass(frozen=True)
class ImportedChain:
    """How the policy samples. The standard deviations are those of the reference's settings."""

    denoising_steps: int | None = None
    """Required for diffusion policies: diffusion times of pre-training (20 or 100 there)."""
    ddim_steps: int | None = None
    """Steps of the DDIM chain; required for policies fine-tuned with DDIM. None: DDPM."""
    ft_denoising_steps: int | None = None
    """Required for fine-tuned diffusion policies: last steps that use the fine-tuned network."""
    min_sampling_denoising_std: float = 0.1
    """Exploration: least noise of every step while training."""
    min_logprob_denoising_std: float = 0.1
    """Least standard deviation in the likelihood of a step."""
    randn_clip_value: float = 3.0
    """Sampling noise is clamped to plus/minus this many deviations."""
    denoised_clip_value: float = 1.0
    """The predicted clean chunk is clamped to plus/minus this at every step."""
    final_action_clip_value: float | None = None
    """None, as there: executed actions may leave [-1, 1] a little."""
    fixed_std: float | None = None
    """Required for Gaussian and mixture policies whose deviation is a constant (0.1 there)."""


@dataclass(frozen=True)
class ImportConfig:
    """Turn a checkpoint of the published DPPO code into one of ours; --env.name names its task."""

    checkpoint: Path = Path("state.pt")
    """The reference's checkpoint/state_<n>.pt, pre-trained or fine-tuned."""
    out: Path = Path("runs/imported")
    """Run directory to write; must not exist, unless --overwrite replaces the policy in it."""
    env: EnvConfig | None = None
    """Required: the task the policy was trained on."""
    normalization: Path | None = None
    """The reference's normalization.npz or normalization.pth of the training data."""
    assume_normalized: bool = False
    """Instead of that file: the task's own units already are [-1, 1]."""
    network: ImportedNetwork = field(default_factory=ImportedNetwork)
    chain: ImportedChain = field(default_factory=ImportedChain)
    horizon_steps: int | None = None
    """Required for UNets, whose weights fit chunks of many lengths."""
    act_steps: int | None = None
    """Executed actions of a chunk; None: all of them, as in the reference's MLP settings. Required
    for UNets, where the reference executes 8 of 16."""
    image_size_px: int | None = None
    """Pixel policies; None: 96 where the weights fit that."""
    control_rate_hz: float | None = None
    """Only if the task does not tell it."""
    observation_clip: float | None = None
    """Limit of normalised observations; None: as in the reference, 5 with a .pth normalisation and
    practically none otherwise."""
    overwrite: bool = False
    """Replace the policy in a run directory that is there."""
