# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras, tag node and observation node alone: to calibrate, to look, to record. Nothing moves.

``sim:=true`` takes the twin's pictures instead of real ones.
"""

from __future__ import annotations

from launch import LaunchDescription

from dppo_ros.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return the graph without policy and command node."""
    return describe(defaults={"sim": "false"}, poses="cameras", act="false", replay="")
