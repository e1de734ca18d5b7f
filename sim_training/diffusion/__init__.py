# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Diffusion core: noise schedules, denoising steps, and the policy built on them."""
