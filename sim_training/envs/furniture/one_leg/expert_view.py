# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the scripted expert of ``one_leg`` sees.

NumPy only. Poses are in the base frame (m, rotation matrices) unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import (
    OBSTACLE,
    base_pose_from_tag,
    furniture_observation_spec,
)
from dppo_ros.core.rotations import FloatArray, matrix_from_rotation_6d
from sim_training.envs.furniture.expert_motions import Hand
from sim_training.envs.furniture.one_leg import geometry as geo
from sim_training.envs.furniture.task import corner_gaps, relative_pose

PEG_LENGTH_M = 0.052


@dataclass(frozen=True)
class View(Hand):
    """One observation, decoded into base-frame poses (m, rotation matrices)."""

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
    def holding(self) -> bool:
        """The leg is between closed fingers."""
        offset = self.base_from_leg.T @ (self.tool - self.leg)
        near = abs(offset[0]) < 0.018 and abs(offset[2]) < 0.018 and abs(offset[1]) < 0.035
        return bool(near and 0.024 < self.width < 0.0335)


_SPEC = furniture_observation_spec()


def decode(observation: NDArray[np.floating]) -> View:
    """Base-frame view of one raw observation (58,)."""
    value = np.asarray(observation, dtype=np.float64)
    top = value[_SPEC.slice("top_pose")]
    leg = value[_SPEC.slice("leg4_pose")]
    fence = value[_SPEC.slice(OBSTACLE + "_pose")]
    tray_position, base_from_tray = base_pose_from_tag(top)
    leg_position, base_from_leg = base_pose_from_tag(leg)
    neighbour_position, base_from_neighbour = base_pose_from_tag(value[_SPEC.slice("leg3_pose")])
    gap_x, gap_y = corner_gaps(top, fence, geo.TRAY_HALF_WIDTH_M)
    relative_position, relative_rotation = relative_pose(top, leg)
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


def target_hole(view: View) -> FloatArray:
    """Tray-frame position (3,) on the axis of the hole the leg stands in, else of the best one.

    Best is the hole deepest in the corner: there the walls take up the turning torque.
    """
    holes = np.stack([geo.HOLES_IN_TRAY[:, 0], np.zeros(4), geo.HOLES_IN_TRAY[:, 1]], axis=-1)
    tip = view.leg_in_tray - PEG_LENGTH_M * view.tray_from_leg[:, 1]
    distance = np.hypot(holes[:, 0] - tip[0], holes[:, 2] - tip[2])
    if tip[1] < 0.015 and distance.min() < 0.007 and view.tray_from_leg[1, 1] > 0.88:
        return np.asarray(holes[np.argmin(distance)])
    in_base = holes @ view.base_from_tray.T
    return np.asarray(holes[np.argmax(in_base[:, 0] + in_base[:, 1])])
