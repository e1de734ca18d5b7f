# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Puts all questions of the preflight in order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dppo_ros import graph
from dppo_ros.core.bundle import PolicyBundle
from dppo_ros.core.errors import DppoError
from dppo_ros.paths import find_bundle
from dppo_ros.preflight import calibration, cell, environment, policy, robot, traffic
from dppo_ros.preflight.expectation import Expectation, expect
from dppo_ros.preflight.snapshot import Snapshot
from dppo_ros.preflight.step import Step, guarded
from dppo_ros.robots import find_robot


@dataclass(frozen=True)
class Request:
    """What to look at.

    Attributes:
        given: Launch arguments as text, as they are or will be given to the launch.
        seconds: How long to listen (s).
        wait_s: Longest wait for topics to appear (s).
        running: Whether to look at the ROS graph; otherwise only at files and this machine.
        namespace: Namespace in which the nodes run.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 3.0
    wait_s: float = 0.0
    running: bool = True
    namespace: str = ""


def preflight(request: Request) -> list[Step]:
    """Return every step, in order; looks at the running system where that is asked for.

    Raises:
        ConfigError: A launch argument is not acceptable.
    """
    bundle, steps = _bundle(request)
    if bundle is None:
        return [*_surroundings(request, None), *steps]
    expected = expect(request.given, bundle.manifest)
    steps = [*_surroundings(request, expected), *steps, *static_steps(expected, bundle)]
    if request.running:
        steps += guarded("ROS graph", "look", lambda: _running_steps(request, expected, bundle))
    return steps


def static_steps(expected: Expectation, bundle: PolicyBundle) -> list[Step]:
    """Return what files alone can tell."""
    return [
        *guarded(policy.SECTION, "layout", lambda: policy.layout_steps(bundle)),
        *guarded(policy.LIMITS, "limits", lambda: policy.limit_steps(expected, bundle)),
        *guarded(policy.LIMITS, "robot", lambda: policy.robot_limit_steps(robot_of(expected))),
        *guarded(
            calibration.SECTION, "calibration", lambda: calibration.calibration_steps(expected)
        ),
    ]


def robot_of(expected: Expectation) -> str:
    """Return the type of the arm."""
    return str(expected.settings.get("robot", "panda"))


def judge(expected: Expectation, seen: Snapshot, bundle: PolicyBundle) -> list[Step]:
    """Return what the facts about a running system mean."""
    arm = find_robot(robot_of(expected))
    return [
        *traffic.node_steps(expected, seen),
        *traffic.topic_steps(expected, seen),
        *traffic.quality_steps(expected, seen),
        *traffic.timing_steps(expected, seen),
        *robot.joint_steps(arm, seen),
        *robot.tool_steps(arm, seen),
        *cell.part_steps(expected, seen, bundle.manifest),
        *calibration.drift_steps(expected, seen),
        *policy.agreement_steps(expected, seen, bundle),
        *cell.command_steps(seen),
        *cell.diagnostics_steps(expected, seen),
    ]


def _bundle(request: Request) -> tuple[PolicyBundle | None, list[Step]]:
    known = {argument.name: argument.default for argument in graph.ARGUMENTS}
    try:
        folder = find_bundle(request.given.get("bundle", known["bundle"]))
        bundle, steps = policy.load_and_verify(folder)
    except DppoError as error:
        return None, [
            Step(
                policy.SECTION, "hashes and golden output", "fail", str(error),
                "a bundle that verifies", "copy it again, or export it again with 'dppo export'",
            )
        ]  # fmt: skip
    return bundle, steps


def _surroundings(request: Request, expected: Expectation | None) -> list[Step]:
    machine = environment.read_machine(Path(request.given.get("record", "") or "."))
    robot_side = expected is not None and expected.robot
    pictures = expected is not None and expected.cameras
    return [
        *environment.environment_steps(os.environ, environment.read_installation(), pictures),
        *environment.machine_steps(machine, robot_side, bool(request.given.get("record"))),
    ]


def _running_steps(request: Request, expected: Expectation, bundle: PolicyBundle) -> list[Step]:
    from dppo_ros.preflight.probe import Probe

    probe = Probe(request.namespace)
    try:
        needed = tuple(name for name, wanted in expected.topics.items() if wanted.required)
        probe.wait_for(needed, request.wait_s)
        seen = probe.look(request.seconds, expected.nodes, (expected.controller,))
    finally:
        probe.close()
    return judge(expected, seen, bundle)
