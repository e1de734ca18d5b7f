# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the display node."""

from __future__ import annotations

from dppo_ros.parameters.model import COMMON, Parameter

DISPLAY = (
    *COMMON,
    Parameter(
        "rate_hz", 5.0, "how often the picture is drawn, while somebody looks (Hz)", 0.2, 30.0
    ),
    Parameter("max_age_s", 1.0, "a pose older than this is drawn grey (s)", 0.05, 60.0),
    Parameter("trail_s", 3.0, "length of the drawn path of the tool (s)", 0.0, 60.0),
    Parameter("publish_tf", True, "send the drawn frames on /tf too, where tf2_msgs is installed"),
    Parameter("base_frame", "panda_link0", "frame_id of the tool pose and of all markers"),
    Parameter("tag_frame", "tag", "frame_id of the part poses"),
    Parameter("command_node", "command", "node that is asked for the workspace it guards"),
)
