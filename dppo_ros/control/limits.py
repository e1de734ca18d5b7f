# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an arm may do: the robot's own limits and the lower ones in use. Standard library only.

SI units: rad, m, s, Nm. Seven numbers, joint 1 first, where a field says (7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from dppo_ros.core.errors import SafetyError
from dppo_ros.core.kinematics import ARM_JOINTS, LINKS

Seven = tuple[float, ...]
Three = tuple[float, ...]


@dataclass(frozen=True)
class JointLimits:
    """Limits of the seven joints, each (7).

    Attributes:
        position_min_rad: Lower ends of the ranges.
        position_max_rad: Upper ends of the ranges.
        velocity_rad_s: Largest speeds.
        acceleration_rad_s2: Largest accelerations.
        jerk_rad_s3: Largest jerks.
        torque_nm: Largest torques; watched where the robot reports efforts.
        torque_rate_nm_s: Largest change of torque per second.
    """

    position_min_rad: Seven
    position_max_rad: Seven
    velocity_rad_s: Seven
    acceleration_rad_s2: Seven
    jerk_rad_s3: Seven
    torque_nm: Seven
    torque_rate_nm_s: Seven

    def __post_init__(self) -> None:
        """Refuse what is no set of limits.

        Raises:
            SafetyError: Names the limit, its value and what is allowed.
        """
        for field in fields(self):
            values = getattr(self, field.name)
            if len(values) != ARM_JOINTS or not all(map(math.isfinite, values)):
                raise SafetyError(
                    f"{field.name} is {list(values)}; it must be {ARM_JOINTS} finite numbers"
                )
            if not field.name.startswith("position") and min(values) <= 0.0:
                raise SafetyError(f"{field.name} is {list(values)}; every number must be positive")
        ends = zip(self.position_min_rad, self.position_max_rad, strict=True)
        for joint, (low, high) in enumerate(ends, start=1):
            if low >= high:
                raise SafetyError(f"range of joint {joint} is [{low}, {high}]; it is empty")


@dataclass(frozen=True)
class ToolLimits:
    """Limits of the tool's motion in the base frame.

    Attributes:
        linear_velocity_m_s: Largest speed.
        linear_acceleration_m_s2: Largest acceleration.
        linear_jerk_m_s3: Largest jerk.
        angular_velocity_rad_s: Largest turning speed.
        angular_acceleration_rad_s2: Largest angular acceleration.
        angular_jerk_rad_s3: Largest angular jerk.
    """

    linear_velocity_m_s: float
    linear_acceleration_m_s2: float
    linear_jerk_m_s3: float
    angular_velocity_rad_s: float
    angular_acceleration_rad_s2: float
    angular_jerk_rad_s3: float

    def __post_init__(self) -> None:
        """Refuse what is no set of limits.

        Raises:
            SafetyError: Names the limit, its value and what is allowed.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0.0):
                raise SafetyError(f"{field.name} is {value}; it must be a positive finite number")


@dataclass(frozen=True)
class Capsule:
    """A part of the arm, or of the cell, as a thick line.

    Attributes:
        name: What it stands for.
        link: Frame that it moves with, one of ``kinematics.LINKS``.
        start_m: One end of its centre line (3), link frame.
        end_m: The other end (3), link frame.
        radius_m: Half of its thickness.
    """

    name: str
    link: str
    start_m: Three
    end_m: Three
    radius_m: float

    def __post_init__(self) -> None:
        """Refuse a capsule that is none.

        Raises:
            SafetyError: Unknown link, wrong number of coordinates or a radius that is not positive.
        """
        numbers = (*self.start_m, *self.end_m, self.radius_m)
        if len(self.start_m) != 3 or len(self.end_m) != 3 or not all(map(math.isfinite, numbers)):
            raise SafetyError(f"capsule {self.name}: both ends must be three finite metres")
        if self.link not in LINKS:
            raise SafetyError(
                f"capsule {self.name}: link {self.link!r} is unknown; known: {', '.join(LINKS)}"
            )
        if self.radius_m <= 0.0:
            raise SafetyError(f"capsule {self.name}: radius_m is {self.radius_m}; it must be > 0")


@dataclass(frozen=True)
class Surroundings:
    """What the arm must keep clear of.

    Attributes:
        table_height_m: Height of the table surface in the base frame.
        table_clearance_m: Smallest distance of any capsule to it; a little below zero lets the
            finger tips touch.
        self_clearance_m: Smallest distance between the capsules of ``pairs``.
        capsules: Shape of the arm.
        pairs: Names of capsules that must not touch each other.
        obstacles: Fixed capsules of the cell, link ``link0``.
        obstacle_clearance_m: Smallest distance between them and the arm.
        obstacle_links: Names of the arm's capsules that are checked against the obstacles.
    """

    table_height_m: float
    table_clearance_m: float
    self_clearance_m: float
    capsules: tuple[Capsule, ...]
    pairs: tuple[tuple[str, str], ...]
    obstacles: tuple[Capsule, ...]
    obstacle_clearance_m: float
    obstacle_links: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse names that do not exist.

        Raises:
            SafetyError: A pair or an obstacle link names no capsule.
        """
        known = [capsule.name for capsule in self.capsules]
        for name in (*(n for pair in self.pairs for n in pair), *self.obstacle_links):
            if name not in known:
                raise SafetyError(
                    f"collision shape {name!r} is named but not defined; known: {', '.join(known)}"
                )


@dataclass(frozen=True)
class MotionLimits:
    """The limits in use: joints, tool, and how far setpoint and robot may be apart.

    Attributes:
        joints: Limits of the joints.
        tool: Limits of the tool.
        measured_distance_rad: Largest distance of a setpoint to the measured joints, each (7).
        homing_speed: Fraction of the joint speeds and accelerations used for homing.
        rest_velocity_rad_s: Slower than this in every joint counts as standing still.
    """

    joints: JointLimits
    tool: ToolLimits
    measured_distance_rad: Seven
    homing_speed: float
    rest_velocity_rad_s: float

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            SafetyError: Names the value and what is allowed.
        """
        distance = self.measured_distance_rad
        if len(distance) != ARM_JOINTS or not all(0.0 < value < math.pi for value in distance):
            raise SafetyError(
                f"measured_distance_rad is {list(distance)}; it must be {ARM_JOINTS} numbers "
                "between 0 and pi"
            )
        if not 0.0 < self.homing_speed <= 1.0:
            raise SafetyError(f"homing_speed is {self.homing_speed}; it must lie in (0, 1]")
        if not 0.0 < self.rest_velocity_rad_s < 1.0:
            raise SafetyError(
                f"rest_velocity_rad_s is {self.rest_velocity_rad_s}; it must lie between 0 and 1"
            )


@dataclass(frozen=True)
class Robot:
    """An arm as ``config/robots`` describes it.

    Attributes:
        name: ``panda`` or ``fr3``.
        joint_names: Arm joints in order (7).
        finger_names: Both finger joints.
        home_rad: Where homing goes (7).
        hardware_joints: Limits that the manufacturer gives.
        hardware_tool: The same for the tool.
        policy: The limits in use, inside the former.
        surroundings: Collision shapes and clearances.
    """

    name: str
    joint_names: tuple[str, ...]
    finger_names: tuple[str, ...]
    home_rad: Seven
    hardware_joints: JointLimits
    hardware_tool: ToolLimits
    policy: MotionLimits
    surroundings: Surroundings

    def __post_init__(self) -> None:
        """Refuse limits in use that exceed the robot's own.

        Raises:
            SafetyError: Names the limit, both values and the joint.
        """
        if len(self.joint_names) != ARM_JOINTS or len(set(self.joint_names)) != ARM_JOINTS:
            raise SafetyError(
                f"robot {self.name}: joint_names {list(self.joint_names)} must be {ARM_JOINTS} "
                "different names"
            )
        for field in fields(JointLimits):
            self._compare(field.name, self.policy.joints, self.hardware_joints)
        # The robot's tool accelerations hold for its Cartesian motion generators, not for joint
        # setpoints, so they may be exceeded; its speeds may not.
        for name in ("linear_velocity_m_s", "angular_velocity_rad_s"):
            self._compare(name, self.policy.tool, self.hardware_tool)
        for joint, home in enumerate(self.home_rad):
            low = self.policy.joints.position_min_rad[joint]
            high = self.policy.joints.position_max_rad[joint]
            if not low < home < high:
                raise SafetyError(
                    f"robot {self.name}: home_rad of joint {joint + 1} is {home}; the policy range "
                    f"is {low} to {high}"
                )

    def _compare(self, name: str, used: object, allowed: object) -> None:
        mine, theirs = getattr(used, name), getattr(allowed, name)
        if not isinstance(mine, tuple):
            mine, theirs = (mine,), (theirs,)
        for joint, (value, limit) in enumerate(zip(mine, theirs, strict=True), start=1):
            too_far = value < limit if name == "position_min_rad" else value > limit
            if too_far:
                raise SafetyError(
                    f"robot {self.name}: policy limit {name} is {value} (number {joint}), the "
                    f"robot's own is {limit}; a policy limit must stay inside it"
                )
