# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the player."""

from __future__ import annotations

from dppo_ros.parameters.model import COMMON, Parameter

PLAYER = (
    *COMMON,
    Parameter("path", "", "folder of the bag to play"),
    Parameter("speed", 1.0, "recorded seconds per second", 0.01, 100.0),
    Parameter("track_anew", False, "leave recorded part poses out: a tag node makes them again"),
    Parameter("lead_in_s", 1.0, "time runs this long before the first message (s)", 0.0, 60.0),
    Parameter("clock_rate_hz", 100.0, "ticks of /clock where the bag has none (Hz)", 10.0, 1000.0),
)
