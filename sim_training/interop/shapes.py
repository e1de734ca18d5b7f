# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the shapes of the reference's weights say about single parts: MLPs, deviations, images."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dppo_ros.core.errors import CheckpointError
from sim_training.interop.torch_file import scalar
from sim_training.networks.config import VisionConfig

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class MlpShape:
    """Layers of an MLP.

    Attributes:
        inputs: input size.
        hidden: sizes between input and output, as in a configuration's mlp_dims.
        outputs: output size.
        residual: residual or plain.
        use_layernorm: hidden layers are normalised.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    residual: bool
    use_layernorm: bool


def size(weights: Weights, name: str, axis: int) -> int:
    """Return one size of a weight.

    Raises:
        CheckpointError: the weight is missing or has fewer dimensions.
    """
    if name not in weights or weights[name].ndim <= axis:
        raise CheckpointError(f"the checkpoint lacks the weight {name!r}, or it has another shape")
    return int(weights[name].shape[axis])


def count(weights: Weights, pattern: str) -> int:
    """Return how many different first groups a pattern finds among the names."""
    found = (re.match(pattern, name) for name in weights)
    return len({match.group(1) for match in found if match})


def has(weights: Weights, prefix: str) -> bool:
    """Return whether a weight or module of this name exists."""
    return any(name == prefix or name.startswith(prefix + ".") for name in weights)


def read_mlp(weights: Weights, prefix: str) -> MlpShape:
    """Return the layers of the MLP under a prefix.

    Raises:
        CheckpointError: there is no MLP.
    """
    start = re.escape(prefix)
    if has(weights, f"{prefix}.moduleList"):
        layers = count(weights, rf"{start}\.moduleList\.(\d+)\.linear_1\.weight")
        names = [f"{prefix}.moduleList.{index}.linear_1.weight" for index in range(layers)]
        sizes = [size(weights, name, 0) for name in names]
        norm = has(weights, f"{prefix}.moduleList.0.norm_1") and layers > 1
        return MlpShape(size(weights, names[0], 1), tuple(sizes[:-1]), sizes[-1], False, norm)
    blocks = count(weights, rf"{start}\.layers\.(\d+)\.l1\.weight")
    first = f"{prefix}.layers.0.weight"
    return MlpShape(
        size(weights, first, 1),
        (size(weights, first, 0),) * (2 * blocks + 1),
        size(weights, f"{prefix}.layers.{blocks + 1}.weight", 0),
        True,
        has(weights, f"{prefix}.layers.1.norm1"),
    )


@dataclass(frozen=True)
class StdShape:
    """Deviation of a Gaussian or mixture policy.

    Attributes:
        kind: as in `GaussianConfig.std`; None where shapes of the heads must decide.
        std_min: least deviation.
        std_max: largest deviation.
        learned: mean of the learnable deviations; None without any.
        entries: number of learnable deviations; None without any.
    """

    kind: Literal["fixed", "per_dimension", "head"] | None
    std_min: float
    std_max: float
    learned: float | None
    entries: int | None


STD_SETTINGS = ("logvar_min", "logvar_max")
"""Weights of the reference that are settings here."""


def read_std(weights: Weights) -> StdShape:
    """Return the deviation's kind and limits.

    Raises:
        CheckpointError: the limits are missing.
    """
    missing = [name for name in STD_SETTINGS if name not in weights]
    if missing:
        raise CheckpointError(f"the checkpoint lacks {missing}, which a Gaussian or mixture has")
    low, high = (_std(scalar(weights[name], name)) for name in STD_SETTINGS)
    if "logvar" in weights:
        learned = weights["logvar"].clamp(2 * math.log(low), 2 * math.log(high))
        start = _std(float(learned.mean()))
        return StdShape(
            "per_dimension", low, high, min(max(start, low), high), weights["logvar"].numel()
        )
    if has(weights, "mlp_logvar"):
        return StdShape("head", low, high, None, None)
    return StdShape(None if has(weights, "transformer") else "fixed", low, high, None, None)


@dataclass(frozen=True)
class VisionShape:
    """Image encoder.

    Attributes:
        config: as configured here.
        tokens: patches per image.
        cameras: images per observation.
        img_cond_steps: stacked images.
        state_dim: numbers of the state history that the spatial embedding sees.
    """

    config: VisionConfig
    tokens: int
    cameras: int
    img_cond_steps: int
    state_dim: int

    @property
    def features(self) -> int:
        """Numbers that the encoder returns."""
        return self.cameras * self.config.spatial_dim


def read_vision(weights: Weights, num_heads: int) -> VisionShape | None:
    """Return the image encoder, or None without images.

    Raises:
        CheckpointError: an encoder without spatial embedding, or missing weights.
    """
    if not has(weights, "backbone"):
        return None
    vit = "backbone.vit"
    plain = has(weights, f"{vit}.patch_embed.conv")
    stem = f"{vit}.patch_embed.conv.weight" if plain else f"{vit}.patch_embed.embed.0.weight"
    cameras = 2 if has(weights, "compress1") else 1
    compress = "compress1" if cameras == 2 else "compress"
    if f"{compress}.input_proj.0.weight" not in weights:
        raise CheckpointError(
            "the image encoder has no spatial embedding (spatial_emb 0 in the reference); only "
            "encoders with one can be imported"
        )
    tokens = size(weights, f"{vit}.pos_embed", 1)
    channels = size(weights, stem, 1)
    if channels % 3:
        raise CheckpointError(f"the image encoder reads {channels} channels; 3 per image expected")
    config = VisionConfig(
        patch_style="plain" if plain else "overlapping",
        patch_norm=has(weights, f"{vit}.patch_embed.embed.1"),
        embed_dim=size(weights, stem, 0),
        num_heads=num_heads,
        depth=count(weights, r"backbone\.vit\.net\.(\d+)\."),
        spatial_dim=size(weights, f"{compress}.input_proj.0.weight", 0),
    )
    state_dim = size(weights, f"{compress}.input_proj.0.weight", 1) - tokens
    return VisionShape(config, tokens, cameras, channels // 3, state_dim)


def _std(log_variance: float) -> float:
    # Six digits undo the rounding of log and square in single precision: 0.01, not 0.0099999998.
    return float(f"{math.exp(0.5 * log_variance):.6g}")
