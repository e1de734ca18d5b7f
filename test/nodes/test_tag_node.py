# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tag node as a process: pictures in, poses out; occlusion, wrong tags, stamps, silence."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from drawn_tags import draw
from numpy.typing import NDArray
from tag_cell import LAYOUT, NOMINAL

from dppo_ros import graph, messages
from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.observation import canonical_pose, tag_pose_from_base
from dppo_ros.core.rotations import FloatArray
from dppo_ros.nodes.tag_cameras import nominal_place
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.rigid import Rigid

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

from dppo_ros.picture_messages import PictureMessage, encode_camera_info  # noqa: E402

TICK = 100_000_000
RESEND_S = 1.0
CAMERAS = shipped_cameras()
JOINTS = (*(f"panda_joint{i}" for i in range(1, 8)), "panda_finger_joint1", "panda_finger_joint2")
HOME = np.array([-0.026, 0.376, 0.125, -2.138, -0.094, 2.496, 0.019])
LEG4 = tuple(placement.tag_id for placement in LAYOUT.of("leg4"))
TOOL = Rigid.from_pose(tag_pose_from_base(*tool_pose(HOME)))
MOVED = {
    "": {},
    "leg1 away": {
        "leg1": Rigid(
            NOMINAL["leg1"].rotation, NOMINAL["leg1"].position + np.array([0.05, 0.15, 0.0])
        )
    },
    "leg4 in hand": {"leg4": Rigid(NOMINAL["leg4"].rotation, TOOL.position)},
}


@cache
def _lens(number: int) -> Lens:
    camera = CAMERAS[number]
    width, height = camera.width_px, camera.height_px
    return Lens(width, height, camera.fx_px, camera.fx_px, (width - 1) / 2, (height - 1) / 2)


@cache
def _picture(number: int, hidden: tuple[int, ...] = (), moved: str = "") -> NDArray[np.uint8]:
    view = nominal_place(CAMERAS[number]).inverse()
    poses = {**NOMINAL, **MOVED[moved]}
    placed = {name: view @ pose for name, pose in poses.items()}
    parts = {name: (pose.rotation, pose.position) for name, pose in placed.items()}
    return draw(_lens(number), parts, LAYOUT, hidden=hidden)


class Cell:
    """Publishes pictures and joints, hears poses."""

    def __init__(self, harness: Harness, joints: bool = True) -> None:
        self.harness = harness
        self._outputs = [
            (
                harness.publisher(camera.info_topic),
                harness.publisher(camera.image_topic),
                PictureMessage(camera.frame_id, camera.width_px, camera.height_px),
            )
            for camera in CAMERAS
        ]
        self._joints = harness.publisher("joint_states", listeners=int(joints))
        self.poses = {part: harness.listen(f"parts/{part}/pose") for part in LAYOUT.parts}
        self.status = harness.listen("perception/status")
        self._start = 1_000 * TICK

    def show(
        self,
        tick: float,
        cameras: tuple[int, ...] = (0, 1),
        hidden: tuple[int, ...] = (),
        moved: str = "",
    ) -> int:
        """Send the pictures of a time and return its stamp."""
        stamp_ns = self._start + round(tick * TICK)
        for number in cameras:
            info, image, message = self._outputs[number]
            frame_id = CAMERAS[number].frame_id
            info.publish(encode_camera_info(stamp_ns, frame_id, _lens(number)))
            message.pixels[:] = _picture(number, hidden, moved)[..., None]
            image.publish(message.stamped(stamp_ns))
        return stamp_ns

    def shown(self, tick: float, **changes: object) -> dict[str, str]:
        """Send the pictures of a time and return what the node said about it."""
        stamp_ns = self.show(tick, **changes)  # type: ignore[arg-type]
        again = time.monotonic() + RESEND_S

        def answered() -> bool:
            nonlocal again
            if (
                time.monotonic() > again
            ):  # pictures are best effort: on a busy machine some get lost
                self.show(tick, **changes)  # type: ignore[arg-type]
                again = time.monotonic() + RESEND_S
            return bool(self.said_at(stamp_ns))

        self.harness.until(answered, f"status of tick {tick}")
        return self.said_at(stamp_ns)

    def said_at(self, stamp_ns: int) -> dict[str, str]:
        decoded = [messages.decode_status(message) for message in self.status]
        return next((values for stamp, values in decoded if stamp == stamp_ns), {})

    def pose(self, part: str, stamp_ns: int) -> FloatArray:
        """Return the pose of a part at a stamp, which must be there."""
        decoded = [messages.decode_pose(message) for message in self.poses[part]]
        (found,) = [entry for entry in decoded if entry.stamp_ns == stamp_ns]
        assert found.frame == "tag"
        return found.values

    def stamps(self, part: str) -> list[int]:
        return [messages.decode_pose(message).stamp_ns for message in self.poses[part]]

    def joints(self, tick: float, arm: FloatArray, width: float) -> None:
        values = [*arm, width / 2, width / 2]
        stamp_ns = self._start + round(tick * TICK)
        self._joints.publish(
            messages.encode_vector(stamp_ns, JOINTS, values, velocities=[0.0] * len(values))
        )


