# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixed features of an observation, appended in front of a network; no parameters.

Threading a leg needs millimetres out of a workspace of half a metre, and what matters is where
things are relative to each other. An MLP learns such differences of scaled, rotated inputs
slowly. ``RelativePoses`` computes them from the same observation, inside the network, so that
policies keep the documented observation and the exported graph stays self-contained.

Legend: B batch, To stacked observations, Do observation size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.observation import (
    BASE_FROM_TAG_ROTATION,
    POSE_SUFFIX,
    TAG_ORIGIN_IN_BASE,
    spec_parts,
)
from dppo_ros.core.spec import VectorSpec

TOOL = "tool"
LENGTH_SCALES_M = (0.1, 0.02, 0.005)
"""Relative positions are squashed by tanh at each of these scales: far, near, contact."""


@dataclass(frozen=True)
class ObservationLayout:
    """What the numbers of an observation mean and how they were normalised."""

    spec: VectorSpec
    normalizer: MinMaxNormalizer


class FourierFeatures(nn.Module):
    """Append sin and cos of pi * 2^j * x, j < n, to every input number.

    Spreads fine scales over several inputs. Bounded for any input, so outliers stay harmless.
    """

    frequencies: Tensor

    def __init__(self, n: int) -> None:
        """Prepare n octaves; n = 0 passes the input through."""
        super().__init__()
        self.n = n
        frequencies = math.pi * 2.0 ** torch.arange(n, dtype=torch.float32)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def output_dim(self, input_dim: int) -> int:
        """Return the feature count for inputs of this size."""
        return input_dim * (1 + 2 * self.n)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D) to (B, D (1 + 2 n))."""
        if self.n == 0:
            return x
        angle = (x.unsqueeze(-1) * self.frequencies).flatten(1)
        return torch.cat([x, angle.sin(), angle.cos()], dim=-1)


class RelativePoses(nn.Module):
    """Poses of chosen objects relative to each other, from the newest observation.

    Per pair "a:b" the position of b in the frame of a, squashed at ``LENGTH_SCALES_M``, and the
    first two rows of ``a_from_b``: 15 numbers.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, pairs: tuple[str, ...], layout: ObservationLayout) -> None:
        """Resolve the pairs.

        Args:
            pairs: "a:b" with a and b the tool or a tracked object.
            layout: of the observation; it needs the furniture fields.

        Raises:
            ConfigError: a pair is malformed or names something that the layout lacks.
        """
        super().__init__()
        self._spec = layout.spec
        names = (TOOL, *spec_parts(layout.spec))
        self._pairs = [_split_pair(pair, names) for pair in pairs]
        low = np.asarray(layout.normalizer.minimum, dtype=np.float64)
        high = np.asarray(layout.normalizer.maximum, dtype=np.float64)
        self.register_buffer("scale", _tensor((high - low) / 2), persistent=False)
        self.register_buffer("offset", _tensor((high + low) / 2), persistent=False)
        self.register_buffer("_base_from_tag", _tensor(BASE_FROM_TAG_ROTATION), persistent=False)
        self.register_buffer("_tag_origin", _tensor(TAG_ORIGIN_IN_BASE), persistent=False)

    @property
    def output_dim(self) -> int:
        """Numbers produced."""
        return len(self._pairs) * (3 * len(LENGTH_SCALES_M) + 6)

    def forward(self, newest: Tensor) -> Tensor:
        """Map normalised observations (B, Do) to features (B, output_dim).

        Always in float32: bfloat16 would round half a metre to millimetres.
        """
        with torch.autocast(newest.device.type, enabled=False):
            return self._features(newest.float())

    def _features(self, newest: Tensor) -> Tensor:
        raw = newest * self.scale + self.offset
        poses = {name: self._pose(name, raw) for pair in self._pairs for name in pair}
        features = []
        for first, second in self._pairs:
            (position_a, base_from_a), (position_b, base_from_b) = poses[first], poses[second]
            a_from_base = base_from_a.transpose(-1, -2)
            offset = (a_from_base @ (position_b - position_a).unsqueeze(-1)).squeeze(-1)
            features += [torch.tanh(offset / scale) for scale in LENGTH_SCALES_M]
            features.append((a_from_base @ base_from_b)[:, :2].flatten(1))
        return torch.cat(features, dim=-1)

    def _pose(self, name: str, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Position (B, 3) and rotation (B, 3, 3) in the base frame."""
        if name == TOOL:
            rows = raw[:, self._spec.slice("tool_rotation_6d")]
            first, second = rows[:, :3], rows[:, 3:]
            third = torch.linalg.cross(first, second)
            rotation = torch.stack([first, second, third], dim=1)
            return raw[:, self._spec.slice("tool_position")], rotation
        pose = raw[:, self._spec.slice(name + POSE_SUFFIX)]
        base_from_tag: Tensor = self._base_from_tag  # type: ignore[assignment]
        position = pose[:, :3] @ base_from_tag.T + self._tag_origin  # type: ignore[operator]
        return position, base_from_tag @ _matrix_from_quaternion(pose[:, 3:])


class ObservationFeatures(nn.Module):
    """What a network sees of an observation history: itself, octaves, relative poses."""

    def __init__(
        self,
        octaves: int,
        relative_pairs: tuple[str, ...],
        obs_dim: int,
        cond_steps: int,
        layout: ObservationLayout | None,
    ) -> None:
        """Build the parts.

        Raises:
            ConfigError: relative pairs without a layout to find them in.
        """
        super().__init__()
        self.fourier = FourierFeatures(octaves)
        self.relative: RelativePoses | None = None
        self.output_dim = self.fourier.output_dim(cond_steps * obs_dim)
        if relative_pairs:
            if layout is None:
                raise ConfigError(
                    f"relative_pairs is {', '.join(relative_pairs)} but the observation layout is "
                    "not known here; leave it empty"
                )
            self.relative = RelativePoses(relative_pairs, layout)
            self.output_dim += self.relative.output_dim

    def forward(self, state: Tensor) -> Tensor:
        """Map normalised states (B, To, Do) to features (B, output_dim)."""
        features = self.fourier(state.flatten(1))
        if self.relative is None:
            return features
        return torch.cat([features, self.relative(state[:, -1])], dim=-1)


def _split_pair(pair: str, names: tuple[str, ...]) -> tuple[str, str]:
    parts = pair.split(":")
    if len(parts) != 2:
        raise ConfigError(f"relative pair {pair!r} must be two names joined by ':', as 'tool:top'")
    for name in parts:
        if name not in names:
            raise ConfigError(unknown_name_message("object in relative_pairs", name, names))
    return parts[0], parts[1]


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _matrix_from_quaternion(quaternion: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) of xyzw quaternions (B, 4), normalised first."""
    unit = quaternion / quaternion.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    x, y, z, w = unit.unbind(-1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, dim=-1).view(-1, 3, 3)
