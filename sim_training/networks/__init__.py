# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Neural networks used by policies and critics."""
