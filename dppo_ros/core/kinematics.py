# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the Franka arms: where the links and the tool are for given joint angles.

Panda and FR3 share this chain; only their limits differ (``config/robots``). Every joint turns
about the z axis of its own link frame, and every link frame is a translation and a turn by a
right angle about x away from the one before it, so the chain is written out in plain floats:
faster than small matrix products and exact.

The tool frame is the one the policies command: the flange (0.107 m beyond link 7), the hand
turned by -45 degrees about z, then 0.103399 m along z, between the finger pads.

Frames: base is ``link0`` (x forward, y left, z up). Angles in radians, lengths in metres.
NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.errors import ConfigError

FloatArray = NDArray[np.float64]
Triple = tuple[float, float, float]

ARM_JOINTS = 7
LINKS = ("link0", *(f"link{index}" for index in range(1, 8)), "hand", "tool")
"""The frames that ``link_poses`` returns, in order."""

_FLANGE_M = 0.107
_TOOL_M = 0.103399
_HAND_TURN = math.sqrt(0.5)  # cosine of 45 degrees

# Offset in the frame of the link before, and the sign of the right angle about its x axis.
_CHAIN: tuple[tuple[float, float, float, int], ...] = (
    (0.0, 0.0, 0.333, 0),
    (0.0, 0.0, 0.0, -1),
    (0.0, -0.316, 0.0, 1),
    (0.0825, 0.0, 0.0, 1),
    (-0.0825, 0.384, 0.0, -1),
    (0.0, 0.0, 0.0, 1),
    (0.088, 0.0, 0.0, 1),
)

_Frame = tuple[Triple, Triple, Triple, Triple]  # origin and the three axes, base frame


def tool_pose(joints: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return position (3,) m and rotation base_from_tool (3, 3) of the tool.

    Args:
        joints: Arm joint angles (7,), rad.

    Raises:
        ConfigError: Not seven numbers.
    """
    position, *axes = _frames(_seven(joints))[-1]
    return np.array(position), np.array(axes).T


def tool_jacobian(joints: ArrayLike) -> FloatArray:
    """Return the geometric Jacobian (6, 7) of the tool frame: linear rows first, base axes.

    Args:
        joints: Arm joint angles (7,), rad.

    Raises:
        ConfigError: Not seven numbers.
    """
    return _jacobian(_frames(_seven(joints)))


def tool_twist(joints: ArrayLike, velocities: ArrayLike) -> FloatArray:
    """Return linear (m/s) and angular (rad/s) velocity of the tool (6,), base axes.

    Args:
        joints: Arm joint angles (7,), rad.
        velocities: Arm joint velocities (7,), rad/s.

    Raises:
        ConfigError: Not seven numbers each.
    """
    return np.asarray(tool_jacobian(joints) @ np.array(_seven(velocities)))


def tool_twists(joints: FloatArray, velocities: FloatArray) -> FloatArray:
    """Return the tool's velocities (n, 6) along a motion, all samples at once.

    Args:
        joints: (n, 7) rad.
        velocities: (n, 7) rad/s.
    """
    count = len(joints)
    x, y, z = (np.tile(axis, (count, 1)) for axis in np.eye(3))
    place, turning, moment = np.zeros((count, 3)), np.zeros((count, 3)), np.zeros((count, 3))
    cosines, sines = np.cos(joints), np.sin(joints)
    for index, (dx, dy, dz, turn) in enumerate(_CHAIN):
        place = place + dx * x + dy * y + dz * z
        if turn > 0:
            y, z = z, -y
        elif turn < 0:
            y, z = -z, y
        c, s = cosines[:, index, None], sines[:, index, None]
        x, y = c * x + s * y, c * y - s * x
        spin = velocities[:, index, None] * z
        turning = turning + spin
        moment = moment + _cross(spin, place)
    tool = place + (_FLANGE_M + _TOOL_M) * z
    return np.concatenate([_cross(turning, tool) - moment, turning], axis=1)


def _cross(first: FloatArray, second: FloatArray) -> FloatArray:
    a, b, c = first.T
    u, v, w = second.T
    return np.stack([b * w - c * v, c * u - a * w, a * v - b * u], axis=1)


def tool_state(joints: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return position (3,), base_from_tool (3, 3) and Jacobian (6, 7) in one go.

    Args:
        joints: Arm joint angles (7,), rad.

    Raises:
        ConfigError: Not seven numbers.
    """
    frames = _frames(_seven(joints))
    position, *axes = frames[-1]
    return np.array(position), np.array(axes).T, _jacobian(frames)


def link_poses(joints: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return positions (10, 3) m and rotations (10, 3, 3) of the frames named in ``LINKS``.

    Args:
        joints: Arm joint angles (7,), rad.

    Raises:
        ConfigError: Not seven numbers.
    """
    table = np.array(_frames(_seven(joints)))
    return table[:, 0], np.swapaxes(table[:, 1:], -1, -2)


def _seven(values: ArrayLike) -> Sequence[float]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (ARM_JOINTS,):
        raise ConfigError(
            f"joint values have shape {array.shape}; the arm has {ARM_JOINTS} joints, give one "
            "number (rad) for each"
        )
    return list(array.tolist())


def _frames(joints: Sequence[float]) -> list[_Frame]:
    """Return origin and axes of every frame in ``LINKS``."""
    px = py = pz = 0.0
    x, y, z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    frames: list[_Frame] = [((px, py, pz), x, y, z)]
    for (dx, dy, dz, turn), angle in zip(_CHAIN, joints, strict=True):
        px += dx * x[0] + dy * y[0] + dz * z[0]
        py += dx * x[1] + dy * y[1] + dz * z[1]
        pz += dx * x[2] + dy * y[2] + dz * z[2]
        if turn > 0:
            y, z = z, (-y[0], -y[1], -y[2])
        elif turn < 0:
            y, z = (-z[0], -z[1], -z[2]), y
        x, y = _turned(x, y, math.cos(angle), math.sin(angle))
        frames.append(((px, py, pz), x, y, z))
    px, py, pz = px + _FLANGE_M * z[0], py + _FLANGE_M * z[1], pz + _FLANGE_M * z[2]
    x, y = _turned(x, y, _HAND_TURN, -_HAND_TURN)
    frames.append(((px, py, pz), x, y, z))
    px, py, pz = px + _TOOL_M * z[0], py + _TOOL_M * z[1], pz + _TOOL_M * z[2]
    frames.append(((px, py, pz), x, y, z))
    return frames


def _turned(x: Triple, y: Triple, c: float, s: float) -> tuple[Triple, Triple]:
    """Return the x and y axes turned about z."""
    return (
        (c * x[0] + s * y[0], c * x[1] + s * y[1], c * x[2] + s * y[2]),
        (c * y[0] - s * x[0], c * y[1] - s * x[1], c * y[2] - s * x[2]),
    )


def _jacobian(frames: list[_Frame]) -> FloatArray:
    tx, ty, tz = frames[-1][0]
    columns = []
    for (px, py, pz), _, _, (ax, ay, az) in frames[1 : ARM_JOINTS + 1]:
        lx, ly, lz = tx - px, ty - py, tz - pz
        columns.append((ay * lz - az * ly, az * lx - ax * lz, ax * ly - ay * lx, ax, ay, az))
    return np.array(columns).T
