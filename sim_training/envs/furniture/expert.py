# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted expert for ``one_leg``: a memoryless function from observation to action.

A cloned policy sees one observation, so the expert may use nothing else: no timers, no waits, no
state. The stage is decided from relative poses, heights and the gripper width; where a decision
needs hysteresis, the tool's own position supplies it. Goals are carrots at a bounded distance
from the present pose, so speeds are smooth.

Stages: push the tray sideways and then forward into the fence's left front corner, grasp leg 4
with a tilted hand, turn it upright on the way, insert it, let go, regrasp from above and turn.

NumPy only; the same observation layout as every policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import (
    OBSTACLE,
    base_pose_from_tag,
    furniture_observation_spec,
    join_action,
)
from dppo_ros.core.rotations import (
    FloatArray,
    limit_rotation,
    matrix_from_rotation_vector,
    matrix_from_rotation_6d,
    rotation_vector_from_matrix,
    rotation_x,
    rotation_y,
    rotation_z,
)
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.task import corner_gaps, tray_from_leg

OPEN, CLOSE = -1.0, 1.0
MAX_TRANSLATION_M = 0.06
MAX_ROTATION_RAD = 0.35

_FINGER_HALF_M = 0.00875
_PUSH_HEIGHT_M = 0.02
_TRAVEL_HEIGHT_M = 0.10
_GRASP_LIFT_M = 0.009
_GRASP_OFFSET_M = 0.020
_PEG_LENGTH_M = 0.052
_PALM_HALF_WIDTH_M = 0.11
_PALM_DROP_M = 0.0379
_PALM_HALF_DEPTH_M = 0.0316
"""From the tool back to the palm's face, and half the palm's thickness."""
_FINGER_REACH_M = 0.053
_SCREW_START_RAD = np.radians(50.0)
_SCREW_END_RAD = np.radians(-48.0)


@dataclass(frozen=True)
class View:
    """One observation, decoded into base-frame poses (m, rotation matrices)."""

    tool: FloatArray
    base_from_tool: FloatArray
    width: float
    tray: FloatArray
    base_from_tray: FloatArray
    leg: FloatArray
    base_from_leg: FloatArray
    neighbour: FloatArray
    base_from_neighbour: FloatArray
    fence: FloatArray
    gap_x: float
    gap_y: float
    leg_in_tray: FloatArray
    tray_from_leg: FloatArray

    @property
    def hand_yaw(self) -> float:
        """Heading of the hand's x axis about the vertical (rad)."""
        return float(np.arctan2(self.base_from_tool[1, 0], self.base_from_tool[0, 0]))

    @property
    def hand_tilt(self) -> float:
        """Angle of the approach axis to straight down (rad)."""
        return float(np.arccos(np.clip(-self.base_from_tool[2, 2], -1.0, 1.0)))

    @property
    def holding(self) -> bool:
        """The leg is between closed fingers."""
        offset = self.base_from_leg.T @ (self.tool - self.leg)
        near = abs(offset[0]) < 0.018 and abs(offset[2]) < 0.018 and abs(offset[1]) < 0.035
        return bool(near and 0.024 < self.width < 0.0335)


@dataclass(frozen=True)
class Goal:
    """Tool goal before it is shortened to a carrot."""

    position: FloatArray
    base_from_tool: FloatArray
    gripper: float


_SPEC = furniture_observation_spec()


def decode(observation: FloatArray) -> View:
    """Base-frame view of one raw observation (58,)."""
    value = np.asarray(observation, dtype=np.float64)
    top = value[_SPEC.slice("top_pose")]
    leg = value[_SPEC.slice("leg4_pose")]
    fence = value[_SPEC.slice(OBSTACLE + "_pose")]
    tray_position, base_from_tray = base_pose_from_tag(top)
    leg_position, base_from_leg = base_pose_from_tag(leg)
    neighbour_position, base_from_neighbour = base_pose_from_tag(value[_SPEC.slice("leg3_pose")])
    gap_x, gap_y = corner_gaps(top, fence)
    relative_position, relative_rotation = tray_from_leg(top, leg)
    return View(
        tool=value[_SPEC.slice("tool_position")],
        base_from_tool=matrix_from_rotation_6d(value[_SPEC.slice("tool_rotation_6d")]),
        width=float(value[_SPEC.slice("gripper_width")][0]),
        tray=tray_position,
        base_from_tray=base_from_tray,
        leg=leg_position,
        base_from_leg=base_from_leg,
        neighbour=neighbour_position,
        base_from_neighbour=base_from_neighbour,
        fence=base_pose_from_tag(fence)[0],
        gap_x=float(gap_x),
        gap_y=float(gap_y),
        leg_in_tray=relative_position,
        tray_from_leg=relative_rotation,
    )


