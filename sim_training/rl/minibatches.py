# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which parts of an iteration each optimiser step sees.

Legend: C chunks, K fine-tuned transitions of a chunk, P pairs in a minibatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Minibatch:
    """What one optimiser step sees.

    Attributes:
        pairs: (P,) numbers chunk * K + position.
        chunks: chunks that the value function is fitted on.
    """

    pairs: Tensor
    chunks: Tensor


def minibatches(
    chunks: int,
    positions: int,
    size: int,
    value_fit: Literal["chunk", "pair"],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Iterator[Minibatch]:
    """Yield the minibatches of one epoch, in a new random order.

    Pairs are drawn over chunks and positions jointly; what does not fill a minibatch is left out,
    as in the reference. A minibatch larger than the iteration is the whole iteration.

    Args:
        chunks: C.
        positions: K.
        size: P, pairs of an optimiser step.
        value_fit: "chunk": every chunk once per epoch, spread over the minibatches. "pair": the
            chunks of the pairs, so that a chunk comes up to K times.
        generator: source of the order.
        device: of the result.
    """
    pairs = chunks * positions
    size = min(size, pairs)
    count = pairs // size
    pair_order = torch.randperm(pairs, generator=generator).to(device)
    chunk_order = torch.randperm(chunks, generator=generator).to(device)
    for index in range(count):
        chosen = pair_order[index * size : (index + 1) * size]
        fitted = chunk_order[index::count] if value_fit == "chunk" else chosen // positions
        yield Minibatch(chosen, fitted)
