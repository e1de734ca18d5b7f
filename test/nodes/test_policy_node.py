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
from gentle_policy import COND_STEPS, gentle_actions, write_gentle_bundle

from dppo_ros import messages
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.planner import noise_generator
from dppo_ros.picture_messages import PictureMessage

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

PERIOD_NS = 100_000_000
SPEC = furniture_observation_spec()
NAMES = SPEC.component_names
VECTOR = np.linspace(0.0, 0.5, SPEC.dim)


class Robot:
    """Publishes observation vectors, with faults on demand."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self._publisher = harness.publisher("policy/observation")
        self.chunks = harness.listen("policy/chunk")
        self.statuses = harness.listen("policy/status")
        self.diagnostics = harness.listen("diagnostics")
        # Two reports later both ends of every topic have met.
        harness.until(lambda: len(self.diagnostics) >= 2, "two reports of the policy node")

    def status(self) -> dict[str, str]:
        """Return the newest status of the policy node."""
        return messages.decode_status(self.statuses[-1])[1]

    def observe(self, stamp_ns: int, spoil: str = "", names: tuple[str, ...] = NAMES) -> None:
        values = VECTOR.copy()
        if spoil:
            values[SPEC.slice(spoil)] = np.nan
        self._publisher.publish(messages.encode_vector(stamp_ns, names, values))


@pytest.fixture
def robot(harness: Harness, gentle_bundle: Path) -> Robot:
    """Return a robot in front of a running policy node with seed 11."""
    harness.bring_up("policy", bundle=str(gentle_bundle), seed=11, max_observation_age_s=10.0)
    return Robot(harness)


def test_chunk_is_the_answer_of_the_bundle_to_the_observation(robot: Robot) -> None:
    stamp_ns = robot.harness.now_ns()
    robot.observe(stamp_ns)
    robot.harness.until(lambda: robot.chunks, "a chunk")
    chunk = messages.decode_chunk(robot.chunks[0])
    assert (chunk.stamp_ns, chunk.period_ns) == (stamp_ns, PERIOD_NS)
    noise = noise_generator(11, stamp_ns).standard_normal((8, 10), dtype=np.float32)
    window = np.repeat(VECTOR.astype(np.float32)[None, None], COND_STEPS, axis=1)
    np.testing.assert_allclose(chunk.actions, gentle_actions(window, noise[None])[0], atol=1e-6)


def test_next_query_comes_when_the_chunk_has_run_out(robot: Robot) -> None:
    start_ns = robot.harness.now_ns()
    for tick in range(9):
        robot.observe(start_ns + tick * PERIOD_NS)
        expected = tick // 4 + 1
        robot.harness.until(lambda n=expected: len(robot.chunks) == n, "the chunks due so far")
    stamps = [messages.decode_chunk(chunk).stamp_ns for chunk in robot.chunks]
    assert stamps == [start_ns + tick * PERIOD_NS for tick in (0, 4, 8)]


def test_nan_gives_no_chunk_and_the_next_good_observation_does(robot: Robot) -> None:
    start_ns = robot.harness.now_ns()
    robot.observe(start_ns, spoil="leg4_pose")
    robot.observe(start_ns + PERIOD_NS)
    robot.harness.until(lambda: robot.chunks, "a chunk")
    assert [messages.decode_chunk(c).stamp_ns for c in robot.chunks] == [start_ns + PERIOD_NS]
    policy = robot.harness.nodes["policy"]
    robot.harness.until(lambda: policy.said("not finite"), "a reason")


def test_wrong_order_of_components_gives_no_chunk(robot: Robot) -> None:
    start_ns = robot.harness.now_ns()
    robot.observe(start_ns, names=NAMES[::-1])
    robot.observe(start_ns + PERIOD_NS)
    robot.harness.until(lambda: robot.chunks, "a chunk")
    assert [messages.decode_chunk(c).stamp_ns for c in robot.chunks] == [start_ns + PERIOD_NS]
    policy = robot.harness.nodes["policy"]
    robot.harness.until(lambda: policy.said("not those of the bundle"), "a reason")


def test_stale_observation_gives_no_chunk(robot: Robot) -> None:
    now_ns = robot.harness.now_ns()
    robot.observe(now_ns - 60 * 1_000_000_000)
    robot.observe(now_ns)
    robot.harness.until(lambda: robot.chunks, "a chunk")
    assert [messages.decode_chunk(c).stamp_ns for c in robot.chunks] == [now_ns]
    policy = robot.harness.nodes["policy"]
    robot.harness.until(lambda: policy.said("too old to act on"), "a reason in the log")


def test_repeated_old_and_future_observations_are_refused_with_reasons(robot: Robot) -> None:
    now_ns = robot.harness.now_ns()
    for offset_ns in (0, 0, -PERIOD_NS, 3600 * 10**9):
        robot.observe(now_ns + offset_ns)
    policy = robot.harness.nodes["policy"]
    for reason in ("its stamp was there before", "100.0 ms older", "lies 3"):
        robot.harness.until(lambda text=reason: policy.said(text), reason)
    robot.harness.until(lambda: robot.chunks, "the chunk of the first one")
    robot.observe(now_ns + 4 * PERIOD_NS)
    robot.harness.until(lambda: len(robot.chunks) == 2, "the next chunk")
    robot.harness.until(lambda: len(robot.statuses) == 2, "its status")
    counts = robot.status()
    assert [counts[k] for k in ("duplicate", "out_of_order", "from_the_future")] == ["1"] * 3


def test_a_chunk_that_is_past_is_counted_and_not_sent(
    harness: Harness, gentle_bundle: Path
) -> None:
    harness.bring_up("policy", bundle=str(gentle_bundle), max_observation_age_s=10.0)
    robot = Robot(harness)
    robot.observe(harness.now_ns() - 9 * PERIOD_NS)
    harness.until(lambda: robot.statuses, "a status")
    counts = robot.status()
    assert counts["message"] == "useless chunk"
    assert (counts["useless_chunks"], counts["chunks"]) == ("1", "0")
    assert counts["late"].startswith("the observation came late")
    harness.until(lambda: harness.nodes["policy"].said("all its actions are past"), "a reason")
    assert not robot.chunks


def test_pause_stops_the_queries_until_it_is_lifted(robot: Robot) -> None:
    assert robot.harness.call("/policy/pause", "std_srvs/srv/SetBool", data=True).success
    start_ns = robot.harness.now_ns()
    robot.observe(start_ns)
    assert robot.harness.call("/policy/pause", "std_srvs/srv/SetBool", data=False).success
    robot.observe(start_ns + PERIOD_NS)
    robot.harness.until(lambda: robot.chunks, "a chunk")
    assert [messages.decode_chunk(c).stamp_ns for c in robot.chunks] == [start_ns + PERIOD_NS]


def test_a_bundle_swapped_on_disk_is_reported_and_the_loaded_one_stays(
    harness: Harness, gentle_bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(gentle_bundle, copy)
    harness.bring_up("policy", bundle=str(copy), seed=11, max_observation_age_s=10.0)
    robot = Robot(harness)
    _flip(copy / "policy.onnx")
    policy = harness.nodes["policy"]
    harness.until(lambda: policy.said("the bundle changed on disk"), "a warning")
    assert policy.said("policy.onnx is not the one that was loaded")

    def told() -> bool:
        return any(
            "policy.onnx" in messages.decode_status(message)[1].get("bundle_changed", "")
            for message in robot.diagnostics
        )

    harness.until(told, "a diagnostic")
    stamp_ns = harness.now_ns()
    robot.observe(stamp_ns)
    harness.until(lambda: robot.chunks, "a chunk")
    noise = noise_generator(11, stamp_ns).standard_normal((8, 10), dtype=np.float32)
    window = np.repeat(VECTOR.astype(np.float32)[None, None], COND_STEPS, axis=1)
    sent = messages.decode_chunk(robot.chunks[0]).actions
    np.testing.assert_allclose(sent, gentle_actions(window, noise[None])[0], atol=1e-6)


def test_rtc_freezes_what_is_committed_and_says_so(harness: Harness, tmp_path: Path) -> None:
    bundle = write_gentle_bundle(tmp_path / "guided", guided=True)
    harness.bring_up(
        "policy", bundle=str(bundle.path), execution="rtc", execute_steps=2, rtc_delay_steps=1,
        max_observation_age_s=10.0,
    )  # fmt: skip
    robot = Robot(harness)
    start_ns = harness.now_ns()
    for tick in range(3):
        robot.observe(start_ns + tick * PERIOD_NS)
        harness.until(lambda n=tick // 2 + 1: len(robot.statuses) == n, "the chunks due so far")
    harness.until(lambda: len(robot.chunks) == 2, "two chunks")
    first, second = (messages.decode_chunk(chunk).actions for chunk in robot.chunks)
    np.testing.assert_array_equal(second[0], first[2])
    counts = robot.status()
    assert (counts["execution"], counts["delay_steps"]) == ("rtc", "1")
    assert (counts["frozen_steps"], counts["blended_steps"]) == ("1", "1")


def test_a_policy_that_sees_gets_the_pictures_of_the_instant(
    harness: Harness, tmp_path: Path
) -> None:
    bundle = write_gentle_bundle(tmp_path / "seeing", seeing=True)
    harness.bring_up(
        "policy", bundle=str(bundle.path), cameras="left", execute_steps=1,
        max_observation_age_s=10.0,
    )  # fmt: skip
    robot = Robot(harness)
    pictures = harness.publisher("camera/left/color/image_raw")
    shown = PictureMessage("left", 16, 8)

    def show(stamp_ns: int, value: int) -> None:
        shown.pixels[:] = value
        pictures.publish(shown.stamped(stamp_ns))

    start_ns = harness.now_ns()
    robot.observe(start_ns)
    show(start_ns, 100)  # one at a time: of pictures only the newest waits
    harness.until(lambda: robot.chunks, "a chunk")
    show(start_ns + PERIOD_NS, 50)
    robot.observe(start_ns + PERIOD_NS)
    harness.until(lambda: len(robot.chunks) == 2, "another chunk")
    grips = [messages.decode_chunk(chunk).actions[0, 9] for chunk in robot.chunks]
    assert grips == pytest.approx([-1.0 + 1e-3 * 100, -1.0 + 1e-3 * (100 + 50) / 2])


@pytest.mark.parametrize(("cameras", "sentence"), [
    ("", "cameras is '', but bundle 'gentle' sees 1 camera(s); name them"),
    ("lfet", "unknown camera 'lfet'; did you mean 'left'"),
])  # fmt: skip
def test_cameras_that_do_not_fit_the_bundle_are_refused(
    harness: Harness, tmp_path: Path, cameras: str, sentence: str
) -> None:
    bundle = write_gentle_bundle(tmp_path / "seeing", seeing=True)
    node = harness.start("policy", bundle=str(bundle.path), cameras=cameras)
    assert not harness.transition("policy", "configure")
    assert node.finish() == 0
    assert node.said(sentence)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"execution": "rtc"}, "takes no prefix; add it with `dppo export --from-bundle"),
        ({"execution": "async", "execute_steps": 4}, "fewer must be executed than predicted"),
        ({"providers": "cdua"}, "unknown provider 'cdua'; did you mean 'cuda'"),
    ],
)
def test_settings_that_do_not_fit_the_bundle_are_refused(
    harness: Harness, gentle_bundle: Path, parameters: dict[str, object], sentence: str
) -> None:
    node = harness.start("policy", bundle=str(gentle_bundle), **parameters)
    assert not harness.transition("policy", "configure")
    assert node.finish() == 0
    assert node.said(sentence)
    assert not node.said("Traceback")


def test_missing_providers_are_named_in_the_log(harness: Harness, gentle_bundle: Path) -> None:
    node = harness.start("policy", bundle=str(gentle_bundle), providers="tensorrt,cpu")
    assert harness.transition("policy", "configure")
    assert node.finish() == 0
    assert node.said("TensorrtExecutionProvider") or node.said("provider Tensorrt")


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
    assert 1 <= len(lines) <= 1 + harness.repeated
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
