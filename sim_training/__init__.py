# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training side of dppo_ros: environments, data, learning, evaluation, export. No rclpy."""
