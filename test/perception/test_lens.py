# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lens: OpenCV's formula, an exact inverse and a right derivative."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tag_cell import BENT_LENS, LENS

from dppo_ros.core.errors import ConfigError
from dppo_ros.perception.lens import lens_from_camera_info

_POINTS = np.random.default_rng(0).uniform([-0.4, -0.25, 0.6], [0.4, 0.25, 1.2], (50, 3))


def test_projection_is_that_of_opencv() -> None:
    lens = BENT_LENS
    k = np.array([[lens.fx_px, 0, lens.cx_px], [0, lens.fy_px, lens.cy_px], [0, 0, 1]])
    expected, _ = cv2.projectPoints(_POINTS, np.zeros(3), np.zeros(3), k, np.array(lens.distortion))
    np.testing.assert_allclose(lens.project(_POINTS), expected[:, 0], atol=1e-9)


@given(st.floats(0, 1279), st.floats(0, 719))
def test_normalise_inverts_project(u: float, v: float) -> None:
    ray = np.append(BENT_LENS.normalise([u, v]), 1.0)
    np.testing.assert_allclose(BENT_LENS.project(ray), [u, v], atol=1e-8)


def test_jacobian_is_the_derivative() -> None:
    step = 1e-6
    numeric = np.stack(
        [
            (BENT_LENS.project(_POINTS + d) - BENT_LENS.project(_POINTS - d)) / (2 * step)
            for d in step * np.eye(3)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(BENT_LENS.jacobian(_POINTS), numeric, rtol=1e-6, atol=1e-3)


def test_camera_info_round_trip_and_refusals() -> None:
    k = [930.0, 0.0, 631.0, 0.0, 925.0, 366.0, 0.0, 0.0, 1.0]
    assert lens_from_camera_info(1280, 720, "plumb_bob", k, BENT_LENS.distortion) == BENT_LENS
    flat = lens_from_camera_info(1280, 720, "", k, [])
    assert flat.distortion == (0.0,) * 5
    with pytest.raises(ConfigError, match="equidistant"):
        lens_from_camera_info(1280, 720, "equidistant", k, [0.1, 0.0, 0.0, 0.0])
    with pytest.raises(ConfigError, match="positive"):
        lens_from_camera_info(0, 720, "plumb_bob", k, [])
    with pytest.raises(ConfigError, match="skew"):
        lens_from_camera_info(1280, 720, "plumb_bob", [*k[:1], 0.5, *k[2:]], [])


def test_lenses_differ_by_what_they_do_to_pixels() -> None:
    assert not LENS.differs_from(replace(LENS, fx_px=924.5), 0.5)
    assert LENS.differs_from(replace(LENS, fx_px=930.0), 0.5)
    assert LENS.differs_from(replace(LENS, width_px=640), 0.5)
