# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A healthy cell passes every step; each fault fails the step that is there for it, and says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from healthy_cell import (
    MS,
    NAMES,
    RESET_RAD,
    arm_mixed_up,
    at,
    healthy,
    joints,
    pose,
    status,
    stream,
    tool,
)

from dppo_ros import topics
from dppo_ros.core.bundle import PolicyBundle, load_bundle
from dppo_ros.paths import shipped_bundle
from dppo_ros.preflight import policy
from dppo_ros.preflight.expectation import Expectation, expect
from dppo_ros.preflight.run import judge, static_steps
from dppo_ros.preflight.snapshot import Endpoint, Sample, Snapshot
from dppo_ros.preflight.step import Step, as_json, as_lines, exit_code, worst

CONTROLLER = "joint_trajectory_controller/joint_trajectory"
ROBOT = {"sim": "false", "poses": "external"}
TWIN = {"sim": "true", "poses": "truth"}


@pytest.fixture(scope="module")
def bundle() -> PolicyBundle:
    return load_bundle(shipped_bundle())


@pytest.fixture(scope="module")
def expected(bundle: PolicyBundle) -> Expectation:
    return expect(ROBOT, bundle.manifest)


@pytest.fixture
def seen(expected: Expectation, bundle: PolicyBundle) -> Snapshot:
    return healthy(expected, bundle.manifest)


def change(seen: Snapshot, name: str, **changes: object) -> None:
    seen.topics[name] = replace(seen.facts(name), **changes)  # type: ignore[index]


def resend(seen: Snapshot, name: str, samples: tuple[Sample, ...]) -> None:
    change(seen, name, samples=samples)


def problems(steps: list[Step]) -> dict[str, Step]:
    return {step.name: step for step in steps if step.status != "ok"}


@pytest.mark.parametrize("given", [ROBOT, TWIN])
def test_healthy_system_is_ready(given: dict[str, str], bundle: PolicyBundle) -> None:
    expected = expect(given, bundle.manifest)
    steps = [
        *static_steps(expected, bundle),
        *judge(expected, healthy(expected, bundle.manifest), bundle),
    ]
    assert not problems(steps)
    assert exit_code(steps) == 0
    assert {"nodes", "topics", "quality of service", "rates and stamps", "robot", "parts"} <= {
        step.section for step in steps
    }


def unplugged(seen: Snapshot) -> None:
    change(seen, "joint_states", publishers=(), samples=())


def other_type(seen: Snapshot) -> None:
    sender = replace(seen.facts("tool_pose").publishers[0], type="geometry_msgs/msg/Pose")
    change(seen, "tool_pose", publishers=(sender,), samples=())


def hostile(name: str) -> Callable[[Snapshot], None]:
    def act(seen: Snapshot) -> None:
        facts = seen.facts(name)
        stranger = replace(facts.publishers[0], node="/stranger")
        change(seen, name, publishers=(*facts.publishers, stranger))

    return act


def best_effort_driver(seen: Snapshot) -> None:
    sender = replace(seen.facts("joint_states").publishers[0], reliable=False)
    change(seen, "joint_states", publishers=(sender,))


def slow_parts(seen: Snapshot) -> None:
    sample = seen.facts("parts/top/pose").samples[0]
    resend(seen, "parts/top/pose", stream(2.0, lambda ns: sample.message, "tag"))


def silent_part(seen: Snapshot) -> None:
    change(seen, "parts/leg4/pose", samples=())


def clock_behind(seen: Snapshot) -> None:
    late = tuple(
        replace(sample, stamp_ns=(sample.stamp_ns or 0) - 1200 * MS)
        for sample in seen.facts("joint_states").samples
    )
    resend(seen, "joint_states", late)


def clock_ahead(seen: Snapshot) -> None:
    early = tuple(
        replace(sample, stamp_ns=(sample.stamp_ns or 0) + 300 * MS)
        for sample in seen.facts("tool_pose").samples
    )
    resend(seen, "tool_pose", early)


def wrong_frame(seen: Snapshot) -> None:
    samples = tuple(replace(s, frame="fr3_link0") for s in seen.facts("tool_pose").samples)
    resend(seen, "tool_pose", samples)


def fr3_names(seen: Snapshot) -> None:
    names = [name.replace("panda", "fr3") for name in NAMES]
    resend(seen, "joint_states", stream(100.0, lambda ns: joints(names)))


def mixed_up(seen: Snapshot) -> None:
    resend(seen, "joint_states", stream(100.0, lambda ns: arm_mixed_up()))


