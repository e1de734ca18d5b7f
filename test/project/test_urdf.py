# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The URDF description and the simulated cell are the same robot: names, limits, frames, masses."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import mujoco
import numpy as np
import pytest
import xacro

from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.rotations import matrix_from_quaternion, rotation_x, rotation_y, rotation_z
from dppo_ros.description import ROBOTS, robot_description
from dppo_ros.robots import find_robot
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.scene import build_model

URDF_FOLDER = Path(__file__).resolve().parents[2] / "urdf"
JOINTS = (*geo.ARM_JOINTS, *geo.FINGER_JOINTS)


def read_urdf(name: str, robot: str = "panda") -> ET.Element:
    document = xacro.process_file(str(URDF_FOLDER / name), mappings={"robot": robot})
    return ET.fromstring(document.toxml())


@pytest.fixture(scope="module")
def panda() -> ET.Element:
    return read_urdf("franka.urdf.xacro")


@pytest.fixture(scope="module")
def scene() -> mujoco.MjModel:
    return build_model("one_leg")


def numbers(element: ET.Element | None, attribute: str) -> np.ndarray:
    text = element.get(attribute) if element is not None else None
    return np.array([float(word) for word in (text or "0 0 0").split()])


def frame_of_joint(joint: ET.Element) -> np.ndarray:
    """Returns parent_from_child (4, 4) at joint position zero."""
    origin = joint.find("origin")
    roll, pitch, yaw = numbers(origin, "rpy")
    pose = np.eye(4)
    pose[:3, :3] = rotation_z(yaw) @ rotation_y(pitch) @ rotation_x(roll)
    pose[:3, 3] = numbers(origin, "xyz")
    return pose


def base_from_link(robot: ET.Element, link: str, positions: dict[str, float]) -> np.ndarray:
    """Returns the pose (4, 4) of a link in the frame of the root link."""
    by_child = {joint.find("child").get("link"): joint for joint in robot.findall("joint")}
    pose = np.eye(4)
    while link in by_child:
        joint = by_child[link]
        local = frame_of_joint(joint)
        value = positions.get(joint.get("name"), 0.0)
        if joint.get("type") == "revolute":
            turn = np.eye(4)
            turn[:3, :3] = rotation_z(value)
            local = local @ turn
        elif joint.get("type") == "prismatic":
            local[:3, 3] += local[:3, :3] @ numbers(joint.find("axis"), "xyz") * value
        pose = local @ pose
        link = joint.find("parent").get("link")
    return pose


def test_joint_names_types_and_limits_match_the_simulated_arm(
    panda: ET.Element, scene: mujoco.MjModel
) -> None:
    movable = {j.get("name"): j for j in panda.findall("joint") if j.get("type") != "fixed"}
    assert tuple(movable) == JOINTS
    for name, joint in movable.items():
        limit = joint.find("limit")
        expected = scene.joint(name).range
        seen = [float(limit.get("lower")), float(limit.get("upper"))]
        np.testing.assert_allclose(seen, expected, atol=1e-9, err_msg=name)
        slides = scene.joint(name).type == mujoco.mjtJoint.mjJNT_SLIDE
        assert joint.get("type") == ("prismatic" if slides else "revolute")
        assert float(limit.get("velocity")) > 0
    efforts = [float(movable[name].find("limit").get("effort")) for name in geo.ARM_JOINTS]
    assert tuple(efforts) == geo.JOINT_TORQUE_NM


def test_links_weigh_what_they_weigh_in_simulation(
    panda: ET.Element, scene: mujoco.MjModel
) -> None:
    weighed = 0
    for link in panda.findall("link"):
        if link.find("inertial") is not None:
            body = scene.body(link.get("name"))
            mass = float(link.find("inertial/mass").get("value"))
            np.testing.assert_allclose(mass, body.mass, rtol=1e-6)
            com = numbers(link.find("inertial/origin"), "xyz")
            np.testing.assert_allclose(com, body.ipos, atol=1e-9)
            weighed += 1
    assert weighed == 10


