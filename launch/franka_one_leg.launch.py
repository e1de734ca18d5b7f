# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``one_leg`` cell: twin or robot, cameras, observation, policy, safety gate, recorder.

What is started follows from the arguments alone; see ``dppo_ros.graph``.
"""

from __future__ import annotations

from launch import LaunchDescription

from dppo_ros.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return everything, with every argument of the graph."""
    return describe()
