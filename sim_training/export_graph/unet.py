# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one-dimensional UNet inside an exported chain.

The scale and shift of every block depend on time and observation only. They are computed for all
steps at once, so the weights of those layers, about half of the network, are read once per chunk.
Convolutions are written as two-dimensional ones of height 1, for which ONNX Runtime has faster
code.

Legend: B batch, A action size, C channels, L length at a level, F features, G groups, q width of
a block's conditioning, S steps that this network owns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sim_training.diffusion.schedule import DenoisingSteps
from sim_training.export_graph.builder import GraphBuilder
from sim_training.export_graph.layers import activation, linear, module_linear, values
from sim_training.networks.shape import PolicyShape
from sim_training.networks.unet import ConvBlock, DiffusionUnet, FilmBlock, Level


class UnetDenoiser:
    """The steps of a chain that one UNet owns; chunks are (B, A, 1, L)."""

    def __init__(
        self,
        builder: GraphBuilder,
        network: DiffusionUnet,
        shape: PolicyShape,
        steps: DenoisingSteps,
        positions: Sequence[int],
        feature: str,
    ) -> None:
        """Compute what the steps share; arguments as for `MlpDenoiser`."""
        self._builder = builder
        self._network = network
        self._steps = steps
        self._horizon = shape.horizon_steps
        self._order = {position: index for index, position in enumerate(positions)}
        with torch.no_grad():
            time = network.encode_time(steps.time[list(positions)])
        blocks = [module for module in network.modules() if isinstance(module, FilmBlock)]
        self._films = self._conditions(blocks, time, feature)

    def clean(self, position: int, chunk: str, scale: float) -> str:
        """Return the predicted clean chunk (B, A, 1, L), not clipped; see `MlpDenoiser.clean`."""
        builder, network = self._builder, self._network
        hidden, length = builder.node("Mul", chunk, builder.scalar(scale)), self._horizon
        skips: list[str] = []
        for level in network.down:
            assert isinstance(level, Level)
            hidden = self._blocks(position, hidden, level, length)
            skips.append(hidden)
            if isinstance(level.resample, nn.Conv1d):
                hidden, length = self._convolve(hidden, level.resample), length // 2
        hidden = self._blocks(position, hidden, network.middle, length)
        for level in network.up:
            assert isinstance(level, Level) and isinstance(level.resample, nn.ConvTranspose1d)
            hidden = builder.node("Concat", hidden, skips.pop(), axis=1)
            hidden = self._blocks(position, hidden, level, length)
            hidden, length = self._convolve(hidden, level.resample), 2 * length
        block, last = network.head
        assert isinstance(block, ConvBlock) and isinstance(last, nn.Conv1d)
        hidden = self._conv_block(hidden, block, length)
        factor = -float(self._steps.x0_from_output[position])
        noise = self._convolve(hidden, last, factor)
        kept = float(self._steps.x0_from_x[position]) * scale
        return builder.node("Add", noise, builder.node("Mul", chunk, builder.scalar(kept)))

    def _conditions(
        self, blocks: Sequence[FilmBlock], time: torch.Tensor, feature: str
    ) -> dict[int, list[list[str]]]:
        """Return per block and step the values (B, C, 1, 1) that enter it: [scale,] shift."""
        builder, count = self._builder, len(time)
        opening = next(iter(blocks[0].film))
        if not isinstance(opening, nn.Linear):
            time, feature = opening(time), activation(builder, feature, opening)
        first = [next(m for m in block.film if isinstance(m, nn.Linear)) for block in blocks]
        weight = np.concatenate([values(layer.weight) for layer in first])
        bias = np.concatenate([values(layer.bias) for layer in first])
        time_part, feature_part = np.split(weight, [time.shape[1]], axis=1)
        shared = linear(builder, feature, feature_part, np.zeros_like(bias))
        each = builder.node(
            "Add",
            builder.reshape(shared, -1, 1, len(bias)),
            builder.constant((values(time) @ time_part.T + bias)[None]),
        )
        parts = builder.split(each, [len(layer.bias) for layer in first], axis=2)
        films: dict[int, list[list[str]]] = {}
        for block, layer, part in zip(blocks, first, parts, strict=True):
            films[id(block)] = self._film(block, layer, part, count)
        return films

    def _film(self, block: FilmBlock, layer: nn.Linear, x: str, count: int) -> list[list[str]]:
        """Return the rest of a block's conditioning behind its first linear layer, (B, S, q)."""
        builder = self._builder
        rows = builder.reshape(x, -1, len(layer.bias))
        modules = list(block.film)
        for module in modules[modules.index(layer) + 1 :]:
            if isinstance(module, nn.Linear):
                rows = module_linear(builder, rows, module)
            else:
                rows = activation(builder, rows, module)
        kinds = 2 if block.scales else 1
        last = modules[-1]
        assert isinstance(last, nn.Linear)
        size = last.out_features // kinds
        flat = builder.reshape(rows, -1, count * kinds * size, 1, 1)
        pieces = builder.split(flat, [size] * (count * kinds), axis=1)
        return [pieces[i * kinds : (i + 1) * kinds] for i in range(count)]

    def _blocks(self, position: int, x: str, level: Level, length: int) -> str:
        for block in level.blocks:
            assert isinstance(block, FilmBlock)
            x = self._film_block(position, x, block, length)
        return x

    def _film_block(self, position: int, x: str, block: FilmBlock, length: int) -> str:
        builder = self._builder
        hidden = self._conv_block(x, block.first, length)
        film = self._films[id(block)][self._order[position]]
        if block.scales:
            hidden = builder.node("Mul", hidden, film[0])
        hidden = self._conv_block(builder.node("Add", hidden, film[-1]), block.second, length)
        if isinstance(block.shortcut, nn.Conv1d):
            x = self._convolve(x, block.shortcut)
        return builder.node("Add", hidden, x)

    def _conv_block(self, x: str, block: ConvBlock, length: int) -> str:
        builder = self._builder
        convolution, norm, function = block
        assert isinstance(convolution, nn.Conv1d) and isinstance(norm, nn.GroupNorm)
        groups, channels = norm.num_groups, norm.num_channels
        grouped = (1, groups, channels // groups * length)
        # A group's channels lie side by side: group normalisation is layer normalisation of rows.
        rows = builder.reshape(self._convolve(x, convolution), -1, *grouped[1:])
        rows = builder.node(
            "LayerNormalization",
            rows,
            builder.constant(values(norm.weight).repeat(length).reshape(grouped)),
            builder.constant(values(norm.bias).repeat(length).reshape(grouped)),
            axis=-1,
            epsilon=norm.eps,
        )
        return builder.reshape(activation(builder, rows, function), -1, channels, 1, length)

    def _convolve(self, x: str, layer: nn.Conv1d | nn.ConvTranspose1d, factor: float = 1.0) -> str:
        """Return factor times the layer's output."""
        builder = self._builder
        assert layer.bias is not None and isinstance(layer.padding, tuple)
        return builder.node(
            "Conv" if isinstance(layer, nn.Conv1d) else "ConvTranspose",
            x,
            builder.constant(factor * values(layer.weight)[:, :, None, :]),
            builder.constant(factor * values(layer.bias)),
            kernel_shape=[1, layer.kernel_size[0]],
            strides=[1, layer.stride[0]],
            pads=[0, layer.padding[0], 0, layer.padding[0]],
        )
