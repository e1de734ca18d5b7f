# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motions that the scripted experts of all furniture tasks share.

The experts are memoryless, so everything here is a function of the present pose. NumPy only. Poses
are in the base frame (m, rotation matrices).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppo_ros.core.observation import join_action
from dppo_ros.core.rotations import (
    FloatArray,
    limit_rotation,
    matrix_from_rotation_vector,
    rotation_vector_from_matrix,
    rotation_x,
    rotation_y,
    rotation_z,
)

OPEN, CLOSE = -1.0, 1.0
MAX_TRANSLATION_M = 0.06
MAX_ROTATION_RAD = 0.35
"""Most that the goal of one control step lies ahead of the tool; the diff-IK allows no more."""


@dataclass(frozen=True)
class Hand:
    """The tool: position (3,), rotation (3, 3), gripper opening (m)."""

    tool: FloatArray
    base_from_tool: FloatArray
    width: float

    @property
    def hand_yaw(self) -> float:
        """Heading of the hand's x axis about the vertical (rad)."""
        return float(np.arctan2(self.base_from_tool[1, 0], self.base_from_tool[0, 0]))

    @property
    def hand_heading(self) -> float:
        """Heading of the hand from its finger axis (rad); unlike the yaw, whatever the tilt."""
        finger_axis = self.base_from_tool[:, 1]
        return float(np.arctan2(finger_axis[0], -finger_axis[1]))

    @property
    def hand_tilt(self) -> float:
        """Angle of the approach axis to straight down (rad)."""
        return float(np.arccos(np.clip(-self.base_from_tool[2, 2], -1.0, 1.0)))


@dataclass(frozen=True)
class Goal:
    """Tool goal before it is shortened to a carrot."""

    position: FloatArray
    base_from_tool: FloatArray
    gripper: float


def carrot(hand: Hand, goal: Goal) -> FloatArray:
    """Action (10,) towards a goal, at a bounded distance from the present pose."""
    step = shorten(goal.position - hand.tool, MAX_TRANSLATION_M)
    rotation = limit_rotation(hand.base_from_tool, goal.base_from_tool, MAX_ROTATION_RAD)
    return join_action(hand.tool + step, rotation, np.float64(goal.gripper))


def shorten(step: FloatArray, length: float) -> FloatArray:
    """The vector, at most this long."""
    return np.asarray(step * min(1.0, length / max(float(np.linalg.norm(step)), 1e-9)))


def hand_rotation(yaw: float, tilt: float = 0.0) -> FloatArray:
    """Hand pointing down, turned by yaw and tilted back by tilt."""
    return np.asarray(rotation_z(yaw) @ rotation_y(tilt) @ rotation_x(np.pi))


def angle_between(first: FloatArray, second: FloatArray) -> float:
    """Angle between two rotations (rad)."""
    return float(np.linalg.norm(rotation_vector_from_matrix(first @ second.T)))


def hop(
    hand: Hand, goal: Goal, clearance_m: float, ramp_m: float = 0.03, slack_m: float = 0.006
) -> Goal:
    """Goal on a path that rises to the clearance height, crosses and comes down in a funnel.

    The height asked for grows with the remaining horizontal and angular error; while the tool is
    below it, horizontal motion is held back.

    Args:
        hand: present pose.
        goal: where to come down.
        clearance_m: height to cross at.
        ramp_m: error beyond the slack at which the full height is asked for.
        slack_m: error at which the goal's own height is allowed.
    """
    offset = goal.position[:2] - hand.tool[:2]
    error = float(np.linalg.norm(offset)) + 0.06 * angle_between(
        hand.base_from_tool, goal.base_from_tool
    )
    lift = np.clip((error - slack_m) / ramp_m, 0.0, 1.0) * (clearance_m - goal.position[2])
    height = goal.position[2] + max(0.0, float(lift))
    freedom = np.clip(1.0 - (height - hand.tool[2] - 0.01) / 0.03, 0.0, 1.0)
    position = np.array([*(hand.tool[:2] + freedom * offset), height])
    rotation = limit_rotation(
        hand.base_from_tool, goal.base_from_tool, max(1e-6, float(freedom) * np.pi)
    )
    return Goal(position, rotation, goal.gripper)


def upright_hand(
    hand: Hand, axis: FloatArray, normal: FloatArray, aside_rad: float = 0.0
) -> FloatArray:
    """Hand goal that swings into the arm's plane first and then tips what it holds upright.

    Tipping takes joint 6 through pi, where joints 5 and 7 line up; it is harmless only while the
    hand's heading lies in the vertical plane through the base axis and the tool.

    Args:
        hand: present pose.
        axis: (3,) axis of the held part.
        normal: (3,) where the axis has to point.
        aside_rad: heading to swing to, from the arm's plane; joint 6 lets the hand lean far only
            out of that plane.
    """
    azimuth = float(np.arctan2(hand.tool[1], hand.tool[0])) + aside_rad
    swing = float(
        np.arctan2(np.sin(azimuth - hand.hand_heading), np.cos(azimuth - hand.hand_heading))
    )
    turn = np.cross(axis, normal)
    angle = np.arctan2(np.linalg.norm(turn), axis @ normal)
    share = float(np.clip((0.30 - abs(swing)) / 0.2, 0.0, 1.0))
    tip = turn / max(float(np.linalg.norm(turn)), 1e-9) * angle * share
    return np.asarray(rotation_z(swing) @ matrix_from_rotation_vector(tip) @ hand.base_from_tool)


def let_go(hand: Hand, open_width_m: float) -> Goal:
    """Open the gripper, then draw back along the approach axis."""
    if hand.width < open_width_m:
        return Goal(hand.tool, hand.base_from_tool, OPEN)
    return Goal(hand.tool - 0.06 * hand.base_from_tool[:, 2], hand.base_from_tool, OPEN)
