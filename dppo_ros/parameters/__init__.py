# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every ROS parameter of every node, one file for each node.

Nodes declare exactly these, the bring-up checks values against them before it starts a process,
and a test compares them with the YAML files in ``config/ros``. Pure Python: no rclpy.
"""
