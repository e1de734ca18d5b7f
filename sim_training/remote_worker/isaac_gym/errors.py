# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the worker reports to the trainer as its own failure."""

from __future__ import annotations


class SimulatorError(RuntimeError):
    """The simulator cannot be set up, or does not recover; the message says what to do."""
