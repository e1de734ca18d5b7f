# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera node as a process: pictures, calibration, recordings, faults, refusals, clean ends."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import numpy as np
import pytest

from dppo_ros import graph, messages
from dppo_ros.camera.software import (
    TestPicture,
    read_number,
    record_test_pictures,
    wall_distances_mm,
)
from dppo_ros.core.errors import ConfigError
from dppo_ros.messages import RosObject

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")
rs = pytest.importorskip("pyrealsense2")

from ros_harness import Harness  # noqa: E402 - needs rclpy

from dppo_ros.nodes.camera import find_camera  # noqa: E402 - needs rclpy

IMAGE, INFO = "camera/right/color/image_raw", "camera/right/color/camera_info"


@pytest.fixture(autouse=True)
def profile_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the processes what ``dppo-ros up`` gives them."""
    for name, value in graph.environment().items():
        monkeypatch.setenv(name, value)


def pixels_of(message: RosObject) -> np.ndarray:
    """Return (H, W, 3) of an image message."""
    return np.frombuffer(message.data, dtype=np.uint8).reshape(message.height, message.width, 3)


def status_of(harness: Harness) -> tuple[bytes, dict[str, str]]:
    """Return level and values of the newest diagnostic status."""
    heard = harness.listen("diagnostics")
    return (heard[-1].status[0].level, messages.decode_status(heard[-1])[1]) if heard else (b"", {})


def test_software_camera_unplugged_and_back(harness: Harness) -> None:
    node = harness.bring_up("camera", camera="right", source="software", retry_s=0.05, depth=True)
    pictures, infos = harness.listen(IMAGE), harness.listen(INFO)
    depths = harness.listen("camera/right/depth/image_rect_raw")
    harness.until(lambda: len(pictures) >= 10 and len(infos) >= 10 and depths, "pictures")
    first = pictures[0]
    assert (first.width, first.height, first.step, first.encoding) == (1280, 720, 3840, "rgb8")
    assert first.header.frame_id == infos[0].header.frame_id == "right_camera_optical"
    number = read_number(pixels_of(first))
    np.testing.assert_array_equal(pixels_of(first), TestPicture(1280, 720).draw(number))
    stamps = [messages.stamp_to_ns(picture.header.stamp) for picture in pictures]
    assert (np.diff(stamps) > 0).all()
    assert infos[0].k[0] == pytest.approx(0.72 * 1280, rel=1e-6)
    assert (infos[0].distortion_model, infos[0].k[2]) == ("plumb_bob", 640.0)
    assert (depths[0].encoding, depths[0].step) == ("16UC1", 2 * 848)
    assert depths[0].header.frame_id == "right_depth_optical"
    distances = np.frombuffer(depths[0].data, dtype=np.uint16).reshape(480, 848)
    np.testing.assert_array_equal(distances, wall_distances_mm())

    assert harness.call("/camera/plugged", "std_srvs/srv/SetBool", data=False).success
    harness.until(lambda: node.said("lost: camera SOFTWARE0001 was unplugged"), "the loss")
    harness.until(lambda: status_of(harness)[1].get("state") == "lost", "a status")
    assert status_of(harness)[0] == b"\x02"
    assert harness.call("/camera/plugged", "std_srvs/srv/SetBool", data=True).success
    harness.until(lambda: node.said("camera right is back"), "the return")
    count = len(pictures)
    harness.until(lambda: len(pictures) > count + 3, "pictures again")
    assert messages.stamp_to_ns(pictures[-1].header.stamp) > stamps[-1]
    harness.until(lambda: status_of(harness)[1].get("state") == "streaming", "a status")
    values = status_of(harness)[1]
    assert (values["camera_losses"], values["camera_reconnects"]) == ("1", "1")
    assert values["temperature_c"] == "40.0"
    assert node.finish(signal.SIGTERM) == 0


def test_recording_is_replayed_by_the_node(harness: Harness, tmp_path: Path) -> None:
    numbers = list(range(1, 13))
    path = tmp_path / "right.db3"
    record_test_pictures(path, numbers, (1280, 720))
    node = harness.bring_up("camera", camera="right", source=f"bag:{tmp_path}/{{camera}}.db3")
    pictures = harness.listen(IMAGE)
    harness.until(lambda: len(pictures) > len(numbers), "the recording and its beginning again")
    seen = [read_number(pixels_of(picture)) for picture in pictures]
    assert set(seen) <= set(numbers)
    assert any(later < earlier for earlier, later in itertools.pairwise(seen))
    stamps = [messages.stamp_to_ns(picture.header.stamp) for picture in pictures]
    assert (np.diff(stamps) > 0).all()
    assert abs(stamps[-1] - harness.now_ns()) < 60e9  # the time of the replay
    assert node.finish() == 0


def test_absent_camera_is_refused_in_one_sentence(harness: Harness) -> None:
    node = harness.start("camera", camera="right")
    assert not harness.transition("camera", "configure")
    harness.until(
        lambda: node.said("refused to configure: no RealSense camera is connected"), "a reason"
    )
    assert node.finish() == 0


def test_unknown_camera_is_refused_with_the_near_miss() -> None:
    with pytest.raises(ConfigError, match="unknown camera 'rihgt'; did you mean 'right'"):
        find_camera("rihgt")


def test_lifecycle_round_trip(harness: Harness) -> None:
    node = harness.start("camera", camera="left", source="software")
    for _ in range(2):
        for transition in ("configure", "activate", "deactivate", "cleanup"):
            assert harness.transition("camera", transition), "\n".join(node.log)
    assert node.finish() == 0
