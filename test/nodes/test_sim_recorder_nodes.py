# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The twin and the recorder as processes: what is published, reset, what a bag looks like."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from gentle_policy import CENTRE_M

from dppo_ros import messages, topics
from dppo_ros.bag.episodes import read_episode
from dppo_ros.core.aligner import ObservationAligner, required_streams
from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.observation import assemble_observation, furniture_observation_spec

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

JOINT_NAMES = tuple(f"panda_joint{index}" for index in range(1, 8))
FINGER_NAMES = ("panda_finger_joint1", "panda_finger_joint2")
FAST = {"real_time_factor": 4.0, "seed": 5}
DOWN = [1.0, 0.0, 0.0, 0.0]


def test_twin_publishes_the_cell_and_obeys_setpoints(harness: Harness) -> None:
    from sim_training.envs.furniture.cell import FurnitureCell

    harness.bring_up("sim", **FAST)
    poses, joints = harness.listen("tool_pose"), harness.listen("joint_states")
    legs, status = harness.listen("truth/leg4/pose"), harness.listen("task/status")
    clock = harness.listen("clock")
    setpoint, gripper = harness.publisher("joint_command"), harness.publisher("gripper/command")
    harness.until(lambda: poses and joints and legs and status, "the first control tick")
    expected = FurnitureCell("low").reset(5)
    first = messages.decode_pose(poses[0])
    np.testing.assert_array_equal(first.values[:3], expected.robot.tool_position)
    leg = messages.decode_pose(legs[0])
    np.testing.assert_array_equal(leg.values, expected.tag_from_part["leg4"])
    assert (first.stamp_ns, first.frame, leg.frame) == (0, "panda_link0", "tag")
    width = messages.decode_gripper_width(joints[0]).values[0]
    assert width == pytest.approx(float(expected.robot.gripper_width))
    turned = expected.joint_positions + 0.3 * np.eye(7)[0]
    order = list(reversed(range(7)))  # setpoints are taken by name
    later_ns = 100_000_000  # a stamp at the very start would count as left over from before it
    setpoint.publish(
        messages.encode_vector(
            later_ns, [JOINT_NAMES[i] for i in order], turned[order], velocities=np.zeros(7)
        )
    )
    gripper.publish(messages.encode_vector(later_ns, ("gripper",), [-1.0]))

    def base_angle() -> float:
        return float(messages.decode_arm(joints[-1], "panda").values[0])

    harness.until(lambda: abs(base_angle() - turned[0]) < 0.1, "the arm to follow its setpoint")
    times = [messages.stamp_to_ns(message.clock) for message in clock]
    assert times == sorted(times)
    assert harness.call("/sim/reset", "std_srvs/srv/Trigger").success
    harness.until(
        lambda: messages.decode_status(status[-1])[1]["episode"] == "1", "the next episode"
    )
    assert harness.nodes["sim"].finish(signal.SIGTERM) == 0


def test_twin_survives_a_life_cycle_and_refuses_rates_that_do_not_fit(harness: Harness) -> None:
    node = harness.start("sim", slices_per_tick=7)
    assert not harness.transition("sim", "configure")
    node.finish()
    assert node.said("whole multiples of the physics step of 2 ms")
    node = harness.start("sim", **FAST)
    for transition in ("configure", "activate", "deactivate", "cleanup", "configure", "activate"):
        assert harness.transition("sim", transition)
    assert harness.state("sim") == "active"
    assert node.finish() == 0