@pytest.fixture
def harness(ros_domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """Return a harness whose own publishers let pictures through, like those of the graph."""
    for name, value in graph.environment().items():
        monkeypatch.setenv(name, value)
    made = Harness(ros_domain, tmp_path)
    yield made
    made.close()


def _cell(harness: Harness, tmp_path: Path, **parameters: object) -> Cell:
    # Patience for pairs is that of a busy machine; the tests that need less say so.
    settings = {
        "extrinsics": "nominal", "calibration_file": str(tmp_path / "cameras.json"),
        "pair_wait_s": 5.0, **parameters,
    }  # fmt: skip
    harness.bring_up("tag", **settings)
    cell = Cell(harness)
    cell.shown(-50)
    return cell


def test_poses_carry_the_stamp_of_the_pictures_and_are_right(
    harness: Harness, tmp_path: Path
) -> None:
    cell = _cell(harness, tmp_path)
    for tick in range(3):
        said = cell.shown(tick)
        assert said["message"] == "all parts seen"
    stamp_ns = cell.show(3)
    harness.until(lambda: all(stamp_ns in cell.stamps(part) for part in LAYOUT.parts), "all poses")
    uncertain = harness.listen("parts/top/pose_with_covariance")[-1]
    assert np.array(uncertain.pose.covariance).reshape(6, 6)[0, 0] > 0
    for part in LAYOUT.parts:
        expected = canonical_pose(part, NOMINAL[part].to_pose())
        np.testing.assert_allclose(cell.pose(part, stamp_ns), expected, atol=2e-3)
    # Neither the same picture again nor an older one makes a pose.
    cell.show(3)
    cell.show(2.5)
    cell.shown(5)
    assert [s for s in cell.stamps("top") if s >= stamp_ns] == [stamp_ns, stamp_ns + 2 * TICK]


def test_a_hidden_part_is_held_then_lost_and_found_again(harness: Harness, tmp_path: Path) -> None:
    cell = _cell(harness, tmp_path, hold_rest_s=0.6)
    for tick in range(3):
        cell.shown(tick)
    for tick in range(3, 8):  # half a second
        said = cell.shown(tick, hidden=LEG4)
        assert (said["leg4.state"], said["leg4.reason"]) == ("held", "no tag seen")
        assert float(said["leg4.age_s"]) == pytest.approx(0.1 * (tick - 2))
    assert cell.shown(8)["leg4.state"] == "fresh"
    for tick in range(9, 18):  # for good
        said = cell.shown(tick, hidden=LEG4)
    assert said["leg4.state"] == "lost"
    assert "no pose of leg4" in said["message"]
    harness.until(lambda: len(cell.stamps("leg4")) > 0)
    start = cell.stamps("top")[-1] - 17 * TICK
    assert max(cell.stamps("leg4")) == start + 14 * TICK  # six ticks after it was last seen
    assert cell.shown(18)["leg4.state"] == "fresh"


def test_a_wrong_pose_is_not_believed_at_once(harness: Harness, tmp_path: Path) -> None:
    cell = _cell(harness, tmp_path)
    for tick in range(3):
        cell.shown(tick)
    said = cell.shown(3, moved="leg1 away")
    assert (said["leg1.state"], said["leg1.reason"]) == ("held", "jump not confirmed yet")
    stamp_ns = cell.stamps("top")[-1]
    expected = canonical_pose("leg1", NOMINAL["leg1"].to_pose())
    harness.until(lambda: stamp_ns in cell.stamps("leg1"))
    np.testing.assert_allclose(cell.pose("leg1", stamp_ns), expected, atol=2e-3)
    assert cell.shown(4)["leg1.state"] == "fresh"
    states = [cell.shown(tick, moved="leg1 away")["leg1.state"] for tick in range(5, 8)]
    assert states == ["held", "held", "fresh"]


def test_a_silent_camera_does_not_stop_the_other(harness: Harness, tmp_path: Path) -> None:
    cell = _cell(harness, tmp_path, pair_wait_s=0.05, silent_s=0.3)
    cell.shown(0)
    for tick in range(1, 6):
        said = cell.shown(tick, cameras=(1,))
        assert said["top.state"] == "fresh"
        assert said["top.tags"].startswith(CAMERAS[1].name)
        assert f"camera.{CAMERAS[0].name}.tags" not in said
    # Back again: both are used.
    tick = iter(range(6, 400))
    assert any(f"camera.{CAMERAS[0].name}.tags" in cell.shown(next(tick)) for _ in range(20))


def test_a_hidden_part_in_the_gripper_follows_the_tool(harness: Harness, tmp_path: Path) -> None:
    cell = _cell(harness, tmp_path, parts="leg4,top")
    for tick in (-2, -1, 0):  # the tracker first takes it for an outlier
        cell.joints(tick, HOME, 0.03)
        said = cell.shown(tick, moved="leg4 in hand")
    assert said["leg4.state"] == "fresh"
    arm = HOME + 0.05
    cell.joints(1, arm, 0.03)
    said = cell.shown(1, hidden=LEG4)
    assert said["leg4.reason"] == "no tag seen; moves with the tool"
    stamp_ns = cell.stamps("top")[-1]
    harness.until(lambda: stamp_ns in cell.stamps("leg4"))
    tool = Rigid.from_pose(tag_pose_from_base(*tool_pose(arm)))
    expected = tool @ TOOL.inverse() @ MOVED["leg4 in hand"]["leg4"]
    assert np.linalg.norm(expected.position - TOOL.position) > 0.02
    np.testing.assert_allclose(
        cell.pose("leg4", stamp_ns), canonical_pose("leg4", expected.to_pose()), atol=5e-3
    )
    # Fingers open: it stays where it was let go of.
    cell.joints(2, HOME, 0.06)
    cell.shown(2, hidden=LEG4)
    later_ns = cell.stamps("top")[-1]
    harness.until(lambda: later_ns in cell.stamps("leg4"))
    np.testing.assert_array_equal(cell.pose("leg4", later_ns), cell.pose("leg4", stamp_ns))


def test_calibration_service_writes_what_the_next_start_reads(
    harness: Harness, tmp_path: Path
) -> None:
    cell = _cell(harness, tmp_path, calibration_frames=10)
    early = harness.call("/tag/calibrate", "std_srvs/srv/Trigger")
    for tick in range(12):
        cell.shown(tick)
    answer = harness.call("/tag/calibrate", "std_srvs/srv/Trigger")
    assert answer.success, answer.message
    assert not early.success
    assert "usable frames of 10" in early.message
    content = json.loads((tmp_path / "cameras.json").read_text())
    assert set(content["cameras"]) == {camera.name for camera in CAMERAS}
    for camera in CAMERAS:
        found = Rigid.from_pose(np.array(content["cameras"][camera.name]["tag_from_camera"]))
        off = nominal_place(camera).difference(found)
        assert np.linalg.norm(off[:3]) < 0.004
        assert np.linalg.norm(off[3:]) < 0.006
    said = cell.shown(20)
    assert said["message"] == "all parts seen"
    assert harness.nodes["tag"].finish() == 0


def test_calibrate_command_writes_a_file_and_notices_a_moved_camera(
    harness: Harness, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.json"
    command = [sys.executable, "-m", "dppo_ros.cli", "calibrate", "--frames=10"]

    def calibrate(*options: str) -> tuple[int, str]:
        process = subprocess.Popen(
            [*command, f"--output={file}", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        cell, ticks = Cell(harness, joints=False), iter(range(10_000))
        harness.until(lambda: cell.show(next(ticks)) and process.poll() is not None, "its end")
        assert process.stdout is not None
        return process.returncode, process.stdout.read()

    code, text = calibrate()
    assert (code, file.exists()) == (0, True), text
    assert f"written to {file}" in text
    content = json.loads(file.read_text())
    content["cameras"]["left"]["tag_from_camera"][0] += 0.05
    file.write_text(json.dumps(content))
    code, text = calibrate("--check")
    assert code == 3
    assert "(refuse)" in text
    assert json.loads(file.read_text()) == content


def test_without_a_calibration_it_refuses_to_start(harness: Harness, tmp_path: Path) -> None:
    node = harness.start("tag", extrinsics="file", calibration_file=str(tmp_path / "absent.json"))
    assert not harness.transition("tag", "configure")
    harness.until(lambda: node.said("calibrate again with 'dppo-ros calibrate'"))
    assert node.finish() == 0
