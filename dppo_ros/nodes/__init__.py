# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 lifecycle nodes, one per file, thin over ``dppo_ros.core``. Never imports torch."""
