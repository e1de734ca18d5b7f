# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies over action chunks: one protocol, diffusion, Gaussian and mixture."""
