# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The numbers that the safety gate enforces, checked against each other. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dppo_ros.core.errors import SafetyError


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of the gate, SI units, robot base frame.

    The defaults are the FurnitureBench workspace and speeds well below a Franka's own limits.

    Attributes:
        workspace_minimum_m: Lower corner of the box that the tool goal must stay in.
        workspace_maximum_m: Upper corner.
        max_step_translation_m: Largest distance between the sent goal and the measured tool.
        max_step_rotation_rad: Largest angle between them, below pi/2.
        max_linear_velocity_m_s: Largest speed of the sequence of sent goals.
        max_angular_velocity_rad_s: Largest turning speed of that sequence.
        reject_translation_m: A goal this far from the measured tool is refused, not limited.
        reject_rotation_rad: A goal turned this far from the measured tool is refused.
        max_observation_age_s: Oldest observation whose action may still be sent.
        control_period_s: Time between commands; a longer pause earns no larger step.
        gripper_minimum: Smallest gripper latch value sent.
        gripper_maximum: Largest gripper latch value sent.
    """

    workspace_minimum_m: tuple[float, float, float] = (0.3, -0.55, 0.005)
    workspace_maximum_m: tuple[float, float, float] = (0.8, 0.55, 0.4)
    max_step_translation_m: float = 0.11
    max_step_rotation_rad: float = 0.7
    max_linear_velocity_m_s: float = 0.5
    max_angular_velocity_rad_s: float = 2.0
    reject_translation_m: float = 0.3
    reject_rotation_rad: float = 2.0
    max_observation_age_s: float = 1.0
    control_period_s: float = 0.1
    gripper_minimum: float = -1.0
    gripper_maximum: float = 1.0

    def __post_init__(self) -> None:
        """Refuse limits that are not finite or contradict each other.

        Raises:
            SafetyError: Names the limit, its value and what is allowed.
        """
        low, high = self.workspace_minimum_m, self.workspace_maximum_m
        if len(low) != 3 or len(high) != 3 or not all(map(math.isfinite, (*low, *high))):
            raise SafetyError(
                f"workspace corners are {low} and {high}; each must be three finite metres"
            )
        if any(a >= b for a, b in zip(low, high, strict=True)):
            raise SafetyError(
                f"workspace minimum {low} is not below its maximum {high} on every axis"
            )
        for name in (
            "max_step_translation_m", "max_step_rotation_rad", "max_linear_velocity_m_s",
            "max_angular_velocity_rad_s", "reject_translation_m", "reject_rotation_rad",
            "max_observation_age_s", "control_period_s",
        ):  # fmt: skip
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise SafetyError(f"{name} is {value}; it must be a positive finite number")
        if self.max_step_rotation_rad >= math.pi / 2:
            raise SafetyError(
                f"max_step_rotation_rad is {self.max_step_rotation_rad}; it must be below pi/2, "
                "because larger rotations have no unique way to be limited"
            )
        for reject, limit in (
            ("reject_translation_m", "max_step_translation_m"),
            ("reject_rotation_rad", "max_step_rotation_rad"),
        ):
            if getattr(self, reject) < getattr(self, limit):
                raise SafetyError(
                    f"{reject} is {getattr(self, reject)}, below {limit} = {getattr(self, limit)}; "
                    "a goal must be limited before it is refused, so raise the former"
                )
        if not -math.inf < self.gripper_minimum < self.gripper_maximum < math.inf:
            raise SafetyError(
                f"gripper range [{self.gripper_minimum}, {self.gripper_maximum}] is not an interval"
            )
