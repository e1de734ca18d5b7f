# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy node as a process: right chunks, refusals that are one sentence, clean ends."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gentle_policy import COND_STEPS, gentle_actions

from dppo_ros import graph, messages
from dppo_ros.core.aligner import required_streams
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.planner import noise_generator
from dppo_ros.messages import RosObject

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

PERIOD_NS = 100_000_000
SPEC = furniture_observation_spec()


class Robot:
    """Publishes complete observation sets, with faults on demand."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        topics = graph.stream_topics()
        self._publishers = {s: harness.publisher(topics[s].name) for s in required_streams(SPEC)}
        self.chunks = harness.listen("policy/chunk")
        self.vectors = harness.listen("policy/observation")
        harness.until(lambda: self._matched(), "subscribers on both sides")

    def _matched(self) -> bool:
        return all(p.get_subscription_count() for p in self._publishers.values())

    def observe(self, stamp_ns: int, spoil: str = "", skip: str = "") -> None:
        for stream, publisher in self._publishers.items():
            if stream != skip:
                publisher.publish(self._message(stream, stamp_ns, np.nan if stream == spoil else 0))

    def _message(self, stream: str, stamp_ns: int, x: float) -> RosObject:
        if stream == "gripper_width":
            names = ("panda_finger_joint2", "panda_joint1", "panda_finger_joint1")
            return messages.encode_vector(stamp_ns, names, [0.02, 1.0, 0.03 + x])
        if stream == "tool_twist":
            return messages.encode_twist(stamp_ns, "panda_link0", [x, 0.1, 0.2, 0.3, 0.4, 0.5])
        frame = "panda_link0" if stream == "tool_pose" else "tag"
        return messages.encode_pose(stamp_ns, frame, [0.5 + x, 0.1, 0.2, 1.0, 0.0, 0.0, 0.0])


@pytest.fixture
def robot(harness: Harness, gentle_bundle: Path) -> Robot:
    """Return a robot in front of a running policy node with seed 11."""
    harness.bring_up("policy", bundle=str(gentle_bundle), seed=11, max_observation_age_s=10.0)
    return Robot(harness)


def test_chunk_is_the_answer_of_the_bundle_to_the_observation(robot: Robot) -> None:
    stamp_ns = robot.harness.now_ns()
    robot.observe(stamp_ns)
    robot.harness.until(lambda: robot.chunks and robot.vectors, "a chunk and its observation")
    _, names, vector = messages.decode_vector(robot.vectors[0])
    assert names == SPEC.component_names
    assert vector[SPEC.slice("tool_position")].tolist() == pytest.approx([0.5, 0.1, 0.2])
    assert vector[SPEC.slice("gripper_width")] == pytest.approx(0.05)
    chunk = messages.decode_chunk(robot.chunks[0])
    assert (chunk.stamp_ns, chunk.period_ns) == (stamp_ns, PERIOD_NS)
    noise = noise_generator(11, stamp_ns).standard_normal((8, 10), dtype=np.float32)
    window = np.repeat(vector.astype(np.float32)[None, None], COND_STEPS, axis=1)
    np.testing.assert_allclose(chunk.actions, gentle_actions(window, noise[None])[0], atol=1e-6)


def test_next_query_comes_when_the_chunk_has_run_out(robot: Robot) -> None:
    start_ns = robot.harness.now_ns()
    for tick in range(9):
        robot.observe(start_ns + tick * PERIOD_NS)
        count = tick + 1
        robot.harness.until(lambda count=count: len(robot.vectors) == count, "every observation")
        expected = tick // 4 + 1
        robot.harness.until(lambda n=expected: len(robot.chunks) == n, "the chunks due so far")
    stamps = [messages.decode_chunk(chunk).stamp_ns for chunk in robot.chunks]
    assert stamps == [start_ns + tick * PERIOD_NS for tick in (0, 4, 8)]


@pytest.mark.parametrize("stream", ["tool_pose", "leg4_pose", "gripper_width"])
def test_nan_gives_no_chunk_and_the_next_good_observation_does(robot: Robot, stream: str) -> None:
    start_ns = robot.harness.now_ns()
    robot.observe(start_ns, spoil=stream)
    robot.observe(start_ns + PERIOD_NS)
    robot.harness.until(lambda: robot.chunks, "a chunk")
    assert [messages.decode_chunk(c).stamp_ns for c in robot.chunks] == [start_ns + PERIOD_NS]
    assert [messages.decode_vector(v)[0] for v in robot.vectors] == [start_ns + PERIOD_NS]
    policy = robot.harness.nodes["policy"]
    robot.harness.until(lambda: policy.said(f"observation refused: {stream}"), "a reason")


def test_stale_observation_gives_no_chunk(robot: Robot) -> None:
    now_ns = robot.harness.now_ns()
    robot.observe(now_ns - 60 * 1_000_000_000)
    robot.observe(now_ns)
    robot.harness.until(lambda: robot.chunks, "a chunk")
    assert [messages.decode_chunk(c).stamp_ns for c in robot.chunks] == [now_ns]
    policy = robot.harness.nodes["policy"]
    robot.harness.until(lambda: policy.said("too old to act on"), "a reason in the log")


def test_lifecycle_round_trip_and_end_by_sigterm(harness: Harness, gentle_bundle: Path) -> None:
    node = harness.start("policy", bundle=str(gentle_bundle))
    for _ in range(2):
        for transition in ("configure", "activate", "deactivate", "cleanup"):
            assert harness.transition("policy", transition), "\n".join(node.log)
    assert harness.state("policy") == "unconfigured"
    assert node.finish(signal.SIGTERM) == 0


def test_impossible_transition_does_not_end_the_node(harness: Harness, gentle_bundle: Path) -> None:
    node = harness.start("policy", bundle=str(gentle_bundle))
    kind = messages.message_class("lifecycle_msgs/srv/ChangeState")
    client = harness.node.create_client(kind, "/policy/change_state")
    harness.until(client.service_is_ready, "the service")
    request = kind.Request()
    request.transition.id = 3  # activate, before it was configured
    client.call_async(request)
    harness.until(lambda: node.said("request refused"), "a refusal")
    assert harness.state("policy") == "unconfigured"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "damage", "sentence"),
    [
        ("policy.onnx", _truncate, "truncated or altered"),
        ("golden.npz", _flip, "truncated or altered"),
        ("bundle.json", _truncate, "bundle.json"),
        ("policy.onnx", Path.unlink, "lacks policy.onnx"),
    ],
)
def test_damaged_bundle_is_refused_in_one_sentence(
    harness: Harness,
    gentle_bundle: Path,
    tmp_path: Path,
    file: str,
    damage: Callable[[Path], object],
    sentence: str,
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(gentle_bundle, damaged)
    damage(damaged / file)
    node = harness.start("policy", bundle=str(damaged))
    assert not harness.transition("policy", "configure")
    assert harness.state("policy") == "unconfigured"
    # The log is whole only after the end: it comes through a pipe, answers through DDS.
    assert node.finish() == 0
    lines = [line for line in node.log if "refused to configure" in line]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert not node.said("Traceback")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"sede": 1}, "unknown parameter of node policy 'sede'; did you mean 'seed'"),
        ({"seed": "one"}, "parameter seed of node policy is 'one'; it must be of type int"),
        ({"threads": 1000}, "parameter threads of node policy is 1000"),
        ({"latency_warning_s": 1}, "write 1.0, not 1"),
    ],
)
def test_bad_parameters_end_the_process_with_one_sentence(
    harness: Harness, parameters: dict[str, object], sentence: str
) -> None:
    node = harness.start("policy", **parameters)
    harness.until(lambda: node.process.poll() is not None, "the end of the process")
    assert node.finish() == 2
    assert node.said(sentence)
    assert not node.said("Traceback")
