# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arm as its maker's data sheet states it, for the judge of commands alone.

Deliberately not shared with the command node: what judges it must not repeat its mistakes. Numbers
are those of the Franka Emika Robot (Panda); lengths are from its Denavit-Hartenberg table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
JOINTS = 7
_UPPER_ARM_M, _FOREARM_M, _ELBOW_M, _WRIST_M = 0.333, 0.384, 0.0825, 0.088
_SHOULDER_M, _FLANGE_M, _HAND_M = 0.316, 0.107, 0.1034
# Modified Denavit-Hartenberg: link length a (m), offset d (m), twist alpha (rad) before joint i.
_LINKS = (
    (0.0, _UPPER_ARM_M, 0.0),
    (0.0, 0.0, -math.pi / 2),
    (0.0, _SHOULDER_M, math.pi / 2),
    (_ELBOW_M, 0.0, math.pi / 2),
    (-_ELBOW_M, _FOREARM_M, -math.pi / 2),
    (0.0, 0.0, math.pi / 2),
    (_WRIST_M, 0.0, math.pi / 2),
)


@dataclass(frozen=True, eq=False)
class ArmLimits:
    """What the maker allows.

    Attributes:
        lower_rad: (7,) smallest joint angles.
        upper_rad: (7,) largest joint angles.
        velocity_rad_s: (7,) largest joint speeds.
        acceleration_rad_s2: (7,) largest joint accelerations.
        tool_velocity_m_s: Largest speed of the tool.
    """

    lower_rad: FloatArray
    upper_rad: FloatArray
    velocity_rad_s: FloatArray
    acceleration_rad_s2: FloatArray
    tool_velocity_m_s: float


PANDA = ArmLimits(
    lower_rad=np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
    upper_rad=np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
    velocity_rad_s=np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61]),
    acceleration_rad_s2=np.array([15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0]),
    tool_velocity_m_s=1.7,
)


def tool_position_m(joints_rad: ArrayLike) -> FloatArray:
    """Return where the point between the fingertips is, (3,) m in the base frame.

    Args:
        joints_rad: (7,) joint angles.
    """
    rotation, position = np.eye(3), np.zeros(3)
    for (length, offset, twist), angle in zip(_LINKS, np.asarray(joints_rad), strict=True):
        ct, st, ca, sa = math.cos(angle), math.sin(angle), math.cos(twist), math.sin(twist)
        step = np.array([[ct, -st, 0.0], [st * ca, ct * ca, -sa], [st * sa, ct * sa, ca]])
        position = position + rotation @ np.array([length, -sa * offset, ca * offset])
        rotation = rotation @ step
    return position + rotation[:, 2] * (_FLANGE_M + _HAND_M)
