# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Observations as tensors, and the part of every network that reads them.

Legend: B batch, To stacked states, Do state size, Ti stacked images, C image channels, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sim_training.networks.config import VisionConfig
from sim_training.networks.features import ObservationFeatures, ObservationLayout
from sim_training.networks.layers import PlainMlp
from sim_training.networks.shape import PolicyShape
from sim_training.networks.vision import VisionEncoder

TensorObservation = dict[str, Tensor]
"""{"state": (B, To, Do) float32, normalised}; pixel policies also {"rgb": (B, Ti, C, h, w) uint8}.
Newest entries last."""


class EncoderSettings(Protocol):
    """What the settings of any network say about reading observations."""

    @property
    def obs_fourier_features(self) -> int:
        """Octaves of sin/cos features."""
        ...

    @property
    def relative_pairs(self) -> tuple[str, ...]:
        """Pairs of objects whose relative pose is added."""
        ...

    @property
    def vision(self) -> VisionConfig | None:
        """Image encoder; None reads the state only, even if there are images."""
        ...


class ObservationEncoder(nn.Module):
    """From an observation to one feature vector: of the images, if any, then of the state."""

    vision: VisionEncoder | None

    def __init__(
        self,
        settings: EncoderSettings,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
        cond_mlp_dims: Sequence[int] = (),
        activation: str = "Mish",
    ) -> None:
        """Build the parts.

        Args:
            settings: of the network that reads.
            shape: sizes of the observation.
            layout: meaning of the state; only for `relative_pairs`.
            cond_mlp_dims: layers of an MLP over the state features; empty: none.
            activation: of that MLP.

        Raises:
            ConfigError: an image encoder without images, or features that the layout lacks.
        """
        super().__init__()
        self.features = ObservationFeatures(
            settings.obs_fourier_features,
            settings.relative_pairs,
            shape.obs_dim,
            shape.cond_steps,
            layout,
        )
        self.output_dim = self.features.output_dim
        self.cond_mlp: nn.Module = nn.Identity()
        if cond_mlp_dims:
            self.cond_mlp = PlainMlp([self.output_dim, *cond_mlp_dims], activation)
            self.output_dim = cond_mlp_dims[-1]
        self.vision = None
        if settings.vision is not None:
            self.vision = VisionEncoder(settings.vision, shape)
            self.output_dim += self.vision.output_dim

    def forward(self, observation: TensorObservation) -> Tensor:
        """Map an observation to features (B, F)."""
        features = self.cond_mlp(self.features(observation["state"]))
        if self.vision is None:
            return features
        visual = self.vision(observation["rgb"], observation["state"])
        return torch.cat([visual, features], dim=-1)


def to_tensors(
    observation: Mapping[str, NDArray[np.generic]], device: torch.device | str = "cpu"
) -> TensorObservation:
    """Return a NumPy observation as tensors on a device (no copy on the CPU)."""
    return {name: torch.from_numpy(value).to(device) for name, value in observation.items()}


def take(observation: TensorObservation, index: Tensor | slice) -> TensorObservation:
    """Return the chosen rows of an observation."""
    return {name: value[index] for name, value in observation.items()}


def batch_size(observation: TensorObservation) -> int:
    """Return the number of rows B."""
    return len(observation["state"])


def concatenate(parts: Sequence[TensorObservation]) -> TensorObservation:
    """Return observations joined along the batch."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def split(observation: TensorObservation, rows: int) -> list[TensorObservation]:
    """Return an observation cut into parts of at most this many rows."""
    size = batch_size(observation)
    return [take(observation, slice(start, start + rows)) for start in range(0, size, rows)]
