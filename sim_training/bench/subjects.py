# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies of published sizes with random weights: speed does not depend on training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dppo_ros.core.bundle import PolicyBundle
from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.manifest import ActionEnvelope, BundleManifest, DenoisingSettings
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.export import measure_parity, sample_pairs
from sim_training.export_graph.builder import Precision
from sim_training.export_graph.chain import build_graph, is_stochastic
from sim_training.networks.config import (
    DiffusionMlpConfig,
    DiffusionNetworkConfig,
    DiffusionUnetConfig,
    GaussianConfig,
)
from sim_training.networks.shape import PolicyShape
from sim_training.policies.header import PolicyHeader

_PARITY_ROWS = 32
_FINE_TUNED_CHANGE = 0.01

_DDPM = DiffusionConfig(denoising_steps=20, ft_denoising_steps=10)
_DDIM = DiffusionConfig(denoising_steps=100, use_ddim=True, ddim_steps=5, ft_denoising_steps=5)
_Sizes = tuple[DiffusionNetworkConfig, DiffusionConfig, PolicyShape]
SUBJECTS: dict[str, _Sizes] = {
    "hopper_mlp": (
        DiffusionMlpConfig(activation_type="ReLU"),
        _DDPM,
        PolicyShape(obs_dim=11, action_dim=3, cond_steps=1, horizon_steps=4, act_steps=4),
    ),
    "one_leg_mlp": (
        DiffusionMlpConfig(
            mlp_dims=(1024,) * 7, cond_mlp_dims=(512, 64), time_dim=32, use_layernorm=True
        ),
        _DDIM,
        PolicyShape(obs_dim=58, action_dim=10, cond_steps=1, horizon_steps=8, act_steps=8),
    ),
    "one_leg_unet": (
        DiffusionUnetConfig(dim=64, dim_mults=(1, 2, 4), groupnorm_eps=1e-4),
        _DDIM,
        PolicyShape(obs_dim=58, action_dim=10, cond_steps=1, horizon_steps=16, act_steps=8),
    ),
}
"""Network, chain and sizes by name, as published for fine-tuning."""


@dataclass(frozen=True)
class Subject:
    """A policy to measure, with its fine-tuned copy, and its description."""

    name: str
    policy: DiffusionPolicy
    header: PolicyHeader


def make_subject(name: str, obs_dim: int | None = None, action_dim: int | None = None) -> Subject:
    """Return a subject of `SUBJECTS`.

    Args:
        name: of the subject.
        obs_dim: size of the observation; None: as published.
        action_dim: size of the action; None: as published.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in SUBJECTS:
        raise ConfigError(unknown_name_message("subject", name, SUBJECTS))
    network, chain, shape = SUBJECTS[name]
    shape = replace(
        shape, obs_dim=obs_dim or shape.obs_dim, action_dim=action_dim or shape.action_dim
    )
    header = _header(name, network, chain, shape)
    torch.manual_seed(0)
    policy = header.build_policy()
    assert isinstance(policy, DiffusionPolicy) and policy.actor_ft is not None
    with torch.no_grad():
        # Equal weights would be stored once, and a cache would serve both networks.
        for parameter in policy.actor_ft.parameters():
            parameter.add_(_FINE_TUNED_CHANGE * parameter.std() * torch.randn_like(parameter))
    return Subject(name, policy.eval(), header)


def make_bundle(subject: Subject, precision: Precision) -> PolicyBundle:
    """Return the subject's graph as a bundle in memory, with its accuracy in `parity`."""
    policy, header = subject.policy, subject.header
    graph = build_graph(policy, header, precision)
    samples = sample_pairs(policy, header, _PARITY_ROWS)
    ends = header.action_normalizer
    chain = policy.config
    manifest = BundleManifest(
        name=subject.name,
        task=header.task,
        simulator="none",
        observation=header.observation_spec,
        action=header.action_spec,
        observation_normalizer=header.observation_normalizer,
        action_normalizer=ends,
        observation_clip=header.observation_clip,
        denoising=DenoisingSettings(
            denoising_steps=chain.denoising_steps,
            ft_denoising_steps=chain.ft_denoising_steps,
            ddim_steps=chain.chain_steps,
            eta=1.0 if is_stochastic(policy) else 0.0,
            denoised_clip_value=chain.denoised_clip_value,
            final_action_clip_value=chain.final_action_clip_value,
        ),
        horizon_steps=header.shape.horizon_steps,
        act_steps=header.shape.act_steps,
        guidance=True,
        cond_steps=header.shape.cond_steps,
        control_rate_hz=header.control_rate_hz,
        envelope=ActionEnvelope(ends.minimum, ends.maximum, ends.maximum - ends.minimum),
        training={},
        git_commit="unknown",
        data_hash="unknown",
        parity=measure_parity(graph, samples, header, precision),
    )
    golden = {**samples.inputs, "actions": samples.actions}
    return PolicyBundle(Path(subject.name), manifest, golden, graph)


def _header(
    name: str, network: DiffusionNetworkConfig, diffusion: DiffusionConfig, shape: PolicyShape
) -> PolicyHeader:
    return PolicyHeader(
        task=name,
        env={},
        network=network,
        diffusion=diffusion,
        gaussian=GaussianConfig(),
        shape=shape,
        observation_spec=_spec("observation", shape.obs_dim),
        action_spec=_spec("action", shape.action_dim),
        observation_normalizer=_unit_range(shape.obs_dim),
        action_normalizer=_unit_range(shape.action_dim),
        observation_clip=5.0,
        control_rate_hz=10.0,
        finetuned=True,
    )


def _spec(name: str, size: int) -> VectorSpec:
    components = tuple(f"number_{i}" for i in range(size))
    return VectorSpec((Field(name, size, "1", "none", components),))


def _unit_range(size: int) -> MinMaxNormalizer:
    return MinMaxNormalizer(-np.ones(size), np.ones(size))
