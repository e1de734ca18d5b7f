# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One module for each command of ``dppo-ros``: ``add(subparsers)`` and ``run(options)``."""
