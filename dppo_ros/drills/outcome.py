# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What came of a drill, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from dppo_ros.bench.table import Row

HOLDS, GOES_ON, STOPS = "holds", "goes on", "stops"


@dataclass(frozen=True)
class Outcome:
    """The result of one drill.

    Attributes:
        drill: Its name.
        did: What the robot did: ``holds``, ``goes on`` or ``stops`` (nobody commands it any more).
        reason: What the command node gave as its reason.
        state_ms: From the fault to the first report of a hold (ms).
        command_rest_ms: From the fault to commands at standstill, or no more commands (ms).
        robot_rest_ms: From the fault to a robot measured at standstill (ms).
        recovered_ms: From the end of the fault to commanded motion (ms).
        largest_step_rad: Largest change of a joint between two commands (rad).
        speed_share: Largest commanded joint speed as a share of its limit.
        commands: How many commands were judged.
        violations: How many of them broke a limit.
        problems: What did not go as it should; empty when the drill passed.
    """

    drill: str
    did: str
    reason: str = ""
    state_ms: float = math.nan
    command_rest_ms: float = math.nan
    robot_rest_ms: float = math.nan
    recovered_ms: float = math.nan
    largest_step_rad: float = 0.0
    speed_share: float = 0.0
    commands: int = 0
    violations: int = 0
    problems: Sequence[str] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Return whether everything went as it should."""
        return not self.problems

    def row(self) -> Row:
        """Return the line of the results table."""
        return {
            "drill": self.drill,
            "robot": self.did,
            "reason given": self.reason or "-",
            "hold reported ms": self.state_ms,
            "commands at rest ms": self.command_rest_ms,
            "robot at rest ms": self.robot_rest_ms,
            "moving again ms": self.recovered_ms,
            "largest step rad": self.largest_step_rad,
            "speed / limit": self.speed_share,
            "commands": self.commands,
            "violations": self.violations,
            "passed": self.passed,
        }
