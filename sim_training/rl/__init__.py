# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reinforcement-learning parts shared by algorithms: targets, buffers, reward scaling."""
