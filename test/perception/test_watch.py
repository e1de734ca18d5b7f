# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera at work: bytes of its messages, its lens, and when it may not be believed."""

from __future__ import annotations

import array
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tag_cell import FRONT, LAYOUT, LENS, sightings

from dppo_ros.core.errors import ConfigError, ObservationError
from dppo_ros.perception.calibration import Calibrator
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.gray import gray_picture
from dppo_ros.perception.reprojection import View
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import BASE
from dppo_ros.perception.watch import NO_LENS, WatchedCamera

DATE = "2026-01-02T03:04:05+00:00"


def _picture() -> NDArray[np.uint8]:
    return np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


def test_encodings_and_row_padding() -> None:
    colour = _picture()
    expected = np.round(colour @ [0.299, 0.587, 0.114])
    padded = np.zeros((2, 16), dtype=np.uint8)
    padded[:, :9] = colour.reshape(2, 9)
    data = array.array("B", padded.tobytes())
    assert np.abs(gray_picture(data, 2, 3, 16, "rgb8", False) - expected).max() <= 1
    swapped = np.ascontiguousarray(colour[..., ::-1])
    assert np.abs(gray_picture(swapped, 2, 3, 9, "bgr8", False) - expected).max() <= 1
    opaque = np.concatenate([colour, np.full((2, 3, 1), 255, np.uint8)], axis=-1)
    assert np.abs(gray_picture(opaque.tobytes(), 2, 3, 12, "rgba8", False) - expected).max() <= 1
    mono = np.arange(6, dtype=np.uint8)
    np.testing.assert_array_equal(gray_picture(mono, 2, 3, 3, "mono8", False), mono.reshape(2, 3))
    for big, order in ((True, ">u2"), (False, "<u2")):
        wide = (mono.astype(np.uint16) << 8).astype(order).tobytes()
        np.testing.assert_array_equal(
            gray_picture(wide, 2, 3, 6, "mono16", big), mono.reshape(2, 3)
        )


def test_mono_pictures_are_not_copied() -> None:
    data = array.array("B", bytes(12))
    picture = gray_picture(data, 3, 4, 4, "mono8", False)
    data[5] = 77
    assert picture[1, 1] == 77


@pytest.mark.parametrize(
    ("size", "step", "encoding", "complaint"),
    [
        (18, 9, "yuv422", "unknown picture encoding 'yuv422'"),
        (17, 9, "rgb8", "it has 17"),
        (18, 8, "rgb8", "8 bytes a row"),
    ],
)
def test_bytes_that_do_not_fit(size: int, step: int, encoding: str, complaint: str) -> None:
    with pytest.raises(ObservationError, match=complaint):
        gray_picture(bytes(size), 2, 3, step, encoding, False)


def _base(view: View) -> list[TagDetection]:
    return [s.detection for s in sightings(BASE, (view,))]


def test_nominal_place_is_used_at_once_and_a_moved_camera_refused() -> None:
    camera = WatchedCamera("front", LAYOUT, FRONT.camera_from_frame.inverse())
    assert camera.problem == NO_LENS
    camera.set_lens(LENS)
    assert camera.problem == ""
    pose = FRONT.camera_from_frame
    moved = replace(
        FRONT, camera_from_frame=Rigid(pose.rotation, pose.position + np.array([0.05, 0.0, 0.0]))
    )
    for _ in range(10):
        assert not camera.watch(_base(moved), DATE)
    assert camera.problem.startswith("camera moved by 50.0 mm")
    # Calibrated again where it stands now.
    camera.adopt(camera.calibrate(DATE))
    assert camera.problem == ""
    assert camera.view is not None
    shift = moved.camera_from_frame.difference(camera.view.camera_from_frame)
    np.testing.assert_allclose(shift, np.zeros(6), atol=1e-8)


def test_a_camera_without_a_place_calibrates_itself() -> None:
    camera = WatchedCamera("front", LAYOUT, None, serial="42")
    camera.set_lens(LENS)
    done = [camera.watch(_base(FRONT), DATE) for _ in range(10)]
    assert done == [False] * 9 + [True]
    assert camera.problem == ""
    assert camera.calibrate(DATE).serial == "42"


def test_other_intrinsics_than_calibrated_are_refused_until_they_come_back() -> None:
    calibrator = Calibrator("front", LENS, LAYOUT)
    for _ in range(10):
        calibrator.add(_base(FRONT))
    camera = WatchedCamera("front", LAYOUT, calibrator.result(DATE))
    camera.set_lens(replace(LENS, fx_px=800.0))
    assert "was calibrated with" in camera.problem
    assert not camera.watch(_base(FRONT), DATE)
    camera.set_lens(LENS)
    assert camera.problem == ""


def test_sizes_of_picture_and_lens_must_agree() -> None:
    camera = WatchedCamera("front", LAYOUT, None)
    with pytest.raises(ConfigError, match=r"camera_info"):
        camera.calibrate(DATE)
    camera.set_lens(LENS)
    with pytest.raises(ObservationError, match="640 x 480"):
        camera.look(np.zeros((480, 640), np.uint8))
