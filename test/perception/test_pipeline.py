# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures to tracks without ROS, and the tool at the time of a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_tags import draw
from numpy.typing import NDArray
from tag_cell import FRONT, LAYOUT, NOMINAL, SIDE

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.observation import base_pose_from_tag
from dppo_ros.parameters.tag import TAG
from dppo_ros.perception.estimator import EstimatorOptions
from dppo_ros.perception.pipeline import PerceptionPipeline
from dppo_ros.perception.reprojection import View
from dppo_ros.perception.settings import (
    estimator_options,
    names_in,
    pairing_options,
    watch_options,
)
from dppo_ros.perception.tool_buffer import ToolBuffer
from dppo_ros.perception.track import State
from dppo_ros.perception.watch import NO_LENS, WatchedCamera

MS = 1_000_000
TICK = 100 * MS
DATE = "2026-01-02T03:04:05+00:00"
HOME = np.array([-0.026, 0.376, 0.125, -2.138, -0.094, 2.496, 0.019])


@pytest.fixture(scope="module")
def pictures() -> dict[str, NDArray[np.uint8]]:
    def picture(view: View) -> NDArray[np.uint8]:
        poses = {name: view.camera_from_frame @ pose for name, pose in NOMINAL.items()}
        placed = {name: (pose.rotation, pose.position) for name, pose in poses.items()}
        return draw(view.lens, placed, LAYOUT)

    return {view.camera: picture(view) for view in (FRONT, SIDE)}


def _pipeline(with_lens: bool = True) -> PerceptionPipeline:
    cameras = [
        WatchedCamera(view.camera, LAYOUT, view.camera_from_frame.inverse())
        for view in (FRONT, SIDE)
    ]
    if with_lens:
        for camera, view in zip(cameras, (FRONT, SIDE), strict=True):
            camera.set_lens(view.lens)
    return PerceptionPipeline(LAYOUT, cameras, EstimatorOptions())


def test_all_parts_come_out(pictures: dict[str, NDArray[np.uint8]]) -> None:
    pipeline = _pipeline()
    outcome = pipeline.process(0, pictures)
    assert outcome.unusable == {}
    assert {track.state for track in outcome.tracks.values()} == {State.FRESH}
    assert set(outcome.seen) == {"front", "side"}
    assert outcome.detect_ns > 0
    assert outcome.fit_ns > 0
    pipeline.close()


def test_a_camera_that_cannot_be_used_is_named_and_the_other_goes_on(
    pictures: dict[str, NDArray[np.uint8]],
) -> None:
    pipeline = _pipeline()
    small = pictures["front"][:360]
    outcome = pipeline.process(0, {**pictures, "front": small})
    assert "1280 x 360" in outcome.unusable["front"]
    assert outcome.tracks["leg1"].state is State.FRESH
    # Other intrinsics than pictures: the same camera once its lens fits again.
    assert pipeline.process(TICK, pictures).unusable == {}
    pipeline.close()
    blind = _pipeline(with_lens=False)
    outcome = blind.process(0, pictures)
    assert outcome.unusable == {"front": NO_LENS, "side": NO_LENS}
    assert {track.state for track in outcome.tracks.values()} == {State.LOST}
    with pytest.raises(ConfigError, match="camera_info"):
        blind.calibrate(DATE)
    blind.close()


def test_a_stamp_that_goes_back_forgets_the_past(pictures: dict[str, NDArray[np.uint8]]) -> None:
    pipeline = _pipeline()
    pipeline.process(50 * TICK, pictures)
    outcome = pipeline.process(0, {"side": np.zeros((720, 1280), np.uint8)})
    assert outcome.tracks["top"].state is State.LOST
    pipeline.close()


def test_calibration_is_all_or_nothing(pictures: dict[str, NDArray[np.uint8]]) -> None:
    pipeline = _pipeline()
    before = pipeline.cameras["front"].view
    for tick in range(10):
        pipeline.watch(pipeline.process(tick * TICK, {"front": pictures["front"]}), DATE)
    with pytest.raises(ConfigError, match="camera 'side': 0 usable frames"):
        pipeline.calibrate(DATE)
    assert pipeline.cameras["front"].view is before
    for tick in range(10, 20):
        pipeline.watch(pipeline.process(tick * TICK, pictures), DATE)
    made = pipeline.calibrate(DATE)
    assert [calibration.camera for calibration in made] == ["front", "side"]
    assert "residual" in made[0].summary
    for calibration, view in zip(made, (FRONT, SIDE), strict=True):
        off = view.camera_from_frame.inverse().difference(calibration.frame_from_camera)
        assert np.linalg.norm(off[:3]) < 0.006
        assert np.linalg.norm(off[3:]) < 0.006
    pipeline.close()


def test_tool_is_interpolated_and_expressed_in_the_tag_frame() -> None:
    buffer = ToolBuffer()
    assert buffer.at(0) is None
    later = HOME + 0.02
    buffer.add_arm(0, HOME)
    buffer.add_width(0, 0.03)
    assert not buffer.covers(10 * MS)
    buffer.add_arm(20 * MS, later)
    assert buffer.covers(20 * MS)
    tool = buffer.at(10 * MS)
    assert tool is not None
    assert tool.width_m == 0.03
    position, rotation = tool_pose((HOME + later) / 2)
    found = base_pose_from_tag(tool.frame_from_tool.to_pose())
    np.testing.assert_allclose(found[0], position, atol=1e-12)
    np.testing.assert_allclose(found[1], rotation, atol=1e-12)
    # Shortly after the newest sample it is taken as it is; later nothing is known.
    assert buffer.at(100 * MS) is not None
    assert buffer.at(150 * MS) is None
    assert buffer.at(-1) is None


def test_tool_is_unknown_across_a_gap_or_without_the_gripper() -> None:
    buffer = ToolBuffer()
    buffer.add_arm(0, HOME)
    buffer.add_arm(500 * MS, HOME)
    buffer.add_width(0, 0.03)
    assert buffer.at(50 * MS) is None
    assert buffer.at(500 * MS) is None  # the width is half a second old
    buffer.add_width(490 * MS, 0.02)
    assert buffer.at(500 * MS) is not None
    buffer.add_arm(400 * MS, HOME)  # out of order: ignored
    assert buffer.at(400 * MS) is None
    buffer.add_arm(-3000 * MS, HOME)  # the clock was set back
    assert not buffer.covers(500 * MS)


def test_parameters_of_the_node_are_the_defaults_of_the_classes() -> None:
    values = {parameter.name: parameter.default for parameter in TAG}
    assert estimator_options(values) == EstimatorOptions()
    assert watch_options(values).detector.decimation == 1.5
    assert pairing_options(values).tolerance_ns == 20 * MS
    assert names_in(" a, b,") == ("a", "b")
    held = estimator_options({**values, "occlusion": "hold"})
    assert held.tracker == replace(EstimatorOptions().tracker, follow_tool=False)
    with pytest.raises(ConfigError, match="warnings before refusals"):
        watch_options({**values, "drift_warn_m": 0.5})
