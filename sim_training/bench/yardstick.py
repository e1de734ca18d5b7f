# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The peak of this machine: matrix products and reading of memory, with a given thread count.

What a benchmark reaches is stated as a share of these, measured in the same run, so that figures
of different machines, and of busy and idle ones, can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_ROWS, _WIDTH = 2000, 512
"""Sizes of the measured product: a minibatch through a hidden layer of the Hopper policy."""
_MEMORY_BYTES = 256 * 2**20
"""Far larger than any cache."""
_REPEATS = 5


@dataclass(frozen=True)
class Yardstick:
    """Measured peak.

    Attributes:
        threads: of torch while measuring.
        fp32_gflops: products of float32 matrices, 10^9 operations per second.
        bf16_gflops: products of bfloat16 matrices.
        memory_gb_s: reading of an array far larger than the caches, 10^9 bytes per second.
    """

    threads: int
    fp32_gflops: float
    bf16_gflops: float
    memory_gb_s: float


def measure_yardstick(threads: int) -> Yardstick:
    """Measure the peak in about a second; sets torch's thread count and leaves it."""
    torch.set_num_threads(threads)
    return Yardstick(
        threads,
        _matmul_gflops(torch.float32),
        _matmul_gflops(torch.bfloat16),
        read_bandwidth_gb_s(_MEMORY_BYTES),
    )


def read_bandwidth_gb_s(size_bytes: int) -> float:
    """Return how fast an array of this size is read over and over; small ones stay in a cache."""
    array = torch.ones(max(size_bytes // 4, 1024))
    passes = max(1, 2**26 // (4 * array.numel()))

    def read() -> None:
        for _ in range(passes):
            array.sum()

    return 4e-9 * array.numel() * passes / fastest_s(read)


def fastest_s(action: Callable[[], None], repeats: int = _REPEATS) -> float:
    """Return the shortest of some durations: what the machine can do when undisturbed."""
    action()
    durations = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        durations.append(time.perf_counter() - begun)
    return min(durations)


def _matmul_gflops(kind: torch.dtype) -> float:
    left = torch.randn(_ROWS, _WIDTH).to(kind)
    right = torch.randn(_WIDTH, _WIDTH).to(kind)

    def multiply() -> None:
        for _ in range(4):
            left @ right

    return 1e-9 * 4 * 2 * _ROWS * _WIDTH * _WIDTH / fastest_s(multiply)
