# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The SDK's lens models as plumb_bob, against the projection of the SDK itself."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.camera.intrinsics import lens_from_intrinsics
from dppo_ros.core.errors import ConfigError

SIZE, FOCAL, CENTRE = (1280, 720), (921.5, 922.25), (641.5, 362.25)
# As cameras of the D400 family report them.
MILD = (-0.0553, 0.0643, -0.0004, 0.0007, -0.0206)


@pytest.mark.parametrize("model", ["brown_conrady", "modified_brown_conrady",
                                   "inverse_brown_conrady"])  # fmt: skip
def test_projection_is_that_of_the_sdk(model: str) -> None:
    rs = pytest.importorskip("pyrealsense2")
    sdk = rs.intrinsics()
    sdk.width, sdk.height = SIZE
    sdk.fx, sdk.fy = FOCAL
    sdk.ppx, sdk.ppy = CENTRE
    sdk.model, sdk.coeffs = getattr(rs.distortion, model), list(MILD)
    lens = lens_from_intrinsics(SIZE, FOCAL, CENTRE, model, MILD)
    points = [(x, y, 1.0) for x in np.linspace(-0.65, 0.65, 9) for y in np.linspace(-0.36, 0.36, 7)]
    wanted = [rs.rs2_project_point_to_pixel(sdk, point) for point in points]
    error_px = np.abs(lens.project(points) - wanted).max()
    assert error_px < (1e-3 if model == "brown_conrady" else 0.05)


def test_lens_without_distortion_needs_no_model() -> None:
    lens = lens_from_intrinsics(SIZE, FOCAL, CENTRE, "kannala_brandt4", (0.0,) * 5)
    assert lens.distortion == (0.0,) * 5
    assert lens.project([0.0, 0.0, 2.0]).tolist() == list(CENTRE)


@pytest.mark.parametrize(
    ("model", "coefficients", "message"),
    [
        ("ftheta", MILD, "'ftheta' is not supported"),
        ("brown_conrady", MILD[:4], "has 4 coefficients"),
        ("modified_brown_conrady", (-0.3, 0.1, 0.05, 0.05, 0.0), "differs from every plumb_bob"),
    ],
)
def test_lens_that_camera_info_cannot_say_is_refused(
    model: str, coefficients: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        lens_from_intrinsics(SIZE, FOCAL, CENTRE, model, coefficients)
