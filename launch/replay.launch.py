# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded bag in place of the robot: observation and policy node answer it under its own time.

``replay:=FOLDER`` is the bag, ``poses:=truth`` where it has none but the simulator's poses, and
``poses:=cameras`` where the tag node is to make them anew from recorded pictures. Nothing is
commanded. Play it in a domain in which no robot runs: ``ROS_DOMAIN_ID=77 ros2 launch ...``.
"""

from __future__ import annotations

from launch import LaunchDescription

from dppo_ros.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return the graph around the player."""
    return describe(required=("replay",), sim="false", act="false", lockstep="false")
