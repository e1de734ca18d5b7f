# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults made on purpose in a running graph, and an independent judge of what the robot did."""
