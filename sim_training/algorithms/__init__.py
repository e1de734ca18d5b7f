# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Learning algorithms, one file each, run by the single loop in sim_training.train."""