def expert_actions(observations: FloatArray) -> NDArray[np.float32]:
    """Expert actions (n, 10), raw units, for raw observations (n, 58)."""
    return np.stack([_action(decode(row)) for row in observations]).astype(np.float32)


def _action(view: View) -> FloatArray:
    goal = choose_goal(view)
    step = goal.position - view.tool
    length = float(np.linalg.norm(step))
    step *= min(1.0, MAX_TRANSLATION_M / max(length, 1e-9))
    rotation = limit_rotation(view.base_from_tool, goal.base_from_tool, MAX_ROTATION_RAD)
    return join_action(view.tool + step, rotation, np.float64(goal.gripper))


def choose_goal(view: View) -> Goal:
    """Goal of the stage the observation belongs to, the most advanced stage first."""
    if _leg_in_hole(view):
        return _screw(view)
    if view.holding:
        return _carry(view)
    if not _cornered(view):
        return _push(view)
    return _grasp(view)


def _hand(yaw: float, tilt: float = 0.0) -> FloatArray:
    """Hand pointing down, turned by yaw and tilted back by tilt."""
    return np.asarray(rotation_z(yaw) @ rotation_y(tilt) @ rotation_x(np.pi))


def _angle(first: FloatArray, second: FloatArray) -> float:
    return float(np.linalg.norm(rotation_vector_from_matrix(first @ second.T)))


def _hop(view: View, goal: Goal, clearance_m: float, ramp_m: float = 0.03) -> Goal:
    """Goal on a path that rises to the clearance height, crosses and comes down in a funnel.

    The height asked for grows with the remaining horizontal and angular error; while the tool is
    below it, horizontal motion is held back.
    """
    offset = goal.position[:2] - view.tool[:2]
    error = float(np.linalg.norm(offset)) + 0.06 * _angle(view.base_from_tool, goal.base_from_tool)
    lift = np.clip((error - 0.006) / ramp_m, 0.0, 1.0) * (clearance_m - goal.position[2])
    height = goal.position[2] + max(0.0, float(lift))
    freedom = np.clip(1.0 - (height - view.tool[2] - 0.01) / 0.03, 0.0, 1.0)
    position = np.array([*(view.tool[:2] + freedom * offset), height])
    rotation = limit_rotation(
        view.base_from_tool, goal.base_from_tool, max(1e-6, float(freedom) * np.pi)
    )
    return Goal(position, rotation, goal.gripper)


# Pushing the tray into the corner.


@dataclass(frozen=True)
class _Face:
    """The tray side face that looks away from a wall, seen from the tool.

    Attributes:
        distance: tool ahead of the face, along its outward normal (m); negative is over the tray.
        lateral: tool along the face from its middle (m).
        normal: outward horizontal normal, base frame.
    """

    distance: float
    lateral: float
    normal: FloatArray

    @property
    def near(self) -> bool:
        """The tool stands ready to push this face."""
        return 0.002 < self.distance < 0.09 and abs(self.lateral) < 0.06


def _face(view: View, axis: int) -> _Face:
    """The face whose outward normal points most along -x (axis 0) or -y (axis 1)."""
    local = view.base_from_tray.T @ (view.tool - view.tray)
    row = view.base_from_tray[axis]
    across = 0 if abs(row[0]) > abs(row[2]) else 2
    sign = -float(np.sign(row[across]))
    return _Face(
        distance=sign * float(local[across]) - geo.TRAY_HALF_WIDTH_M,
        lateral=float(local[2 - across]),
        normal=sign * view.base_from_tray[:, across],
    )


def _skew(view: View) -> float:
    """Angle of the tray's sides to the fence (rad), [0, pi/4]."""
    yaw = float(np.arctan2(view.base_from_tray[1, 0], view.base_from_tray[0, 0]))
    quarter = np.pi / 2
    return float(abs(yaw - quarter * np.round(yaw / quarter)))


