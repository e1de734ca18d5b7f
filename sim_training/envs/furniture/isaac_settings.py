# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cell of a furniture task as the Isaac Gym worker takes it, from the project's own constants.

Facts after FurnitureBench (clvrai/furniture-bench, ankile/furniture-bench): friction and joint
settings that only PhysX has. Everything else comes from the task, the geometry and the model that
MuJoCo simulates. The URDF files are generated: ``python -m
sim_training.envs.furniture.isaac_settings`` writes them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.inverse_kinematics import GRIPPER_DEAD_BAND, MAX_JOINT_STEP_RAD
from dppo_ros.core.observation import OBSTACLE, base_pose_from_tag, tag_pose_from_base
from dppo_ros.core.rotations import (
    FloatArray,
    matrix_from_quaternion,
    quaternion_from_matrix,
)
from dppo_ros.paths import share_directory
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.isaac_assets import (
    ContactClass,
    Description,
    collision_filters,
    describe_body,
    describe_table,
    robot_classes,
)
from sim_training.envs.furniture.scene import build_model
from sim_training.envs.furniture.task import FurnitureTask
from sim_training.envs.furniture.tasks import TASKS
from sim_training.remote_worker.isaac_gym.settings import (
    ActorSettings,
    CellSettings,
    PhysicsSettings,
    RobotSettings,
)

ROBOT = "franka"
TABLE = "table"
# Coefficients of single shapes; PhysX averages a pair's to those of ``geometry``.
PART_FRICTION = 0.15
TABLE_FRICTION = 0.10
DEFAULT_FRICTION = 1.0
JOINT_ARMATURE = 0.01
ARM_JOINT_FRICTION = 0.05
FINGER_JOINT_FRICTION = 15.0

ONE_LEG_MESHES = {
    "top": "square_table/square_table_top.obj",
    **{f"leg{i}": f"square_table/square_table_leg{i}.obj" for i in range(1, 5)},
}
"""Part -> mesh in the furniture-bench package; other tasks name their parts like their meshes."""
_LEG_MESH_OFFSETS_M = {"leg1": -0.000625, "leg2": 0.00044, "leg3": -0.000625, "leg4": 0.000625}
"""Translation along z that puts the peg of a published leg mesh on the part's axis."""


def asset_folder(task: str) -> Path:
    """Return the folder of a task's generated URDF files."""
    return share_directory() / "urdf" / "isaac" / task


