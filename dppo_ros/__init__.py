# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 side of dppo_ros: the shared core, the nodes, bag tools and the command line."""

__version__ = "0.1.0"
