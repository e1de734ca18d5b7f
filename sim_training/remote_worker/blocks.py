# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Named arrays in one piece of shared memory (both ends; Python 3.8)."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ALIGNMENT = 64
"""Arrays start at multiples of this many bytes: a cache line."""


@dataclass(frozen=True)
class ArraySpec:
    """One array both ends see.

    Attributes:
        name: unique among the arrays.
        shape: its sizes.
        dtype: NumPy's name of its type, such as "float32".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


def lay_out(arrays: Sequence[ArraySpec]) -> list[dict[str, Any]]:
    """Return where each array sits in the memory, as JSON values.

    Raises:
        ValueError: two arrays share a name.
    """
    if len({array.name for array in arrays}) != len(arrays):
        raise ValueError(f"array names must be unique: {[array.name for array in arrays]}")
    layout: list[dict[str, Any]] = []
    offset = 0
    for array in arrays:
        size = int(np.prod(array.shape, dtype=np.int64)) * np.dtype(array.dtype).itemsize
        layout.append(
            {
                "name": array.name,
                "shape": list(array.shape),
                "dtype": array.dtype,
                "offset": offset,
                "bytes": size,
            }
        )
        offset += -(-size // _ALIGNMENT) * _ALIGNMENT
    return layout


def map_arrays(
    memory_fd: int, layout: Sequence[Mapping[str, Any]], create: bool
) -> dict[str, np.ndarray]:
    """Return the arrays of a layout; they live as long as anybody holds one of them.

    Args:
        memory_fd: an open memory file.
        layout: from `lay_out`.
        create: give the file its size first (the worker); otherwise it must be large enough.

    Raises:
        ValueError: the file is too small for the layout.
    """
    total = max(1, max((entry["offset"] + entry["bytes"] for entry in layout), default=0))
    if create:
        os.ftruncate(memory_fd, total)
    elif os.fstat(memory_fd).st_size < total:
        raise ValueError(f"shared memory holds {os.fstat(memory_fd).st_size} bytes, not {total}")
    memory = mmap.mmap(memory_fd, total)
    arrays: dict[str, np.ndarray] = {}
    for entry in layout:
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(memory, dtype=dtype, count=count, offset=entry["offset"])
        arrays[entry["name"]] = flat.reshape(shape)
    return arrays