def test_tool_is_where_the_documentation_says_at_the_reset_joints(panda: ET.Element) -> None:
    positions = dict(zip(geo.ARM_JOINTS, geo.RESET_JOINTS_RAD, strict=True))
    tool = base_from_link(panda, "panda_tool", positions)
    np.testing.assert_allclose(tool[:3, 3], (0.567, 0.055, 0.124), atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_forward_kinematics_agree_with_the_simulated_cell(
    panda: ET.Element, scene: mujoco.MjModel, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ranges = np.array([scene.joint(name).range for name in JOINTS])
    positions = dict(zip(JOINTS, rng.uniform(ranges[:, 0], ranges[:, 1]), strict=True))
    data = mujoco.MjData(scene)
    for name, value in positions.items():
        data.joint(name).qpos = value
    mujoco.mj_kinematics(scene, data)
    tool = base_from_link(panda, "panda_tool", positions)
    np.testing.assert_allclose(tool[:3, 3], data.site("tool").xpos, atol=1e-5)
    np.testing.assert_allclose(tool[:3, :3], data.site("tool").xmat.reshape(3, 3), atol=1e-5)
    for finger in ("panda_leftfinger", "panda_rightfinger"):
        seen = base_from_link(panda, finger, positions)
        np.testing.assert_allclose(seen[:3, 3], data.body(finger).xpos, atol=1e-5)


def test_cell_places_the_tag_frame_as_the_observations_assume() -> None:
    cell = read_urdf("one_leg_cell.urdf.xacro")
    assert cell.get("name") == "one_leg_cell"
    base_from_tag = base_from_link(cell, "tag", {})
    np.testing.assert_allclose(base_from_tag[:3, 3], (0.3015, 0.0, 0.0), atol=1e-9)
    # tag x is the robot's left, tag y forward, tag z down
    expected = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
    np.testing.assert_allclose(base_from_tag[:3, :3], expected, atol=1e-9)
    assert len(cell.findall("link[@name='panda_link0']")) == 1


@pytest.mark.parametrize("robot", ROBOTS)
def test_cameras_hang_where_the_configuration_says(robot: str) -> None:
    cell = read_urdf("one_leg_cell.urdf.xacro", robot)
    for camera in shipped_cameras():
        pose = base_from_link(cell, camera.frame_id, {})
        np.testing.assert_allclose(pose[:3, 3], camera.base_position_m, atol=1e-9)
        expected = matrix_from_quaternion(camera.base_quaternion_xyzw)
        np.testing.assert_allclose(pose[:3, :3], expected, atol=1e-6)
        body = base_from_link(cell, f"{camera.name}_camera", {})
        # REP 103: the body looks along x with z up, the optical frame along z with y down.
        np.testing.assert_allclose(body[:3, 0], pose[:3, 2], atol=1e-9)
        np.testing.assert_allclose(body[:3, 2], -pose[:3, 1], atol=1e-9)


def test_cameras_look_down_at_the_table() -> None:
    cell = read_urdf("one_leg_cell.urdf.xacro")
    for camera in shipped_cameras():
        pose = base_from_link(cell, camera.frame_id, {})
        forward = pose[:3, 2]
        assert forward[2] < 0
        at_table = pose[:3, 3] - forward * pose[2, 3] / forward[2]
        assert 0.2 < at_table[0] < 0.8
        assert abs(at_table[1]) < 0.4


@pytest.mark.parametrize("robot", ROBOTS)
def test_every_frame_of_the_cell_carries_the_name_of_its_robot(robot: str) -> None:
    root = ET.fromstring(robot_description(robot))
    links = [str(link.get("name")) for link in root.findall("link")]
    assert len(set(links)) == len(links)
    for other in set(ROBOTS) - {robot}:
        assert not [name for name in links if name.startswith(other)]
    children = {str(joint.find("child").get("link")) for joint in root.findall("joint")}
    assert set(links) - children == {"world"}


@pytest.mark.parametrize("robot", ROBOTS)
def test_kinematics_of_the_nodes_follow_the_description(robot: str) -> None:
    root, arm = read_urdf("franka.urdf.xacro", robot), find_robot(robot)
    limits = arm.hardware_joints
    angles = np.random.default_rng(1).uniform(limits.position_min_rad, limits.position_max_rad)
    named = dict(zip(arm.joint_names, angles, strict=True))
    expected = base_from_link(root, f"{robot}_tool", named)
    position, base_from_tool = tool_pose(angles)
    np.testing.assert_allclose(position, expected[:3, 3], atol=1e-9)
    np.testing.assert_allclose(base_from_tool, expected[:3, :3], atol=1e-9)


def test_unknown_robot_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="panda"):
        robot_description("ur5")


@pytest.mark.parametrize("robot", ROBOTS)
def test_description_and_safety_limits_know_the_same_arm(robot: str) -> None:
    root, arm = read_urdf("franka.urdf.xacro", robot), find_robot(robot)
    limits = {
        str(joint.get("name")): joint.find("limit")
        for joint in root.findall("joint")
        if joint.get("type") != "fixed"
    }
    assert tuple(limits) == (*arm.joint_names, *arm.finger_names)
    for attribute, expected in (
        ("lower", arm.hardware_joints.position_min_rad),
        ("upper", arm.hardware_joints.position_max_rad),
        ("velocity", arm.hardware_joints.velocity_rad_s),
        ("effort", arm.hardware_joints.torque_nm),
    ):
        seen = [float(limits[name].get(attribute)) for name in arm.joint_names]
        np.testing.assert_array_equal(seen, expected, err_msg=attribute)
