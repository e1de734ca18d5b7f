# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``round_table`` task: screw the leg into the top, then the base onto the leg."""