def _pushing(view: View, axis: int) -> bool:
    hand = _hand(np.pi / 2 if axis == 1 else 0.0)
    low = view.tool[2] < 0.045 and view.width < 0.012
    return low and _face(view, axis).near and _angle(view.base_from_tool, hand) < 0.3


def _cornered(view: View) -> bool:
    limit_x = 0.0025 if _pushing(view, 0) else 0.007
    return view.gap_x < limit_x and view.gap_y < 0.010 and _skew(view) < 0.10


def _push(view: View) -> Goal:
    """Push along +y until the side wall is met, then along +x; both until nothing gives."""
    if _pushing(view, 1):
        sideways = view.gap_y > 0.0025 or _skew(view) > 0.04
    elif _pushing(view, 0):
        sideways = view.gap_y > 0.012
    else:
        sideways = view.gap_y > 0.007 or _skew(view) > 0.15
    return _push_along(view, 1, np.pi / 2) if sideways else _push_along(view, 0, 0.0)


def _push_along(view: View, axis: int, yaw: float) -> Goal:
    """Push the tray along +x (axis 0) or +y (axis 1) with closed fingers."""
    gap = view.gap_x if axis == 0 else view.gap_y
    face = _face(view, axis)
    hand = _hand(yaw)
    if _pushing(view, axis):
        position = view.tray.copy()
        position[2] = _PUSH_HEIGHT_M
        # Up to the face first, then ahead of it: far gaps fast, the last millimetres gently.
        approach = max(0.0, face.distance - _FINGER_HALF_M)
        position[axis] = view.tool[axis] + approach + np.clip(gap + 0.014, 0.018, 0.03)
        if axis == 0:
            # Friction drags the tray along: lean towards the side wall to keep that gap shut.
            position[1] = view.tool[1] + 0.004 + np.clip(view.gap_y, 0.0, 0.01)
        return Goal(position, hand, CLOSE)
    position = view.tray + (geo.TRAY_HALF_WIDTH_M + _FINGER_HALF_M + 0.030) * face.normal
    position[2] = _PUSH_HEIGHT_M
    return _hop(view, Goal(position, hand, CLOSE), _TRAVEL_HEIGHT_M)


# Grasping the leg from the table.


def _grasp(view: View) -> Goal:
    axis = view.base_from_leg[:, 1]
    heading = float(np.arctan2(axis[1], axis[0]))
    tilt = _grasp_tilt(view)
    hand = _hand(heading, tilt)
    forward = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-forward[1], forward[0]])
    along, aside = _free_grasp(view, forward, left, tilt)
    position = view.leg.copy()
    position[:2] += along * forward + aside * left
    position[2] = max(position[2], geo.LEG_HALF_WIDTH_M) + _GRASP_LIFT_M
    distance = float(np.linalg.norm(position - view.tool))
    if distance < 0.006 and _angle(view.base_from_tool, hand) < 0.08:
        return Goal(position, hand, CLOSE)
    return _hop(view, Goal(position, hand, OPEN), 0.12)


def _grasp_tilt(view: View) -> float:
    """Backward tilt of the hand: the more, the nearer the hole is to the robot (rad).

    After tipping, the hand leans forward by the complement; joint 6 bounds that lean, and the
    bound is tighter close to the base.
    """
    hole = view.tray + view.base_from_tray @ _target_hole(view)
    return float(np.radians(46.0 + 6.0 * np.clip((0.655 - hole[0]) / 0.05, 0.0, 1.0)))


