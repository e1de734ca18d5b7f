# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deviation, squashing and clipping of an imported Gaussian or mixture policy."""

from __future__ import annotations

from typing import Literal

from dppo_ros.core.errors import CheckpointError
from sim_training.interop.config import ImportConfig
from sim_training.interop.findings import WEIGHTS, Findings
from sim_training.interop.infer import NetworkReading
from sim_training.networks.config import GaussianConfig, GaussianMlpConfig


def gaussian_settings(
    reading: NetworkReading, action_dim: int, options: ImportConfig, findings: Findings
) -> GaussianConfig:
    """Return deviation, squashing and clipping of a Gaussian or mixture policy.

    Raises:
        CheckpointError: the deviation is a constant that the user must name, or does not fit.
    """
    if reading.std is None:
        return GaussianConfig()
    std = reading.std
    kind = std.kind or _kind_of_head(reading, action_dim)
    fixed_std = std.learned if kind == "per_dimension" else options.chain.fixed_std
    if fixed_std is None and kind == "fixed":
        raise CheckpointError(
            "the deviation of this policy is a constant that the checkpoint does not hold; give "
            "--chain.fixed-std (0.1 in the reference's settings)"
        )
    tanh_range = isinstance(reading.config, GaussianMlpConfig) and reading.vision is None
    findings.note("gaussian.std", kind, WEIGHTS)
    findings.note("gaussian.std_min, std_max", f"{std.std_min:g}, {std.std_max:g}", WEIGHTS)
    findings.note_default("gaussian.tanh_mean", options.network.tanh_mean, True)
    return GaussianConfig(
        std=kind,
        fixed_std=GaussianConfig.fixed_std if fixed_std is None else fixed_std,
        std_min=std.std_min,
        std_max=std.std_max,
        std_range="tanh" if tanh_range else "clamp",
        tanh_mean=options.network.tanh_mean,
        randn_clip_value=options.chain.randn_clip_value,
        final_action_clip_value=options.chain.final_action_clip_value,
    )


def _kind_of_head(reading: NetworkReading, action_dim: int) -> Literal["fixed", "head"]:
    """Return the kind of a transformer without learnable deviations; a head has twice A."""
    if reading.head_dim == action_dim:
        return "fixed"
    if reading.head_dim == 2 * action_dim:
        return "head"
    raise CheckpointError(
        f"the head has {reading.head_dim} outputs per action, but action_dim is {action_dim}; is "
        "this the right task?"
    )
