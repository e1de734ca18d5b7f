# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What must be identical in training, in evaluation and on the robot, in plain NumPy.

No module of this package imports rclpy, torch or mujoco; only ``runtime`` imports onnxruntime.
Import the modules themselves (``from dppo_ros.core.bundle import load_bundle``): this file
re-exports nothing, so that importing one concept never pays for another.
"""