def _free_grasp(
    view: View, forward: FloatArray, left: FloatArray, tilt: float
) -> tuple[float, float]:
    """Grasp point relative to the leg's centre, along and across it (m).

    The tilted palm comes within 25 mm of the table in a narrow band ahead of the tool, and the
    open fingers reach 48 mm to either side: keep the tray and the neighbouring leg out of both.
    """
    tray = _outline(view.tray, view.base_from_tray, geo.TRAY_HALF_WIDTH_M, geo.TRAY_HALF_WIDTH_M, 0)
    neighbour = _outline(
        view.neighbour, view.base_from_neighbour, geo.LEG_HALF_WIDTH_M, geo.LEG_HALF_BODY_M, 1
    )
    frame = np.stack([forward, left], axis=-1)
    tray, neighbour = (tray - view.leg[:2]) @ frame, (neighbour - view.leg[:2]) @ frame

    # Lowest edge of the palm: where it is and how far parts must keep from it on either side.
    sine, cosine = np.sin(tilt), np.cos(tilt)
    edge = _PALM_DROP_M * sine + _PALM_HALF_DEPTH_M * cosine
    height = geo.LEG_HALF_WIDTH_M + _GRASP_LIFT_M
    height += _PALM_DROP_M * cosine - _PALM_HALF_DEPTH_M * sine
    half_band = max(0.0, 2 * geo.TRAY_HALF_HEIGHT_M - height) + 0.003
    along = _GRASP_OFFSET_M
    beside = neighbour[np.abs(neighbour[:, 1]) < _PALM_HALF_WIDTH_M]
    if len(beside) and beside[:, 0].max() < 0.06:
        along = max(along, float(beside[:, 0].max()) - edge + half_band)
    ahead = tray[np.abs(tray[:, 1]) < _PALM_HALF_WIDTH_M]
    if len(ahead):
        along = min(along, float(ahead[:, 0].min()) - edge - half_band)
    along = float(np.clip(along, -0.015, 0.025))

    aside = 0.0
    level = neighbour[np.abs(neighbour[:, 0] - along) < 0.035]
    if len(level):
        nearest = level[np.argmin(np.abs(level[:, 1])), 1]
        shortage = np.clip(_FINGER_REACH_M - abs(nearest), 0.0, 0.013)
        aside = -float(np.sign(nearest) * shortage)
    return along, aside


def _outline(
    centre: FloatArray, rotation: FloatArray, half_across: float, half_long: float, long_axis: int
) -> FloatArray:
    """Horizontal points (n, 2) around a box-shaped part, base frame (m)."""
    steps = np.linspace(-1.0, 1.0, 9)
    ends = np.ones_like(steps)
    across = np.concatenate([steps, steps, ends, -ends]) * half_across
    along = np.concatenate([ends, -ends, steps, steps]) * half_long
    # Of the two short axes of a lying part, the more horizontal one spans the outline.
    others = [index for index in (0, 1, 2) if index != long_axis]
    flat = min(others, key=lambda index: abs(rotation[2, index]))
    points = np.outer(along, rotation[:2, long_axis]) + np.outer(across, rotation[:2, flat])
    return np.asarray(centre[:2] + points)


# Carrying, turning upright and inserting.


def _target_hole(view: View) -> FloatArray:
    """Tray-frame position (3,) on the axis of the hole deepest in the corner."""
    holes = np.stack(
        [geo.HOLES_IN_TRAY[:, 0], np.zeros(4), geo.HOLES_IN_TRAY[:, 1]], axis=-1
    )
    in_base = holes @ view.base_from_tray.T
    return np.asarray(holes[np.argmax(in_base[:, 0] + in_base[:, 1])])


def _leg_in_hole(view: View) -> bool:
    # A released leg leans in its bore: judge by the peg's tip, not by the leg's centre.
    offset = view.leg_in_tray - _PEG_LENGTH_M * view.tray_from_leg[:, 1] - _target_hole(view)
    lateral = float(np.hypot(offset[0], offset[2]))
    # While the tilted hand still holds it, push a little deeper than needed to stay in.
    depth = 0.0635 if view.holding and view.hand_tilt > 0.35 else 0.0670
    return bool(
        lateral < 0.007 and offset[1] < depth - _PEG_LENGTH_M and view.tray_from_leg[1, 1] > 0.88
    )


def _carry(view: View) -> Goal:
    """Lift, swing the leg into the arm's plane, tip it up there, cross to the hole, insert."""
    tilt = float(np.arccos(np.clip(view.base_from_leg[2, 1], -1.0, 1.0)))
    hole = view.tray + view.base_from_tray @ _target_hole(view)
    offset = hole[:2] - view.leg[:2]
    lateral = float(np.linalg.norm(offset))
    # Leg heights over the table: travel high, wait just above the hole, then go in.
    error = max(0.0, lateral - 0.0012) + 0.05 * max(0.0, tilt - 0.03)
    inside = view.leg_in_tray[1] < 0.0715 and lateral < 0.003
    above = 0.097 + float(np.clip(error / 0.06, 0.0, 1.0)) * 0.08
    gate = float(np.clip(error / 0.002, 0.0, 1.0))
    floor = view.tray[2] + 0.055
    height = floor if inside else floor * (1.0 - gate) + above * gate
    height = max(height, view.leg[2] - (0.006 if inside else 0.012))
    crossing = 1.0
    if lateral > 0.02:
        lifted = float(np.clip((view.leg[2] - 0.10) / 0.03, 0.0, 1.0))
        crossing = lifted * float(np.clip((0.6 - tilt) / 0.3, 0.0, 1.0))
    step = np.array([*(crossing * offset), height - view.leg[2]])
    step *= min(1.0, MAX_TRANSLATION_M / max(float(np.linalg.norm(step)), 1e-9))

    freedom = float(np.clip((view.leg[2] - 0.04) / 0.05, 0.0, 1.0))
    hand = limit_rotation(
        view.base_from_tool, _upright_hand(view), max(1e-6, freedom * MAX_ROTATION_RAD)
    )
    leg_from_tool_position = view.base_from_tool.T @ (view.leg - view.tool)
    return Goal(view.leg + step - hand @ leg_from_tool_position, hand, CLOSE)


