# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Guidance inside a chain: every predicted clean chunk is pulled towards a given one.

Real-time chunking (Black et al. 2025) samples the next chunk while the old one still runs, and
wants it to begin with the actions that will have been sent by then. Two inputs of the graph say
so: the chunk to agree with, in raw units, and how much, from 0 (not at all) to 1 (exactly).

    clean' = (1 - w) clean + w prefix,  prefix normalised and clipped like the clean chunk

Written with the factor 1 - w, the result is the clean chunk itself, bit for bit, where w is 0.
Actions of weight 1 leave the graph as they came in, without the rounding of two conversions.

Legend: B batch, H chunk length, A action size.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from dppo_ros.core.manifest import PREFIX_INPUT, PREFIX_WEIGHT_INPUT
from dppo_ros.core.normalizer import MinMaxNormalizer
from sim_training.export_graph.builder import GraphBuilder

Layout: TypeAlias = Literal["chunk", "flat", "channels"]
"""How a chain carries a chunk: (B, H, A), (B, H A) or (B, A, 1, H)."""


class Guide:
    """The nodes that guidance adds to a graph under construction."""

    def __init__(
        self,
        builder: GraphBuilder,
        ends: MinMaxNormalizer,
        clips: tuple[float | None, float | None],
        sizes: tuple[int, int],
        layout: Layout,
    ) -> None:
        """Compute what all steps share.

        Args:
            builder: receives the nodes.
            ends: scaling of the actions.
            clips: limits of the predicted clean chunk and of the final one, normalised; None
                for none.
            sizes: H and A.
            layout: of the chunks given to `blend`.
        """
        self._builder = builder
        self._horizon, self._actions = sizes
        # The numbers with which the graph scales its output, so that what it gave is not clipped.
        half = (0.5 * (ends.maximum - ends.minimum)).astype(np.float32)
        middle = (0.5 * (ends.maximum + ends.minimum)).astype(np.float32)
        scaled = builder.node("Sub", PREFIX_INPUT, builder.constant(middle))
        scaled = builder.clip(builder.node("Div", scaled, builder.constant(half)), clips[0])
        self._raw = PREFIX_INPUT
        limits = [limit for limit in clips if limit is not None]
        if limits:
            reach = np.float32(min(limits)) * half
            lowest = builder.node("Max", PREFIX_INPUT, builder.constant(middle - reach))
            self._raw = builder.node("Min", lowest, builder.constant(middle + reach))
        self._weight = builder.reshape(PREFIX_WEIGHT_INPUT, -1, self._horizon, 1)
        weight = self._arrange(self._weight, layout)
        self._kept = builder.node("Sub", builder.scalar(1.0), weight)
        self._pull = builder.node("Mul", weight, self._arrange(scaled, layout))

    def blend(self, clean: str) -> str:
        """Return a clean chunk pulled towards the prefix, in the layout of the chain."""
        kept = self._builder.node("Mul", clean, self._kept)
        return self._builder.node("Add", kept, self._pull)

    def finish(self, actions: str, act_steps: int) -> str:
        """Return the raw actions (B, act_steps, A), those of weight 1 replaced by the prefix."""
        builder = self._builder
        frozen = builder.node("GreaterOrEqual", self._weight, builder.scalar(1.0))
        first = [act_steps, self._horizon - act_steps] if act_steps < self._horizon else [act_steps]
        frozen = builder.split(frozen, first, axis=1)[0]
        raw = builder.split(self._raw, first, axis=1)[0]
        return builder.node("Where", frozen, raw, actions)

    def _arrange(self, x: str, layout: Layout) -> str:
        """Return (B, H, A or 1) in the layout of the chain."""
        builder = self._builder
        if layout == "chunk":
            return x
        if layout == "channels":
            x = builder.node("Transpose", x, perm=[0, 2, 1])
            return builder.node("Unsqueeze", x, builder.constant(np.array([2], dtype=np.int64)))
        whole = np.array([1, self._horizon, self._actions], dtype=np.int64)
        return builder.reshape(
            builder.node("Expand", x, builder.constant(whole)), -1, self._horizon * self._actions
        )
