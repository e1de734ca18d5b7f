# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lamp: screw a bulb into a base, then put a hood over it."""
