# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements of the running graph, taken by processes that only listen."""
