# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The twin as a process, drawing its cameras: stamps, calibration, content, lockstep."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros import messages
from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.core.observation import furniture_observation_spec

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

CAMERA = shipped_cameras()[0]
TICK_NS = 100_000_000
JOINTS = [f"panda_joint{index}" for index in range(1, 8)]
START = [0.0, 0.4, 0.1, -2.1, -0.1, 2.5, 0.0]
NAMES = furniture_observation_spec().component_names


@pytest.fixture(scope="module", autouse=True)
def graphics() -> None:
    """Skip where the pictures cannot be drawn, saying why."""
    from dppo_ros.perception.tag_layout import shipped_layout
    from sim_training.envs.furniture.pictures import CellPictures

    try:
        CellPictures(shipped_layout(), [CAMERA]).close()
    except EnvironmentUnavailableError as error:
        pytest.skip(f"no pictures here: {error}")


def test_pictures_carry_the_time_of_the_state_and_show_the_base_tags(harness: Harness) -> None:
    detector = pytest.importorskip("dppo_ros.perception.detector").TagDetector()
    harness.bring_up("sim", cameras=True, camera_rate_hz=2.0, seed=5)
    pictures, infos = harness.listen(CAMERA.image_topic), harness.listen(CAMERA.info_topic)
    truth = harness.listen("truth/top/pose")
    harness.until(lambda: pictures and infos and truth, "a picture")
    picture, info = pictures[0], infos[0]
    stamp_ns = messages.stamp_to_ns(picture.header.stamp)
    assert stamp_ns % (5 * TICK_NS) == 0
    assert stamp_ns >= messages.stamp_to_ns(truth[0].header.stamp)
    assert (picture.header.frame_id, picture.encoding) == (CAMERA.frame_id, "rgb8")
    assert (info.width, info.height, info.k[0]) == (1280, 720, CAMERA.fx_px)
    pixels = np.frombuffer(picture.data, dtype=np.uint8).reshape(720, 1280, 3)
    found = {tag.tag_id for tag in detector.detect(pixels.mean(axis=-1).astype(np.uint8))}
    assert {0, 1, 2, 3} <= found


def test_lockstep_goes_on_only_when_the_observation_of_the_tick_was_seen(harness: Harness) -> None:
    harness.bring_up("sim", cameras=True, lockstep=True, real_time_factor=0.0,
                     lockstep_timeout_s=25.0)  # fmt: skip
    clock, pictures = harness.listen("clock"), harness.listen(CAMERA.image_topic)
    observation = harness.publisher("policy/observation")
    command = harness.publisher("joint_command")
    harness.until(lambda: pictures, "the picture of the first tick")
    stamp_ns = messages.stamp_to_ns(pictures[0].header.stamp)
    # A setpoint for all slices of the tick: only the observation is missing.
    command.publish(messages.encode_vector(stamp_ns + TICK_NS, JOINTS, START, velocities=[0.0] * 7))
    heard = len(clock)
    harness.until(lambda: len(clock) > heard + 5, "the clock to be repeated")
    assert {messages.stamp_to_ns(message.clock) for message in clock} == {stamp_ns}
    observation.publish(messages.encode_vector(stamp_ns, NAMES, np.zeros(len(NAMES))))
    harness.until(
        lambda: messages.stamp_to_ns(clock[-1].clock) == stamp_ns + TICK_NS, "the next tick"
    )
