# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Isaac Gym's tensor API on the MuJoCo cell: for tests, never for results.

It lets the very same worker code run where Isaac Gym cannot be installed, and is stricter than
the original: it refuses calls that contradict the stubs' signatures or the documented order, and
fills tensors with NaN whenever reading them would give outdated states.
"""
