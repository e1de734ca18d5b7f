# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted expert of robosuite's Lift: a function of the observation alone. NumPy only.

Over the cube, turn the fingers along its faces, down, close, up. Legend: n environments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import matrix_from_quaternion
from sim_training.envs.robomimic import robomimic_specs

_SPEC = robomimic_specs("lift")[0]
_FINGERS = _SPEC.slice("robot0_gripper_qpos")
_TOOL_QUATERNION = _SPEC.slice("robot0_eef_quat")
_CUBE_QUATERNION = _SPEC.slice("cube_quat")
_TOOL_FROM_CUBE = _SPEC.slice("gripper_to_cube_pos")

_FULL_STEP_M, _FULL_STEP_RAD = 0.05, 0.5
_GAIN = 2.0
"""The arm covers part of a step only, so more is asked for."""
_HOVER_M = 0.06
_OVER_M = 0.012
"""Horizontal error within which the tool may go down."""
_AT_M = 0.010
_HELD_WIDTH_M = (0.025, 0.055)
"""Opening of the fingers while the cube of 40 to 44 mm is between them."""


def lift_actions(observation: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return actions (n, 7) for raw observations (n, 19), shares of the largest step."""
    seen = np.asarray(observation, dtype=np.float64)
    offset = -seen[:, _TOOL_FROM_CUBE]  # from the tool to the cube
    fingers = seen[:, _FINGERS]
    width = fingers[:, 0] - fingers[:, 1]
    turn = _turn(seen[:, _TOOL_QUATERNION], seen[:, _CUBE_QUATERNION])
    aside = np.linalg.norm(offset[:, :2], axis=1)
    over = (aside < _OVER_M) & (np.abs(turn) < 0.15)
    at = (aside < 1.5 * _OVER_M) & (np.abs(offset[:, 2]) < _AT_M)
    held = at & (width > _HELD_WIDTH_M[0]) & (width < _HELD_WIDTH_M[1])
    height = np.where(over, offset[:, 2], offset[:, 2] + _HOVER_M)
    height = np.where(held, _FULL_STEP_M, height)
    translation = np.column_stack([offset[:, :2], height]) * _GAIN / _FULL_STEP_M
    actions = np.zeros((len(seen), 7))
    actions[:, :3] = np.clip(translation, -1.0, 1.0)
    actions[:, 5] = np.clip(turn * _GAIN / _FULL_STEP_RAD, -1.0, 1.0) * ~at
    actions[:, 6] = np.where(at, 1.0, -1.0)
    return actions.astype(np.float32)


def _turn(
    tool_quaternion: NDArray[np.float64], cube_quaternion: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the least turn (n,) about the vertical that lays the fingers along cube faces, rad."""
    tool = matrix_from_quaternion(tool_quaternion)[:, :, 1]
    cube = matrix_from_quaternion(cube_quaternion)[:, :, 1]
    angle = np.arctan2(cube[:, 1], cube[:, 0]) - np.arctan2(tool[:, 1], tool[:, 0])
    quarter = np.pi / 2
    return np.asarray((angle + quarter / 2) % quarter - quarter / 2)