def degrees(seen: Snapshot) -> None:
    arm = np.degrees(RESET_RAD).tolist()
    resend(seen, "joint_states", stream(100.0, lambda ns: joints(arm=arm)))


def not_a_number(seen: Snapshot) -> None:
    arm = [float("nan"), *RESET_RAD[1:]]
    resend(seen, "joint_states", stream(100.0, lambda ns: joints(arm=arm)))


def width_twice(seen: Snapshot) -> None:
    resend(seen, "joint_states", stream(100.0, lambda ns: joints(fingers=0.065)))


def no_hand(seen: Snapshot) -> None:
    def arm_only() -> object:
        message = joints()
        message.name, message.position = message.name[:7], message.position[:7]
        message.velocity = message.velocity[:7]
        return message

    resend(seen, "joint_states", stream(100.0, lambda ns: arm_only()))


def other_tool_frame(seen: Snapshot) -> None:
    message = tool()
    message.pose.position.z += 0.1034
    resend(seen, "tool_pose", stream(10.0, lambda ns: message, "panda_link0"))


def part_in_the_air(seen: Snapshot) -> None:
    message = pose((0.0, 0.3, -0.9), (0.0, 0.0, 0.0, 1.0))
    resend(seen, "parts/top/pose", stream(30.0, lambda ns: message, "tag"))


def quaternion_of_zeros(seen: Snapshot) -> None:
    message = pose((0.0, 0.3, 0.0), (0.0, 0.0, 0.0, 0.0))
    resend(seen, "parts/leg1/pose", stream(30.0, lambda ns: message, "tag"))


def other_bundle(seen: Snapshot) -> None:
    message = seen.facts("policy/observation").samples[-1].message
    message.name = message.name[:-1]


def other_bundle_parameter(seen: Snapshot) -> None:
    seen.parameters = {"policy": {"bundle": "elsewhere/other"}}


def dead_policy(seen: Snapshot) -> None:
    seen.nodes = seen.nodes - {"policy"}
    seen.states = {name: state for name, state in seen.states.items() if name != "policy"}


def refused_observation(seen: Snapshot) -> None:
    seen.states = {**seen.states, "observation": "unconfigured"}


def stopped(seen: Snapshot) -> None:
    resend(seen, "command/status", (at(0, status(state="estop", reason="operator")),))


def nobody_listens(seen: Snapshot) -> None:
    change(seen, CONTROLLER, subscribers=())


def rival_of_the_command_node(seen: Snapshot) -> None:
    change(seen, CONTROLLER, publishers=(Endpoint("/stranger", "", True, False),))


@pytest.mark.parametrize(
    ("fault", "step", "words"),
    [
        (unplugged, "joint_states", "nobody publishes"),
        (other_type, "tool_pose", "geometry_msgs/msg/Pose"),
        (hostile("target_pose"), "sole publisher of target_pose", "/stranger"),
        (hostile("policy/chunk"), "sole publisher of policy/chunk", "/stranger"),
        (hostile("tool_pose"), "tool_pose", "/stranger"),
        (best_effort_driver, "joint_states", "best effort, but reliable is demanded"),
        (slow_parts, "parts/top/pose", "2.0 Hz"),
        (silent_part, "leg4", "no pose"),
        (silent_part, "parts/leg4/pose", "0 messages"),
        (clock_behind, "stamps of joint_states", "1201.0 ms"),
        (clock_ahead, "stamps of tool_pose", "-299.0 ms"),
        (wrong_frame, "frame of tool_pose", "fr3_link0"),
        (fr3_names, "joint names", "fr3_joint1"),
        (mixed_up, "tool pose against joints", "mm"),
        (degrees, "joint angles within limits", "panda_joint2"),
        (not_a_number, "joint angles are numbers", "300 messages"),
        (width_twice, "gripper opening", "130.0 mm"),
        (no_hand, "gripper opening", "finger joints are missing"),
        (other_tool_frame, "tool pose against joints", "103.40 mm"),
        (part_in_the_air, "top", "0.900"),
        (quaternion_of_zeros, "leg1", "length 0.000"),
        (other_bundle, "components on policy/observation", "57 names"),
        (other_bundle_parameter, "bundle of node policy", "elsewhere/other"),
        (dead_policy, "policy", "not running"),
        (refused_observation, "observation", "unconfigured"),
        (stopped, "state", "estop: operator"),
        (nobody_listens, f"somebody obeys {CONTROLLER}", "nobody listens"),
        (rival_of_the_command_node, f"sole publisher of {CONTROLLER}", "/stranger"),
    ],
)
def test_fault_is_caught_and_named(
    expected: Expectation, bundle: PolicyBundle, seen: Snapshot,
    fault: Callable[[Snapshot], None], step: str, words: str,
) -> None:  # fmt: skip
    fault(seen)
    found = problems(judge(expected, seen, bundle))
    assert step in found
    assert found[step].status == "fail"
    assert words in found[step].seen
    assert found[step].advice
    assert worst(found.values()) == "fail"


