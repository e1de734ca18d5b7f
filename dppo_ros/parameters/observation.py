# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the observation node."""

from __future__ import annotations

from collections.abc import Mapping

from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.errors import ConfigError
from dppo_ros.parameters.model import COMMON, Parameter, Value

_POSE = 7

OBSERVATION = (
    *COMMON,
    Parameter("bundle", "", "folder of the policy bundle; says what the policy wants to see"),
    Parameter(
        "part_source",
        "truth",
        "part poses: from the simulator, or from a tracker on parts/*",
        choices=("truth", "parts"),
    ),
    Parameter(
        "tool_source",
        "joints",
        "tool pose and velocity: computed from joint_states, or received on tool_pose, tool_twist",
        choices=("joints", "topics"),
    ),
    Parameter("arm_prefix", "panda", "joint names are PREFIX_joint1 .. 7"),
    Parameter("base_frame", "panda_link0", "frame_id of the tool pose"),
    Parameter("tag_frame", "tag", "frame_id of the part poses"),
    Parameter("max_observation_age_s", 0.3, "older observations are refused (s)", 0.001, 10.0),
    Parameter("max_skew_s", 0.0, "a sample may be this much older than the instant (s)", 0.0, 1.0),
    Parameter(
        "max_gap_s", 0.1, "robot samples this far apart are interpolated; 0: never (s)", 0.0, 1.0
    ),
    Parameter(
        "max_future_s", 0.5, "samples stamped later than this from now are refused (s)", 0.0, 10.0
    ),
    Parameter(
        "clock_jump_s", 1.0, "a stamp this much back means that the clock jumped (s)", 0.1, 60.0
    ),
    Parameter(
        "constant_parts", "", "parts whose pose is declared, not observed, by comma: fixed fixtures"
    ),
    Parameter(
        "constant_poses",
        [0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0],
        "their poses one after the other: position (m), quaternion xyzw, tag frame",
    ),
    Parameter("robot_latency_s", 0.0, "joint stamps are this late: subtracted (s)", 0.0, 1.0),
    Parameter("part_latency_s", 0.0, "part-pose stamps are this late: subtracted (s)", 0.0, 1.0),
)


def alignment_settings(values: Mapping[str, Value], control_period_ns: int) -> AlignmentSettings:
    """Return how streams become observations.

    Args:
        values: Values of the parameters by name.
        control_period_ns: Time between control ticks (ns), from the bundle; observations come at
            most about that often.

    Raises:
        ConfigError: ``constant_poses`` does not fit ``constant_parts``.
    """
    names = [name.strip() for name in str(values["constant_parts"]).split(",") if name.strip()]
    poses = values["constant_poses"]
    numbers = [float(v) for v in poses] if isinstance(poses, list) else []
    if names and len(numbers) != _POSE * len(names):
        raise ConfigError(
            f"constant_poses has {len(numbers)} numbers for {len(names)} parts "
            f"({', '.join(names)}); give {_POSE} for each: x y z (m), quaternion x y z w, tag frame"
        )
    return AlignmentSettings(
        from_joints=values["tool_source"] == "joints",
        max_skew_ns=_ns(values["max_skew_s"]),
        max_gap_ns=_ns(values["max_gap_s"]),
        # A quarter of slack: pictures at 30 Hz do not fall on a grid of 10 Hz exactly.
        min_interval_ns=control_period_ns * 3 // 4,
        constants={
            name: tuple(numbers[_POSE * i : _POSE * (i + 1)]) for i, name in enumerate(names)
        },
        robot_latency_ns=_ns(values["robot_latency_s"]),
        part_latency_ns=_ns(values["part_latency_s"]),
        arm_prefix=str(values["arm_prefix"]),
        part_source=str(values["part_source"]),
    )


def _ns(seconds: Value) -> int:
    return round(float(seconds) * 1e9)  # type: ignore[arg-type]  # declared as a number
