# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges the calibration of the cameras: is it there, how old is it, does it still hold."""

from __future__ import annotations

from collections.abc import Iterator

from dppo_ros.preflight.expectation import Expectation
from dppo_ros.preflight.snapshot import Snapshot
from dppo_ros.preflight.step import Step

SECTION = "calibration"


def calibration_steps(expected: Expectation) -> Iterator[Step]:
    """Yield whether every camera has a calibration, and its age."""
    if not expected.cameras:
        yield Step(SECTION, "cameras", "ok", "not used: part poses come from elsewhere")


def drift_steps(expected: Expectation, seen: Snapshot) -> Iterator[Step]:
    """Yield whether the base tags are still where the calibration says."""
    yield from ()
