# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of an exported policy that reads the observation: scaling, features, encoders.

It runs once per chunk and may hold any torch module (relative poses, image encoders), so torch's
own exporter translates it. The chain behind it is written by hand.

Legend: B batch, To stacked states, Do state size, Ti stacked images, C image channels, F features.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from dppo_ros.core.manifest import IMAGE_INPUT
from sim_training.export_graph.builder import OPSET, GraphBuilder
from sim_training.networks.make import DenoisingNetwork
from sim_training.networks.shape import PolicyShape
from sim_training.policies.header import PolicyHeader

STATE_INPUT = "observation"
_LARGEST_BATCH = 4096


class ObservationReader(nn.Module):
    """Raw observations to the observation feature of every network."""

    middle: Tensor
    reach: Tensor

    def __init__(self, networks: Sequence[DenoisingNetwork], header: PolicyHeader) -> None:
        """Hold the encoders of the networks and the scaling of the header."""
        super().__init__()
        self.encoders = nn.ModuleList([network.encoder for network in networks])
        self.clip = header.observation_clip
        ends = header.observation_normalizer
        for name, value in (
            ("middle", 0.5 * (ends.maximum + ends.minimum)),
            ("reach", 0.5 * (ends.maximum - ends.minimum)),
        ):
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)))

    def forward(self, observation: Tensor, rgb: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return a feature (B, F) per network.

        Args:
            observation: (B, To, Do) raw units.
            rgb: (B, Ti, C, h, w) bytes; None for policies that see the state only.
        """
        scaled = ((observation - self.middle) / self.reach).clamp(-self.clip, self.clip)
        seen = {"state": scaled} if rgb is None else {"state": scaled, "rgb": rgb}
        return tuple(encoder(seen) for encoder in self.encoders)


def add_observation(
    builder: GraphBuilder, networks: Sequence[DenoisingNetwork], header: PolicyHeader
) -> list[str]:
    """Add the nodes from the graph's inputs to a feature (B, F) per network."""
    examples = {STATE_INPUT: torch.zeros(2, header.shape.cond_steps, header.shape.obs_dim)}
    if header.shape.cameras:
        examples[IMAGE_INPUT] = torch.zeros(2, *header.shape.image_shape, dtype=torch.uint8)
    model = _translate(ObservationReader(networks, header).eval(), examples)
    return builder.embed(model, {name: name for name in examples})


def input_sizes(shape: PolicyShape) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return element type and sizes of the observation inputs, without batch."""
    sizes: dict[str, tuple[int, tuple[int, ...]]] = {
        STATE_INPUT: (onnx.TensorProto.FLOAT, (shape.cond_steps, shape.obs_dim))
    }
    if shape.cameras:
        sizes[IMAGE_INPUT] = (onnx.TensorProto.UINT8, shape.image_shape)
    return sizes


def _translate(module: nn.Module, examples: dict[str, Tensor]) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                tuple(examples.values()),
                input_names=list(examples),
                opset_version=OPSET,
                dynamic_shapes={name: {0: batch} for name in examples},
                dynamo=True,
                verbose=False,
                optimize=True,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    return program.model_proto
