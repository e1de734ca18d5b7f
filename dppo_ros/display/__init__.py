# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the display node draws: parts, tool, goals, predicted chunk, workspace, state. No rclpy."""
