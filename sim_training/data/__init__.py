# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstration data: formats, window sampling, checks and generation."""