def test_joint_names_in_another_order_are_a_warning_because_nodes_go_by_name(
    expected: Expectation, bundle: PolicyBundle, seen: Snapshot
) -> None:
    order = [6, 5, 4, 3, 2, 1, 0, 7, 8]

    def shuffled() -> object:
        message = joints()
        message.name = [message.name[i] for i in order]
        message.position = [message.position[i] for i in order]
        return message

    resend(seen, "joint_states", stream(100.0, lambda ns: shuffled()))
    found = problems(judge(expected, seen, bundle))
    assert {name: step.status for name, step in found.items()} == {"joint names and order": "warn"}


def not_started(expected: Expectation, seen: Snapshot) -> None:
    """Take our own nodes away, leaving the robot's."""
    seen.nodes, seen.states = frozenset(), {}
    for name in list(seen.topics):
        own = name in expected.topics and expected.topics[name].own
        if own or any(e.name == name and e.quality == "command" for e in topics.TOPICS):
            change(seen, name, publishers=(), samples=())
        change(seen, name, subscribers=())
    best_effort_driver(seen)


def test_before_the_start_readers_to_come_are_judged_too(
    expected: Expectation, bundle: PolicyBundle, seen: Snapshot
) -> None:
    key = "qos_overrides./joint_states.subscription.reliability"
    strict = replace(
        expected,
        parameters={name: {**p, key: "reliable"} for name, p in expected.parameters.items()},
    )
    not_started(expected, seen)
    found = problems(judge(strict, seen, bundle))
    assert set(found) == {"joint_states", f"somebody obeys {CONTROLLER}"}
    assert "(not started)" in found["joint_states"].seen


def test_readers_of_a_robot_are_best_effort_and_fit_every_driver(
    expected: Expectation, bundle: PolicyBundle, seen: Snapshot
) -> None:
    not_started(expected, seen)
    assert set(problems(judge(expected, seen, bundle))) == {f"somebody obeys {CONTROLLER}"}


def test_workspace_that_cuts_the_training_goals_is_a_warning(
    expected: Expectation, bundle: PolicyBundle
) -> None:
    parameters = {
        **expected.parameters,
        "command": {
            **expected.parameters["command"], "safety.workspace_maximum_m": [0.6, 0.55, 0.4]
        },
    }  # fmt: skip
    found = problems(list(policy.limit_steps(replace(expected, parameters=parameters), bundle)))
    assert found["workspace holds the training goals"].status == "warn"


def test_damaged_bundle_is_a_failed_step_not_a_crash(tmp_path: Path) -> None:
    from dppo_ros.preflight.run import Request, preflight

    for path in shipped_bundle().iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "policy.onnx").write_bytes(b"no graph")
    steps = preflight(Request(given={"bundle": str(tmp_path)}, running=False))
    assert problems(steps)["hashes and golden output"].status == "fail"
    assert exit_code(steps) == 2


def test_deadline_that_nobody_promises_is_a_mismatch() -> None:
    from dppo_ros.preflight.traffic import mismatches

    sender = Endpoint("/a", "t", reliable=True, latched=True)
    reader = Endpoint("/b", "t", reliable=True, latched=True, deadline_ns=100 * MS)
    assert len(list(mismatches([sender], [reader]))) == 1
    assert not list(mismatches([replace(sender, deadline_ns=50 * MS)], [reader]))
    assert not list(mismatches([sender], [replace(reader, deadline_ns=None)]))


def test_report_counts_and_exit_codes() -> None:
    steps = [Step("a", "one", "ok", "x"), Step("a", "two", "warn", "y", "z", "do it")]
    assert exit_code(steps) == 1
    report = as_json(steps)
    assert report["ready"] is True
    assert report["counts"] == {"ok": 1, "warn": 1, "fail": 0}
    assert exit_code([*steps, Step("b", "three", "fail", "q")]) == 2
    assert "NOT ready" in as_lines([*steps, Step("b", "three", "fail", "q")])[-1]
    assert exit_code([]) == 0
