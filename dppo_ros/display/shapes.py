# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts as boxes of their real size, in their own frames. NumPy only.

The tray's +y is its open side, the legs' threaded end is at -y; the fence's frame is its front
piece, with the open side towards +y. A test compares the numbers with the simulated cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.observation import (
    BASE_FROM_TAG_ROTATION,
    OBSTACLE,
    ONE_LEG_PARTS,
    TAG_ORIGIN_IN_BASE,
)
from dppo_ros.core.rotations import matrix_from_quaternion, quaternion_from_matrix

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A box in the frame of its part.

    Attributes:
        centre_m: Centre (m).
        size_m: Edge lengths (m).
    """

    centre_m: tuple[float, float, float]
    size_m: tuple[float, float, float]


_TRAY = (Box((0.0, 0.0, 0.0), (0.1625, 0.03125, 0.1625)),)
_LEG = (
    Box((0.0, 0.0, 0.0), (0.03, 0.0625, 0.03)),
    Box((0.0, -0.04375, 0.0), (0.02, 0.025, 0.02)),
)
_FENCE = (
    Box((0.0, 0.0, 0.0), (0.35, 0.02, 0.03)),
    Box((0.175, 0.075, 0.0), (0.02, 0.17, 0.03)),
    Box((-0.175, 0.075, 0.0), (0.02, 0.17, 0.03)),
)

BOXES: dict[str, tuple[Box, ...]] = {
    **dict.fromkeys(ONE_LEG_PARTS, _LEG),
    "top": _TRAY,
    OBSTACLE: _FENCE,
}
"""Boxes of every part."""


def base_from_tag(pose: ArrayLike) -> FloatArray:
    """Return a pose (7,) in the tag frame as one in the base frame: metres, quaternion xyzw."""
    values = np.asarray(pose, dtype=np.float64)
    position = TAG_ORIGIN_IN_BASE + BASE_FROM_TAG_ROTATION @ values[:3]
    rotation = BASE_FROM_TAG_ROTATION @ matrix_from_quaternion(values[3:])
    return np.concatenate([position, quaternion_from_matrix(rotation)])


def place(pose: ArrayLike, box: Box) -> FloatArray:
    """Return the pose (7,) of a box of a part at this pose (7,), both in one frame."""
    values = np.asarray(pose, dtype=np.float64)
    rotation = matrix_from_quaternion(values[3:])
    return np.concatenate([values[:3] + rotation @ np.array(box.centre_m), values[3:]])
