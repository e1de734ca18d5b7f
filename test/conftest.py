# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""For every test: graphics that need no screen, chosen before anything imports MuJoCo."""

from sim_training.offscreen import prefer_offscreen_rendering

prefer_offscreen_rendering()
