# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a camera node; size, rate, serial and exposure region are in ``cameras.yaml``."""

from __future__ import annotations

from dppo_ros.parameters.model import COMMON, Parameter

CAMERA = (
    *COMMON,
    Parameter("camera", "", "name of the camera in config/cameras.yaml"),
    Parameter(
        "source",
        "device",
        "device, software (test pictures), or bag:PATH or bag-once:PATH, a recording of the SDK in "
        "which {camera} stands for the name of the camera",
    ),
    Parameter("serial", "", "serial number; empty takes the one in config/cameras.yaml"),
    Parameter("encoding", "rgb8", "colour encoding", choices=("rgb8", "bgr8")),
    Parameter("depth", False, "publish distances too"),
    Parameter("depth_width_px", 848, "width of the depth picture", 1, 10_000),
    Parameter("depth_height_px", 480, "height of the depth picture", 1, 10_000),
    Parameter("exposure_us", 0.0, "exposure time (us); 0 leaves it to the camera", 0.0, 1e6),
    Parameter(
        "latency_s",
        0.0,
        "shortest time from exposure to arrival, used where the camera's clock is its own (s)",
        0.0,
        1.0,
    ),
    Parameter("silence_s", 1.0, "camera without a picture for this long is lost (s)", 0.05, 60.0),
    Parameter("retry_s", 0.5, "first pause before a lost camera is sought again (s)", 0.01, 60.0),
    Parameter("longest_retry_s", 8.0, "longest such pause; pauses double (s)", 0.01, 600.0),
    Parameter("max_jitter_s", 0.02, "jitter above this is reported (s)", 0.0, 10.0),
    Parameter("max_latency_s", 0.1, "longer from exposure to sending is reported (s)", 0.0, 10.0),
)  # fmt: skip
"""Parameters of a camera node."""
