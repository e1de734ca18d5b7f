# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts of the robosuite tasks as robomimic's data sets have them (both ends; Python 3.8).

Observation: for each robot the tool's position (m, world), its quaternion (xyzw) and both finger
joints (m), then the numbers robomimic calls `object`. Action: for each robot shares of the largest
displacement (0.05 m, 0.5 rad, base axes) in a control period, and the gripper (-1 opens, 1 closes).

Sources: DPPO's task table (sizes, limits, 20 Hz); robosuite 1.4.1 for the order and signs of the
object's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .service import field, vector

_XYZ, _XYZW = ("x", "y", "z"), ("x", "y", "z", "w")
CONTROL_RATE_HZ = 20.0
PHASE_NAMES = ("start", "near", "grasped", "done")


@dataclass(frozen=True)
class Source:
    """Where numbers of the observation come from.

    Attributes:
        key: robosuite's name of them.
        components: one name for each number.
        unit: their unit.
        frame: their frame.
        sign: -1 where robosuite 1.5 has the opposite sign of the data sets.
    """

    key: str
    components: tuple[str, ...]
    unit: str
    frame: str
    sign: float = 1.0


@dataclass(frozen=True)
class SuiteTask:
    """One task.

    Attributes:
        environment: robosuite's name.
        robots: how many Pandas.
        max_episode_steps: control steps of the published experiments.
        sources: the observation in order.
        near_m: tool to object, for the phase "near".
    """

    environment: str
    robots: int
    max_episode_steps: int
    sources: tuple[Source, ...]
    near_m: float

    def observation(self) -> dict[str, Any]:
        """Return the layout of the observation."""
        return vector(
            *(field(s.key, s.unit, s.frame, s.components, "as in robomimic") for s in self.sources)
        )

    def action(self) -> dict[str, Any]:
        """Return the layout of the action."""
        fields = []
        for robot in range(self.robots):
            name, frame = f"robot{robot}", f"robot{robot}_base"
            fields += [
                field(name + "_translation", "1", frame, _XYZ, "shares of 0.05 m"),
                field(name + "_rotation", "1", frame, _XYZ, "shares of 0.5 rad, axis-angle"),
                field(name + "_gripper", "1", "none", ("close",), "-1 opens, 1 closes"),
            ]
        return vector(*fields)


def _robot(index: int) -> tuple[Source, ...]:
    name = f"robot{index}_"
    return (
        Source(name + "eef_pos", _XYZ, "m", "world"),
        Source(name + "eef_quat", _XYZW, "1", "world"),
        Source(name + "gripper_qpos", ("left", "right"), "m", "joints"),
    )


def _pose(name: str) -> tuple[Source, ...]:
    return (
        Source(name + "_pos", _XYZ, "m", "world"),
        Source(name + "_quat", _XYZW, "1", "world"),
    )


def _object(name: str) -> tuple[Source, ...]:
    relative = (
        Source(name + "_to_robot0_eef_pos", _XYZ, "m", "robot0_eef"),
        Source(name + "_to_robot0_eef_quat", _XYZW, "1", "robot0_eef"),
    )
    return _pose(name) + relative


_LIFT = (*_robot(0), *_pose("cube"), Source("gripper_to_cube_pos", _XYZ, "m", "world", -1.0))
_TRANSPORT = (
    *_robot(0),
    *_robot(1),
    *_pose("payload"),
    *_pose("trash"),
    *_pose("lid_handle"),
    Source("target_bin_pos", _XYZ, "m", "world"),
    Source("trash_bin_pos", _XYZ, "m", "world"),
    Source("payload_in_target_bin", ("yes",), "1", "none"),
    Source("trash_in_trash_bin", ("yes",), "1", "none"),
    Source("gripper0_to_payload", _XYZ, "m", "world", -1.0),
    Source("gripper0_to_lid_handle", _XYZ, "m", "world", -1.0),
    Source("gripper1_to_payload", _XYZ, "m", "world", -1.0),
    Source("gripper1_to_trash", _XYZ, "m", "world", -1.0),
)

TASKS = {
    "lift": SuiteTask("Lift", 1, 300, _LIFT, 0.03),
    "can": SuiteTask("PickPlaceCan", 1, 300, (*_robot(0), *_object("Can")), 0.05),
    "square": SuiteTask("NutAssemblySquare", 1, 400, (*_robot(0), *_object("SquareNut")), 0.10),
    "transport": SuiteTask("TwoArmTransport", 2, 800, _TRANSPORT, 0.10),
}
"""Task name -> task."""
