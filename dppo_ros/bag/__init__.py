# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags: reading recorded episodes, replaying policies over them, reporting. Never imports rclpy."""
