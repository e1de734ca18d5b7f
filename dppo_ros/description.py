# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot description: URDF text from the xacro files. No rclpy; xacro when called."""

from __future__ import annotations

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError, unknown_name_message
from dppo_ros.paths import share_directory

ROBOTS = ("panda", "fr3")
CELL = "one_leg_cell.urdf.xacro"


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
