# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compares the inputs and outputs of a graph with what the bundle's description promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dppo_ros.core.errors import BundleError
from dppo_ros.core.manifest import EXPORT_ADVICE, IMAGE_INPUT, BundleManifest


class GraphEnd(Protocol):
    """An input or output of a graph, as ONNX Runtime reports it."""

    name: str
    type: str
    shape: Sequence[object]


def check_ends(
    ends: Mapping[str, Sequence[GraphEnd]], manifest: BundleManifest, where: str
) -> None:
    """Compare names, types and sizes of the graph's ends with the description.

    Args:
        ends: The ``inputs`` and the ``outputs`` of the graph.
        manifest: Description of the policy.
        where: The bundle, for messages.

    Raises:
        BundleError: A name, type or size differs.
    """
    promised: dict[str, dict[str, tuple[int, ...]]] = {
        "inputs": manifest.input_shapes,
        "outputs": {"actions": manifest.actions_shape},
    }
    for kind, expected in promised.items():
        found = {end.name: end for end in ends[kind]}
        if set(found) != set(expected):
            raise BundleError(
                f"{where}: the graph has {kind} {sorted(found)}; they must be "
                f"{sorted(expected)}; {EXPORT_ADVICE}"
            )
        for name, shape in expected.items():
            end = found[name]
            number = "tensor(uint8)" if name == IMAGE_INPUT else "tensor(float)"
            if end.type != number or not _fits(end.shape, shape):
                raise BundleError(
                    f"{where}: the graph's {name!r} is {end.type} of shape {end.shape}; the "
                    f"description needs {number} of shape {['batch', *shape]}; {EXPORT_ADVICE}"
                )


def _fits(declared: Sequence[object], shape: tuple[int, ...]) -> bool:
    """Return whether a declared shape is (any batch or 1, *shape); free sizes are text or None."""
    if len(declared) != len(shape) + 1 or (isinstance(declared[0], int) and declared[0] != 1):
        return False
    return all(
        not isinstance(size, int) or size == wanted
        for size, wanted in zip(declared[1:], shape, strict=True)
    )
