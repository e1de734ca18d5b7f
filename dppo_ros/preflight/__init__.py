# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros preflight``: is this system ready to move the arm? One question at a time.

``probe`` is the only module that talks to ROS. It collects facts into a ``snapshot``; the other
modules judge facts and know nothing of rclpy, so that every fault can be tested without it.
"""
