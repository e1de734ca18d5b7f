# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures to part poses: AprilTags, fits, tracking, calibration. No rclpy, torch or mujoco."""
