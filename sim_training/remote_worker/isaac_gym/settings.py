# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the worker has to know of a cell, as plain values that travel as JSON.

Written by the trainer (``sim_training.envs.furniture.isaac_settings``), so that no number is
written twice. Frames: base is the robot's base frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ActorSettings:
    """One actor of every cell.

    Attributes:
        name: unique in the cell.
        urdf: path of its description.
        fixed: held in place (and moved only by resets).
        friction: coefficient of all its shapes; PhysX averages the two of a pair.
        filters: collision filter of each shape, in the order of the description; two shapes that
            share a bit do not touch. One entry holds for all shapes.
        mesh: where the furniture-bench package keeps a mesh of it, below its mesh folder; "": none.
        mesh_offset_m: (3,) translation that centres the mesh on the part frame.
    """

    name: str
    urdf: str
    fixed: bool
    friction: float
    filters: list[int]
    mesh: str = ""
    mesh_offset_m: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


@dataclass(frozen=True)
class RobotSettings:
    """The arm and its controller.

    Attributes:
        actor: its description.
        arm_links: the seven links whose z axes the arm joints turn about, base first.
        arm_joints, finger_joints: names in the description.
        hand_link: link that carries the fingers.
        tool_offset_m: tool along the hand's z axis.
        stiffness, damping: joint drives (Nm/rad, Nms/rad).
        max_joint_step_rad: bound of one IK solve.
        gripper_force_n: of each finger.
        gripper_dead_band: smaller gripper commands change nothing.
        max_gripper_width_m: sum of both fingers.
        armature, arm_friction, finger_friction: of the joints, as the reference sets them.
    """

    actor: ActorSettings
    arm_links: list[str]
    arm_joints: list[str]
    finger_joints: list[str]
    hand_link: str
    tool_offset_m: float
    stiffness: float
    damping: float
    max_joint_step_rad: float
    gripper_force_n: float
    gripper_dead_band: float
    max_gripper_width_m: float
    armature: float
    arm_friction: float
    finger_friction: float


@dataclass(frozen=True)
class PhysicsSettings:
    """PhysX, after FurnitureBench.

    Attributes:
        call_s: simulated time of one simulator call.
        substeps: of one call.
        calls_per_control_step: calls between two actions; one IK solve for all of them.
        position_iterations, velocity_iterations: of the TGS solver.
        contact_offset_m, rest_offset_m, bounce_threshold_m_s, friction_offset_threshold_m,
            friction_correlation_m: see PhysX.
        gravity_m_s2: downwards.
        sdf_resolution: of meshes with signed-distance contacts.
        base_position_m: (3,) robot base in the simulator's world, the floor at its z = 0.
        spacing_m: distance between neighbouring cells.
    """

    call_s: float = 1.0 / 60.0
    substeps: int = 2
    calls_per_control_step: int = 6
    position_iterations: int = 20
    velocity_iterations: int = 1
    contact_offset_m: float = 0.002
    rest_offset_m: float = 0.0
    bounce_threshold_m_s: float = 0.02
    friction_offset_threshold_m: float = 0.01
    friction_correlation_m: float = 0.0005
    gravity_m_s2: float = 9.8
    sdf_resolution: int = 512
    base_position_m: list[float] = field(default_factory=lambda: [-0.3, 0.0, 0.415])
    spacing_m: float = 2.0


@dataclass(frozen=True)
class CellSettings:
    """A task's cell.

    Attributes:
        task: name, for messages.
        robot: the arm.
        fixtures: what never moves (the table).
        objects: what has a pose: the parts, then the obstacle.
        object_poses: per object (7,), a valid start in the base frame, m and xyzw.
        arm_start_rad: (7,) joint angles that go with it.
        parts: how many of the objects, from the first, are free bodies.
        physics: simulator settings.
        device: torch name of the device that simulates, such as "cuda:0" or "cpu".
        use_meshes: take the meshes of the furniture-bench package where it is installed.
    """

    task: str
    robot: RobotSettings
    fixtures: list[ActorSettings]
    objects: list[ActorSettings]
    object_poses: list[list[float]]
    arm_start_rad: list[float]
    parts: int
    physics: PhysicsSettings
    device: str = "cuda:0"
    use_meshes: bool = True


def settings_from_json(values: Mapping[str, Any]) -> CellSettings:
    """Return the settings that ``dataclasses.asdict`` turned into plain values.

    Raises:
        TypeError: a value is missing or unknown; trainer and worker are of different versions.
    """
    rest: dict[str, Any] = dict(values)
    robot: dict[str, Any] = dict(rest.pop("robot"))
    return CellSettings(
        robot=RobotSettings(actor=ActorSettings(**robot.pop("actor")), **robot),
        fixtures=[ActorSettings(**entry) for entry in rest.pop("fixtures")],
        objects=[ActorSettings(**entry) for entry in rest.pop("objects")],
        physics=PhysicsSettings(**rest.pop("physics")),
        **rest,
    )
