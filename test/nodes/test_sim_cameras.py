# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When the twin takes pictures, and that lockstep waits for what was made of them."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.cameras import Camera
from dppo_ros.nodes.twin import StampGate, TwinLoop, TwinSettings
from dppo_ros.perception.lens import lens_from_camera_info

pytest.importorskip("rclpy", reason="the twin's cameras publish ROS messages")

from dppo_ros.nodes.sim_cameras import PictureSchedule
from dppo_ros.picture_messages import PictureMessage, encode_camera_info
from sim_training.envs.furniture.pictures import drawn_lens

TICK_NS = 100_000_000
SLICE_NS = TICK_NS // 10
CAMERA = Camera("left", "", "left_optical", 64, 48, 30.0, 50.0, (0, 0, 1), (0, 0, 0, 1))


@pytest.mark.parametrize("rate_hz", [10.0, 20.0, 30.0, 100.0])
@pytest.mark.parametrize("start_ns", [0, 1_700_000_000_123_456_789])
def test_pictures_come_at_their_rate_and_the_first_at_once(rate_hz: float, start_ns: int) -> None:
    schedule = PictureSchedule(round(1e9 / rate_hz))
    taken = [k for k in range(300) if schedule.is_due(start_ns + k * SLICE_NS)]
    assert taken[0] == 0
    assert len(taken) == pytest.approx(3 * rate_hz, abs=1)


def test_pictures_at_the_control_rate_are_those_of_the_ticks() -> None:
    schedule = PictureSchedule(TICK_NS)
    taken = [k * SLICE_NS for k in range(100) if schedule.is_due(k * SLICE_NS)]
    assert taken == [k * TICK_NS for k in range(10)]


@given(st.lists(st.integers(0, 20 * TICK_NS), min_size=1, max_size=50))
def test_whatever_the_clock_does_a_picture_is_never_further_off_than_a_period(
    stamps: list[int],
) -> None:
    schedule = PictureSchedule(TICK_NS)
    last_ns: int | None = None
    for stamp_ns in stamps:
        if schedule.is_due(stamp_ns):
            last_ns = stamp_ns
        assert last_ns is not None
        assert abs(stamp_ns - last_ns) < TICK_NS


class _Cell:
    """Counts the physics."""

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, seed: int, randomness: str | None = None) -> object:
        return self.state()

    def set_joint_reference(self, position: np.ndarray, velocity: np.ndarray) -> None:
        pass

    def set_gripper(self, value: float) -> None:
        pass

    def advance(self, physics_steps: int) -> None:
        self.steps += physics_steps

    def state(self) -> object:
        return type("State", (), {"success": False})()


class _Observer:
    """Answers every tick with a command at once, and with an observation a moment later."""

    def __init__(self, cell: _Cell, ticks: int, observes: bool) -> None:
        self.stop = threading.Event()
        self.loop: TwinLoop | None = None
        self.steps_when_observed: list[int] = []
        self._cell, self._left, self._observes = cell, ticks, observes

    def send_clock(self, stamp_ns: int) -> None:
        pass

    def send_joints(self, stamp_ns: int, state: object) -> None:
        pass

    def episode_ended(self, episode: object) -> None:
        pass

    def send_tick(self, stamp_ns: int, state: object, episode: object) -> None:
        assert self.loop is not None
        self._left -= 1
        if self._left < 0:
            self.stop.set()
        # One setpoint for all slices of the tick: only the observation is to be waited for.
        self.loop.inbox.put_joints(stamp_ns + TICK_NS, np.zeros(7), np.zeros(7))
        if self._observes:
            threading.Timer(0.01, self._observe, (stamp_ns,)).start()

    def _observe(self, stamp_ns: int) -> None:
        assert self.loop is not None
        self.steps_when_observed.append(self._cell.steps)
        self.loop.observed.put(stamp_ns)


def _run(observes: bool) -> tuple[TwinLoop, _Observer]:
    cell = _Cell()
    observer = _Observer(cell, 4, observes)
    settings = TwinSettings(TICK_NS, 2_000_000, 10, True, 0.2, 1000, await_observation=True)
    loop = TwinLoop(cell, settings, observer, lambda: (0, "low", 0.0))  # type: ignore[arg-type]
    observer.loop = loop
    loop.run(observer.stop)
    return loop, observer


def test_lockstep_with_cameras_stands_still_until_the_observation_is_there() -> None:
    loop, observer = _run(observes=True)
    assert observer.steps_when_observed[:4] == [0, 50, 100, 150]
    assert loop.lockstep_timeouts == 0


def test_dead_tracker_costs_one_timeout() -> None:
    loop, _ = _run(observes=False)
    assert loop.lockstep_timeouts == 1


def test_stamp_gate_opens_for_this_stamp_and_older_ones() -> None:
    gate = StampGate()
    assert not gate.wait_for(0, 0.0)
    gate.put(5)
    gate.put(3)
    assert gate.wait_for(5, 0.0)
    assert not gate.wait_for(6, 0.0)


def test_picture_is_written_into_the_message_itself() -> None:
    picture = PictureMessage("left_optical", 4, 2)
    picture.pixels[1, 2] = (7, 8, 9)
    message = picture.stamped(3_000_000_005)
    assert (message.width, message.height, message.step, message.encoding) == (4, 2, 12, "rgb8")
    assert list(message.data[18:21]) == [7, 8, 9]
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (3, 5)
    assert message.header.frame_id == "left_optical"


def test_calibration_message_describes_the_lens() -> None:
    lens = drawn_lens(CAMERA)
    info = encode_camera_info(7, CAMERA.frame_id, lens)
    assert (
        lens_from_camera_info(info.width, info.height, info.distortion_model, info.k, info.d)
        == lens
    )
    # The point on the optical axis is the middle of the picture, between pixels 31 and 32.
    np.testing.assert_allclose(lens.project([0.0, 0.0, 2.0]), [31.5, 23.5])