def test_recorder_writes_a_whole_bag_on_sigint_and_nothing_that_looks_whole_when_killed(
    harness: Harness, gentle_bundle: Path, tmp_path: Path
) -> None:
    bag = tmp_path / "bag"
    recorder = harness.bring_up("recorder", path=str(bag), bundle=str(gentle_bundle), seed=9)
    recorded_topics = [entry for entry in topics.TOPICS if entry.quality != "image"]
    publishers = {entry.name: harness.publisher(entry.name) for entry in recorded_topics}
    diagnostics = harness.listen("diagnostics")
    # A publisher that knows its listener may still be unknown to it, and what it sends is dropped;
    # two reports of the recorder later both ends have met.
    harness.until(lambda: len(diagnostics) >= 2, "two reports of the recorder")
    stream_names = {entry.name: stream for stream, entry in topics.stream_topics().items()}
    pose = [*CENTRE_M, *DOWN]
    settings = AlignmentSettings(from_joints=True, part_source="truth")
    publishers["observation/status"].publish(
        messages.encode_status(1, "observation", "ok", "", {"alignment": settings.to_text()})
    )
    for stamp_ns in (10, 20, 30):
        for name in (*stream_names, "target_pose"):
            stream = stream_names.get(name, "")
            if name == "joint_states":
                names = (*JOINT_NAMES, *FINGER_NAMES)
                values = np.linspace(0.01, 0.09, 9)
                message = messages.encode_vector(stamp_ns, names, values, velocities=values)
            elif stream == "tool_twist":
                message = messages.encode_twist(stamp_ns, "panda_link0", np.zeros(6))
            else:
                message = messages.encode_pose(stamp_ns, "panda_link0", pose)
            publishers[name].publish(message)
        gripper = messages.encode_vector(stamp_ns, ("gripper",), [1.0])
        publishers["gripper/command"].publish(gripper)

    def recorded() -> int:
        values = [messages.decode_status(message)[1] for message in diagnostics]
        return max((int(entry.get("messages", 0)) for entry in values), default=0)

    harness.until(lambda: recorded() >= 34, "the messages to be on disk")
    assert not bag.exists()
    assert recorder.finish(signal.SIGINT) == 0
    episode = read_episode(bag, furniture_observation_spec())
    assert sorted(episode.goals) == [10, 20, 30]
    assert episode.grippers == {10: 1.0, 20: 1.0, 30: 1.0}
    assert episode.alignment == settings
    streams = required_streams(furniture_observation_spec(), settings)
    assert len(episode.samples) == 3 * len(streams)
    assert episode.metadata["bundle"] == "gentle"
    assert episode.metadata["seed"] == "9"
    assert len(episode.metadata["bundle_sha256"]) == 64

    taken = harness.start("recorder", path=str(bag))
    assert not harness.transition("recorder", "configure")
    taken.finish()
    assert taken.said("exists already")

    killed = harness.start("recorder", path=str(tmp_path / "killed"))
    assert harness.transition("recorder", "configure")
    assert harness.transition("recorder", "activate")
    killed.process.kill()
    killed.process.wait()
    assert not (tmp_path / "killed").exists()


def test_observation_from_messages_is_the_observation_of_training() -> None:
    # Same numbers through poses and quaternions as straight from the simulation: the encoding
    # of the topics may cost rounding, nothing more.
    from sim_training.envs.furniture.cell import FurnitureCell

    state = FurnitureCell("med").reset(3)
    robot = state.robot
    spec = furniture_observation_spec()
    expected = assemble_observation(spec, robot, state.tag_from_part)
    settings = AlignmentSettings(from_joints=True)
    joints = messages.encode_vector(
        7,
        (*FINGER_NAMES, *JOINT_NAMES),
        [*state.finger_positions, *state.joint_positions],
        velocities=[0.0, 0.0, *state.joint_velocities],
    )
    aligner = ObservationAligner(spec, settings=settings)
    found = []
    for name, pose in state.tag_from_part.items():
        sample = messages.decode_pose(messages.encode_pose(7, "tag", pose))
        found += aligner.add(f"{name}_pose", sample.stamp_ns, sample.values, sample.frame)
    for stream in ("arm_joints", "gripper_width"):
        sample = messages.decode_joints(stream, joints, "panda")
        found += aligner.add(stream, sample.stamp_ns, sample.values)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].vector, expected, atol=1e-6)
