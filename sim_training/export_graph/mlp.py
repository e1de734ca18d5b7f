# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The diffusion MLP inside an exported chain.

The first layer is linear in chunk, time and observation, so its observation part is computed once
for all steps and its time part is a constant; a step multiplies the noisy chunk only.

Legend: B batch, H chunk length, A action size, S steps that this network owns, w width of the
trunk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sim_training.diffusion.schedule import DenoisingSteps
from sim_training.export_graph.builder import GraphBuilder
from sim_training.export_graph.layers import (
    INT8_SMALLEST,
    FloatArray,
    activation,
    layer_norm,
    linear,
    module_linear,
    values,
)
from sim_training.networks.layers import ResidualBlock
from sim_training.networks.mlp import DiffusionMlp
from sim_training.networks.shape import PolicyShape


class MlpDenoiser:
    """The steps of a chain that one diffusion MLP owns; chunks are (B, H A)."""

    def __init__(
        self,
        builder: GraphBuilder,
        network: DiffusionMlp,
        shape: PolicyShape,
        steps: DenoisingSteps,
        positions: Sequence[int],
        feature: str,
    ) -> None:
        """Compute what the steps share.

        Args:
            builder: receives the nodes.
            network: the weights.
            shape: sizes of the chunk.
            steps: constants of the whole chain.
            positions: chain positions of this network.
            feature: its observation feature (B, F).
        """
        self._builder = builder
        self._steps = steps
        first, *self._body, last = network.mlp_mean.layers
        assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
        self._output = last
        chunk_dim = shape.horizon_steps * shape.action_dim
        weight, bias = values(first.weight), values(first.bias)
        with torch.no_grad():
            time = values(network.encode_time(steps.time[list(positions)]))
        chunk_part, time_part, feature_part = np.split(
            weight, [chunk_dim, chunk_dim + time.shape[1]], axis=1
        )
        self._chunk_weight = chunk_part.T
        constant = time @ time_part.T + bias
        self._context = dict(
            zip(positions, self._contexts(feature, feature_part, constant), strict=True)
        )

    def clean(self, position: int, chunk: str, scale: float) -> str:
        """Return the predicted clean chunk (B, H A), not clipped.

        Args:
            position: in the chain.
            chunk: the noisy chunk, divided by `scale`.
            scale: see above.
        """
        builder = self._builder
        hidden = builder.node(
            "Gemm",
            chunk,
            builder.constant(self._chunk_weight),
            self._context[position],
            alpha=scale,
        )
        skipped_bias = np.zeros(1, dtype=np.float32)
        for index, layer in enumerate(self._body):
            if isinstance(layer, ResidualBlock):
                last = index == len(self._body) - 1
                hidden, skipped_bias = self._residual(hidden, layer, last)
            elif isinstance(layer, nn.Linear):
                hidden = module_linear(builder, hidden, layer)
            elif isinstance(layer, nn.LayerNorm):
                hidden = layer_norm(builder, hidden, layer)
            else:
                hidden = activation(builder, hidden, layer)
        return self._finish(position, chunk, scale, hidden, skipped_bias)

    def _contexts(self, feature: str, weight: FloatArray, constant: FloatArray) -> list[str]:
        """Return what enters the first layer besides the chunk: S values (B, w)."""
        builder = self._builder
        count, width = constant.shape
        shared = linear(builder, feature, weight, np.zeros(width, dtype=np.float32))
        each = builder.node(
            "Add", builder.reshape(shared, -1, 1, width), builder.constant(constant[None])
        )
        return builder.split(builder.reshape(each, -1, count * width), [width] * count, axis=1)

    def _residual(self, x: str, block: ResidualBlock, last: bool) -> tuple[str, FloatArray]:
        """Return the block's output and a bias that is still to be added to it.

        Before the output layer that bias passes into the layer's own, which lets one node multiply
        and add the shortcut.
        """
        builder = self._builder
        hidden = activation(builder, layer_norm(builder, x, block.norm1), block.activation)
        hidden = module_linear(builder, hidden, block.l1)
        hidden = activation(builder, layer_norm(builder, hidden, block.norm2), block.activation)
        weight = values(block.l2.weight)
        quantised = builder.precision == "int8" and weight.size >= INT8_SMALLEST
        if last and not quantised:
            return builder.node("Gemm", hidden, builder.constant(weight.T), x), values(
                block.l2.bias
            )
        added = builder.node("Add", x, module_linear(builder, hidden, block.l2))
        return added, np.zeros(len(weight), dtype=np.float32)

    def _finish(
        self, position: int, chunk: str, scale: float, hidden: str, skipped_bias: FloatArray
    ) -> str:
        """Return x0_from_x x - x0_from_output out, out = W (hidden + skipped bias) + b."""
        builder = self._builder
        weight, bias = values(self._output.weight), values(self._output.bias)
        if skipped_bias.size == weight.shape[1]:
            bias = bias + weight @ skipped_bias
        from_output = float(self._steps.x0_from_output[position])
        from_chunk = float(self._steps.x0_from_x[position]) * scale
        noise = builder.node(
            "Gemm",
            hidden,
            builder.constant(weight.T),
            chunk,
            alpha=-from_output,
            beta=from_chunk,
        )
        return builder.node("Add", noise, builder.constant(-from_output * bias))
