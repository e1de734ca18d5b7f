# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges the policy bundle, and whether bundle, limits and robot go together. No rclpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dppo_ros.core.bundle import PolicyBundle, load_bundle
from dppo_ros.core.observation import furniture_action_spec, furniture_observation_spec
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.core.spec import first_difference
from dppo_ros.preflight.expectation import Expectation
from dppo_ros.preflight.snapshot import Snapshot
from dppo_ros.preflight.step import Step, judged
from dppo_ros.robots import find_robot

SECTION, LIMITS = "bundle", "limits"
FRANKA_TRANSLATION_M_S, FRANKA_ROTATION_RAD_S = 1.7, 2.5
"""Cartesian limits of a Panda; an FR3 has more."""

_OVERHANG_M = 0.005
_POSITIONS = slice(0, 3)


def load_and_verify(folder: Path) -> tuple[PolicyBundle, list[Step]]:
    """Return the bundle and what its verification said.

    Raises:
        BundleError: It is damaged, or does not reproduce its golden output.
    """
    bundle = load_bundle(folder)
    runtime = PolicyRuntime(bundle)
    manifest = bundle.manifest
    steps = [
        Step(
            SECTION, "hashes and golden output", "ok",
            f"{manifest.name!r}: largest error {runtime.golden_error:.1e}, "
            f"{manifest.act_steps} actions at {manifest.control_rate_hz:g} Hz",
        ),
        judged(
            SECTION, "success was measured", manifest.evaluation is not None,
            _evaluation_text(bundle), "an evaluation inside the bundle",
            "run 'dppo eval' and export again before it moves anything", "warn",
        ),
    ]  # fmt: skip
    return bundle, steps


def _evaluation_text(bundle: PolicyBundle) -> str:
    evaluation = bundle.manifest.evaluation
    if evaluation is None:
        return "never"
    shown = [
        f"{key} {evaluation[key]}" for key in ("success_rate", "episodes") if key in evaluation
    ]
    return ", ".join(shown) or "yes"


def layout_steps(bundle: PolicyBundle) -> Iterator[Step]:
    """Yield whether the nodes can build its observations and execute its actions."""
    manifest = bundle.manifest
    for name, known, own in (
        ("observation layout", furniture_observation_spec(), manifest.observation),
        ("action layout", furniture_action_spec(), manifest.action),
    ):
        difference = first_difference(known, own)
        yield judged(
            SECTION, name, not difference, difference or f"{own.dim} numbers, as the nodes have it",
            "the layout of this package", "use a bundle that was exported for this task",
        )  # fmt: skip
    yield judged(
        SECTION, "needs no pictures", manifest.image_shape is None,
        "state only" if manifest.image_shape is None else f"pictures {manifest.image_shape}",
        "state only", "the nodes do not feed pictures to a policy; train one on states",
    )  # fmt: skip


def limit_steps(expected: Expectation, bundle: PolicyBundle) -> Iterator[Step]:
    """Yield whether the limits leave room for the policy and stay below the arm's own."""
    manifest, parameters = bundle.manifest, expected.parameters["command"]
    low = np.array(parameters["safety.workspace_minimum_m"], dtype=np.float64)
    high = np.array(parameters["safety.workspace_maximum_m"], dtype=np.float64)
    asked_low = manifest.envelope.minimum[_POSITIONS]
    asked_high = manifest.envelope.maximum[_POSITIONS]
    overhang = float(np.max(np.maximum(low - asked_low, asked_high - high)))
    yield judged(
        LIMITS, "workspace holds the training goals", overhang <= _OVERHANG_M,
        f"goals {_corner(asked_low)} to {_corner(asked_high)} m, box {_corner(low)} to "
        f"{_corner(high)} m",
        f"at most {_OVERHANG_M * 1e3:g} mm beyond the box",
        "what lies outside is clipped, and the policy was not trained for that: widen the box if "
        "the cell allows it", "warn",
    )  # fmt: skip
    for name, hardware, unit in (
        ("safety.max_linear_velocity_m_s", FRANKA_TRANSLATION_M_S, "m/s"),
        ("safety.max_angular_velocity_rad_s", _goal_turning(expected), "rad/s"),
    ):
        if name in parameters:
            value = float(parameters[name])  # type: ignore[arg-type]  # declared as a number
            yield judged(
                LIMITS, name, value <= hardware, f"{value:g} {unit}", f"{hardware:g} {unit}",
                "lower it in config/ros/command.yaml",
            )  # fmt: skip
    age_s = float(parameters["safety.max_observation_age_s"])  # type: ignore[arg-type]
    chunk_s = manifest.act_steps / manifest.control_rate_hz
    yield judged(
        LIMITS, "a chunk outlives its observation", age_s >= chunk_s,
        f"chunk {chunk_s:g} s, safety.max_observation_age_s {age_s:g} s", f"{chunk_s:g} s or more",
        "raise safety.max_observation_age_s, or execute fewer actions of a chunk",
    )  # fmt: skip


