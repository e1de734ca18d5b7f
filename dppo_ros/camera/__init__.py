# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""RealSense cameras without ROS: devices, recordings and a software device behind one source.

May import NumPy and, through ``sdk``, pyrealsense2. Never rclpy, torch, MuJoCo or sim_training.
"""
