# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the published DPPO code: reading them safely and turning them into our own."""