def robot_limit_steps(robot: str) -> Iterator[Step]:
    """Yield how far the limits in use stay below those of the arm.

    Raises:
        ConfigError: There is no such robot, or its file is not acceptable.
        SafetyError: A limit in use exceeds the arm's own.
    """
    arm = find_robot(robot)
    used, own = arm.policy.joints, arm.hardware_joints
    shares = {
        "speed": max(a / b for a, b in zip(used.velocity_rad_s, own.velocity_rad_s, strict=True)),
        "acceleration": max(
            a / b for a, b in zip(used.acceleration_rad_s2, own.acceleration_rad_s2, strict=True)
        ),
        "jerk": max(a / b for a, b in zip(used.jerk_rad_s3, own.jerk_rad_s3, strict=True)),
        "tool speed": arm.policy.tool.linear_velocity_m_s / arm.hardware_tool.linear_velocity_m_s,
    }
    text = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    yield Step(LIMITS, f"limits in use of the {robot}", "ok", f"{text} of its own at most")


def _goal_turning(expected: Expectation) -> float:
    """Return how fast goals may turn: they are carrots of which the arm covers about 40 %."""
    return FRANKA_ROTATION_RAD_S / 0.4


def _corner(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values) + ")"


def agreement_steps(expected: Expectation, seen: Snapshot, bundle: PolicyBundle) -> Iterator[Step]:
    """Yield whether the running nodes use this bundle and these parameters."""
    manifest = bundle.manifest
    for node in ("observation", "policy", "command"):
        used = seen.parameters.get(node, {}).get("bundle")
        if used is not None:
            same = Path(str(used)).expanduser().resolve() == bundle.path.resolve()
            yield judged(
                SECTION, f"bundle of node {node}", same, str(used), str(bundle.path),
                "start all nodes with one bundle, or name the running one here",
            )  # fmt: skip
    for topic, names in (
        ("policy/observation", manifest.observation.component_names),
        ("policy/chunk", manifest.action.component_names),
    ):
        samples = seen.facts(topic).samples
        if samples:
            message = samples[-1].message
            found = tuple(message.name if topic.endswith("observation") else message.joint_names)
            yield judged(
                SECTION, f"components on {topic}", found == tuple(names),
                f"{len(found)} names, {found[0] if found else 'none'} first",
                f"the {len(names)} of the bundle", "the nodes have another bundle: restart them",
            )  # fmt: skip
    chunks = seen.facts("policy/chunk").samples
    points = chunks[-1].message.points if chunks else []
    if len(points) > 1:
        stamp = points[1].time_from_start
        period_s = stamp.sec + stamp.nanosec * 1e-9
        yield judged(
            SECTION, "control rate", abs(period_s * manifest.control_rate_hz - 1) < 1e-3,
            f"{1 / period_s:g} Hz", f"{manifest.control_rate_hz:g} Hz of the bundle",
            "the nodes run with another bundle: restart them",
        )  # fmt: skip
