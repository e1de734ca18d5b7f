# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the networks: layers, activations, encoders."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["ReLU", "ELU", "GELU", "Tanh", "Mish", "Softplus", "Identity"]


@dataclass(frozen=True)
class DiffusionMlpConfig:
    """MLP that predicts the noise in a whole action chunk."""

    name: Literal["mlp"] = "mlp"
    mlp_dims: tuple[int, ...] = (512, 512, 512)
    """Hidden sizes; residual style needs an odd number of equal ones (3: one block, 7: three)."""
    cond_mlp_dims: tuple[int, ...] = ()
    """Sizes of the observation encoder; empty feeds the observation in directly."""
    time_dim: int = 16
    """Size of the denoising-time feature."""
    activation_type: Activation = "Mish"
    residual_style: bool = True
    use_layernorm: bool = False
    obs_fourier_features: int = 0
    """Octaves of sin/cos features appended to the observation. 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """Furniture tasks: pairs like "tool:leg4" whose relative pose, computed from the observation,
    the network sees as well; millimetre tasks need it. Empty: off."""


@dataclass(frozen=True)
class CriticConfig:
    """State-value network."""

    mlp_dims: tuple[int, ...] = (256, 256, 256)
    activation_type: Activation = "Mish"
    residual_style: bool = True
    use_layernorm: bool = False
    obs_fourier_features: int = 0
    """As for the actor; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the actor; empty: off."""
