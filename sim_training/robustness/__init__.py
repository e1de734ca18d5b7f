# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a policy fares when the cell is not as in training: sweeps of one quantity, ablations."""