def describe_task(task: FurnitureTask) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Return the URDF text of every actor and the collision filters of its shapes.

    Raises:
        ConfigError: the cell has shapes or contact rules that Isaac Gym cannot be given.
    """
    model = build_model(task.name)
    bodies = [describe_table(model), *(describe_body(model, name) for name in task.objects)]
    links = [
        name
        for name in (model.body(i).name for i in range(model.nbody))
        if name.startswith("panda_")
    ]
    robot = robot_classes(model, ROBOT, links)
    words = collision_filters([*robot, *(c for body in bodies for c in body.classes)], ROBOT)
    if len({words[kind] for kind in robot}) != 1:
        raise ConfigError("shapes of the robot touch different things; give all the same bits")
    texts = {body.name: body.urdf for body in bodies}
    texts[ROBOT] = _robot_urdf(task)
    filters = {body.name: _filters(body, words) for body in bodies}
    filters[ROBOT] = [words[kind] for kind in list(robot)[:1]]
    return texts, filters


def cell_settings(
    task: FurnitureTask, device: str = "cuda:0", use_meshes: bool = True
) -> CellSettings:
    """Return a task's cell for the worker.

    Args:
        task: the task.
        device: torch device that simulates.
        use_meshes: take the meshes of furniture-bench where the worker finds that package.

    Raises:
        ConfigError: the URDF files of the task are missing.
    """
    _, filters = describe_task(task)
    folder = asset_folder(task.name)
    missing = [name for name in filters if not (folder / f"{name}.urdf").is_file()]
    if missing:
        raise ConfigError(
            f"{folder} lacks the descriptions of {', '.join(missing)}; write them with "
            "`python -m sim_training.envs.furniture.isaac_settings`"
        )
    friction = dict.fromkeys(task.parts, PART_FRICTION)
    friction |= {TABLE: TABLE_FRICTION, OBSTACLE: DEFAULT_FRICTION, ROBOT: DEFAULT_FRICTION}

    def actor(name: str) -> ActorSettings:
        square_table = task.name == "one_leg"
        mesh = ONE_LEG_MESHES.get(name, "") if square_table else f"{task.name}/{name}.obj"
        offset = _LEG_MESH_OFFSETS_M.get(name, 0.0) if square_table else 0.0
        return ActorSettings(
            name=name,
            urdf=str(folder / f"{name}.urdf"),
            fixed=name not in task.parts,
            friction=friction[name],
            filters=filters[name],
            mesh=mesh if name in task.parts else "",
            mesh_offset_m=[0.0, 0.0, offset],
        )

    return CellSettings(
        task=task.name,
        robot=_robot_settings(actor(ROBOT), task),
        fixtures=[actor(TABLE)],
        objects=[actor(name) for name in task.objects],
        object_poses=object_poses(task, task.nominal_poses).tolist(),
        arm_start_rad=geo.RESET_JOINTS_RAD.tolist(),
        parts=len(task.parts),
        physics=PhysicsSettings(),
        device=device,
        use_meshes=use_meshes,
    )


def object_poses(task: FurnitureTask, tag_from_part: Mapping[str, FloatArray]) -> FloatArray:
    """Poses (..., objects, 7) in the base frame, m and xyzw, of everything in a cell."""
    return np.stack([object_pose(name, tag_from_part[name]) for name in task.objects], axis=-2)


def object_pose(name: str, tag_from_object: FloatArray) -> FloatArray:
    """Base-frame pose (..., 7) of a body from its tag-frame pose (..., 7).

    The fence's body has the axes of the base, its frame in observations those of the tag plate.
    """
    position, rotation = base_pose_from_tag(tag_from_object)
    if name == OBSTACLE:
        rotation = rotation @ _BASE_FROM_FENCE.T
    return np.concatenate([position, quaternion_from_matrix(rotation)], axis=-1)


def tag_poses(task: FurnitureTask, poses: FloatArray) -> dict[str, FloatArray]:
    """Undo ``object_poses``: tag-frame poses (..., 7) by name."""
    result = {}
    for index, name in enumerate(task.objects):
        rotation = matrix_from_quaternion(poses[..., index, 3:])
        if name == OBSTACLE:
            rotation = rotation @ _BASE_FROM_FENCE
        result[name] = tag_pose_from_base(poses[..., index, :3], rotation)
    return result


_BASE_FROM_FENCE = base_pose_from_tag(np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]))[1]


def write_descriptions(task: FurnitureTask, folder: Path) -> list[Path]:
    """Write the URDF files of a task; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts, _ = describe_task(task)
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"{name}.urdf")
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def _robot_settings(actor: ActorSettings, task: FurnitureTask) -> RobotSettings:
    return RobotSettings(
        actor=actor,
        arm_links=[f"panda_link{index}" for index in range(1, 8)],
        arm_joints=list(geo.ARM_JOINTS),
        finger_joints=list(geo.FINGER_JOINTS),
        hand_link="panda_hand",
        tool_offset_m=geo.TOOL_OFFSET_M,
        stiffness=geo.DRIVE_STIFFNESS,
        damping=geo.DRIVE_DAMPING,
        max_joint_step_rad=MAX_JOINT_STEP_RAD,
        gripper_force_n=geo.GRIPPER_FORCE_N,
        gripper_dead_band=GRIPPER_DEAD_BAND,
        max_gripper_width_m=task.max_gripper_width_m,
        armature=JOINT_ARMATURE,
        arm_friction=ARM_JOINT_FRICTION,
        finger_friction=FINGER_JOINT_FRICTION,
    )


def _filters(body: Description, words: dict[ContactClass, int]) -> list[int]:
    values = [words[kind] for kind in body.classes]
    return values[:1] if len(set(values)) == 1 else values


def _robot_urdf(task: FurnitureTask) -> str:
    """The arm of the robot's own description, flat and with the task's gripper opening."""
    import xacro

    path = share_directory() / "urdf" / "franka.urdf.xacro"
    root = ET.fromstring(xacro.process_file(str(path), mappings={"robot": "panda"}).toxml())
    for name in geo.FINGER_JOINTS:
        limit = root.find(f"joint[@name='{name}']/limit")
        if limit is None:
            raise ConfigError(f"{path} has no limits for {name}")
        limit.set("upper", f"{task.max_gripper_width_m / 2:g}")
    ET.indent(root)
    head = '<?xml version="1.0"?>\n<!-- Generated from franka.urdf.xacro, do not edit. -->\n'
    return head + ET.tostring(root, encoding="unicode") + "\n"


def main() -> None:
    """Write the URDF files of every task."""
    for task in TASKS.values():
        for path in write_descriptions(task, asset_folder(task.name)):
            print(path)


if __name__ == "__main__":
    main()
