# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tags in drawn pictures: found, exact, corners in the right order, doubtful ones refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_tags import draw, tag_picture
from numpy.typing import NDArray
from tag_cell import FRONT, LAYOUT, NOMINAL, SIDE

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.corners import cell_px
from dppo_ros.perception.detector import DetectorOptions, TagDetector
from dppo_ros.perception.reprojection import View


def _truth(view: View) -> dict[int, FloatArray]:
    return {
        p.tag_id: view.lens.project(
            (view.camera_from_frame @ NOMINAL[p.carrier]).apply(p.corners_m)
        )
        for p in LAYOUT.placements
    }


def _picture(view: View, noise: float = 2.0) -> NDArray[np.uint8]:
    poses = {name: view.camera_from_frame @ pose for name, pose in NOMINAL.items()}
    placed = {name: (pose.rotation, pose.position) for name, pose in poses.items()}
    return draw(view.lens, placed, LAYOUT, noise=noise)


@pytest.mark.parametrize("view", [FRONT, SIDE], ids=["pinhole", "distorted"])
def test_corners_of_a_drawn_cell(view: View) -> None:
    truth = _truth(view)
    found = TagDetector().detect(_picture(view))
    assert {0, 1, 2, 3} <= {tag.tag_id for tag in found}
    assert len(found) >= 9
    errors = {tag.tag_id: tag.corners_px - truth[tag.tag_id] for tag in found}
    # The order of the corners is right: a wrong one would be off by the size of the tag.
    assert max(np.abs(error).max() for error in errors.values()) < 0.8
    large = [errors[tag.tag_id] for tag in found if tag.cell_px > 2.0]
    assert np.sqrt(np.mean(np.square(large))) < 0.1
    for tag in found:
        assert tag.cell_px == pytest.approx(float(cell_px(truth[tag.tag_id][None])[0]), rel=0.2)


def _flat(tag_ids: list[int], rows: int = 1) -> NDArray[np.uint8]:
    row = [np.pad(tag_picture(number, 2.0), 20, constant_values=200) for number in tag_ids]
    return np.concatenate([np.concatenate(row, axis=1)] * rows, axis=0)


def test_an_upright_tag_by_hand() -> None:
    # 8 px a cell: black square from 36 to 100 as pixel edges, hence 35.5 to 99.5.
    (tag,) = TagDetector(DetectorOptions(decimation=1.0)).detect(_flat([23]))
    expected = [[35.5, 35.5], [99.5, 35.5], [99.5, 99.5], [35.5, 99.5]]
    np.testing.assert_allclose(tag.corners_px, expected, atol=0.02)
    assert (tag.tag_id, tag.hamming) == (23, 0)
    assert tag.cell_px == pytest.approx(8.0, abs=0.01)


def test_a_number_seen_twice_counts_as_not_seen() -> None:
    detector = TagDetector()
    assert [tag.tag_id for tag in detector.detect(_flat([4, 9]))] == [4, 9]
    twice = np.concatenate([_flat([4, 9]), _flat([4, 7])], axis=0)
    assert [tag.tag_id for tag in detector.detect(twice)] == [7, 9]
    assert detector.rejections["twice"] == 2


def test_faint_and_damaged_tags_are_refused() -> None:
    faint = np.clip(_flat([4]).astype(np.float64) / 20 + 100, 0, 255).astype(np.uint8)
    detector = TagDetector()
    assert detector.detect(faint) == []
    damaged = _flat([4])
    # Two cells of the code painted over: the library would correct two bits.
    for column in (2, 4):
        left = 36 + 8 * column
        damaged[36 + 16 : 36 + 24, left : left + 8] ^= 255
    assert detector.detect(damaged) == []
    assert detector.rejections["bits"] == 1


def test_nothing_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320)).astype(np.uint8)
    assert TagDetector().detect(cv2.GaussianBlur(noise, (0, 0), 2.0)) == []


def test_options_out_of_range() -> None:
    with pytest.raises(ConfigError, match="decimation"):
        DetectorOptions(decimation=0.5)
    with pytest.raises(ConfigError, match="1 bit"):
        DetectorOptions(max_hamming=2)