def _upright_hand(view: View) -> FloatArray:
    """Hand goal that swings into the arm's plane first and then tips the leg upright.

    Tipping takes joint 6 through pi, where joints 5 and 7 line up; it is harmless only while the
    hand's heading lies in the vertical plane through the base axis and the tool.
    """
    finger_axis = view.base_from_tool[:, 1]
    heading = float(np.arctan2(finger_axis[0], -finger_axis[1]))
    azimuth = float(np.arctan2(view.tool[1], view.tool[0]))
    swing = float(np.arctan2(np.sin(azimuth - heading), np.cos(azimuth - heading)))
    axis, normal = view.base_from_leg[:, 1], view.base_from_tray[:, 1]
    turn = np.cross(axis, normal)
    angle = np.arctan2(np.linalg.norm(turn), axis @ normal)
    share = float(np.clip((0.30 - abs(swing)) / 0.2, 0.0, 1.0))
    tip = turn / max(float(np.linalg.norm(turn)), 1e-9) * angle * share
    return np.asarray(
        rotation_z(swing) @ matrix_from_rotation_vector(tip) @ view.base_from_tool
    )


# Letting go, regrasping from above and turning.


def _screw(view: View) -> Goal:
    axis_offset = view.tool - view.leg
    reach = float(np.hypot(axis_offset[0], axis_offset[1]))
    if view.hand_tilt > 0.35 and reach < 0.075 and axis_offset[2] < 0.075:
        return _let_go(view)
    hole = view.tray + view.base_from_tray @ _target_hole(view)
    if view.holding:
        if view.hand_yaw > _SCREW_END_RAD:
            position = np.array([hole[0], hole[1], view.tool[2] - 0.006])
            return Goal(position, _hand(view.hand_yaw - MAX_ROTATION_RAD), CLOSE)
        return Goal(view.tool, _hand(view.hand_yaw), OPEN)
    return _regrasp(view)


def _let_go(view: View) -> Goal:
    if view.width < 0.05:
        return Goal(view.tool, view.base_from_tool, OPEN)
    return Goal(view.tool - 0.06 * view.base_from_tool[:, 2], view.base_from_tool, OPEN)


def _regrasp(view: View) -> Goal:
    leg_yaw = float(np.arctan2(view.base_from_leg[1, 0], view.base_from_leg[0, 0]))
    quarter = np.pi / 2
    start = leg_yaw + quarter * np.round((_SCREW_START_RAD - leg_yaw) / quarter)
    # Straighten the hand before turning it: both at once drives the wrist through its limits.
    finger_axis = view.base_from_tool[:, 1]
    heading = float(np.arctan2(finger_axis[0], -finger_axis[1]))
    hand = _hand(start if view.hand_tilt < 0.3 else heading)
    position = view.leg + 0.012 * view.base_from_leg[:, 1]
    offset = position - view.tool
    lateral = float(np.hypot(offset[0], offset[1]))
    angle = _angle(view.base_from_tool, hand)
    around = lateral < 0.012 and abs(offset[2]) < 0.014 and view.hand_tilt < 0.15
    if around:
        if angle < 0.09 and lateral < 0.006 and abs(offset[2]) < 0.008:
            return Goal(position, hand, CLOSE)
        # Open fingers clear the square leg all round: turn back in place.
        turned = hand if view.width > 0.05 else view.base_from_tool
        return Goal(position, turned, OPEN)
    return _hop(view, Goal(position, hand, OPEN), float(view.leg[2]) + 0.07)
