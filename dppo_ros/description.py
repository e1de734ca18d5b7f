# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot description: URDF text from the xacro files, and what it says about the arm.

No rclpy; xacro is imported when called.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError, unknown_name_message
from dppo_ros.paths import share_directory

ROBOTS = ("panda", "fr3")
CELL = "one_leg_cell.urdf.xacro"
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """What the joints of an arm are called and how far they go.

    Attributes:
        robot: Type, ``panda`` or ``fr3``.
        names: Names of the arm joints, base first.
        fingers: Names of the finger joints.
        lower_rad: Lower joint limits (7,).
        upper_rad: Upper joint limits (7,).
        velocity_rad_s: Largest joint speeds (7,).
    """

    robot: str
    names: tuple[str, ...]
    fingers: tuple[str, ...]
    lower_rad: FloatArray
    upper_rad: FloatArray
    velocity_rad_s: FloatArray


def robot_description(robot: str = "panda") -> str:
    """Return the URDF of arm, cell and cameras, as ``robot_state_publisher`` takes it.

    Args:
        robot: ``panda`` or ``fr3``.

    Raises:
        ConfigError: Another robot, or the description cannot be processed.
        EnvironmentUnavailableError: xacro is not installed.
    """
    if robot not in ROBOTS:
        raise ConfigError(unknown_name_message("robot", robot, ROBOTS))
    try:
        import xacro
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"the robot description needs xacro ({error}); install it with pip, or the package "
            "ros-<distro>-xacro"
        ) from error
    path = share_directory() / "urdf" / CELL
    try:
        document = xacro.process_file(str(path), mappings={"robot": robot})
    except (OSError, xacro.XacroException) as error:
        raise ConfigError(f"cannot read the robot description {path}: {error}") from error
    return str(document.toxml())


@cache
def read_arm(robot: str = "panda") -> Arm:
    """Return names and limits of the arm, from its description.

    Raises:
        ConfigError: Another robot, or the description cannot be processed.
        EnvironmentUnavailableError: xacro is not installed.
    """
    root = ET.fromstring(robot_description(robot))
    arm, fingers = [], []
    for joint in root.findall("joint"):
        if joint.get("type") == "revolute":
            arm.append(joint)
        elif joint.get("type") == "prismatic":
            fingers.append(joint)
    limits = {
        key: np.array([float(_limit(joint).get(key, "nan")) for joint in arm])
        for key in ("lower", "upper", "velocity")
    }
    return Arm(
        robot,
        tuple(str(joint.get("name")) for joint in arm),
        tuple(str(joint.get("name")) for joint in fingers),
        limits["lower"],
        limits["upper"],
        limits["velocity"],
    )


def _limit(joint: ET.Element) -> ET.Element:
    found = joint.find("limit")
    if found is None:
        raise ConfigError(f"joint {joint.get('name')} of the robot description has no limit")
    return found
