# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``one_leg`` task: screw one leg into the square table's top."""
