# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a tracker reports about a part, and what it is allowed to believe."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.pose_fit import PoseFit
from dppo_ros.perception.rigid import Rigid


class State(Enum):
    """What a tracker says about its part."""

    FRESH = "fresh"
    HELD = "held"
    LOST = "lost"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True)
class TrackerOptions:
    """How far a tracker trusts what it sees and what it saw.

    Attributes:
        max_speed_mps: No part moves faster.
        max_turn_radps: No part turns faster.
        slack_m: Deviation that is never an outlier.
        slack_rad: Turn that is never an outlier.
        jump_frames: How many outliers in a row that agree are believed.
        drift_m: Standard deviation of the drift of a part at rest in one second; small values
            smooth more.
        drift_rad: The same for the turn.
        moving_m: A part that moved by more within the last half second counts as moving.
        moving_rad: The same for the turn.
        hold_rest_s: How long the pose of an unseen part at rest is reported.
        hold_moving_s: How long that of a part that was moving.
        follow_tool: Whether an unseen part in the gripper moves with the tool.
        follow_s: How long, counted from when it was last seen. Let go of while still unseen, it
            counts as at rest from then on.
        floor_m: Standard deviation that no averaging removes (calibration, print).
        floor_rad: The same for the turn.
    """

    max_speed_mps: float = 0.6
    max_turn_radps: float = 3.0
    slack_m: float = 0.01
    slack_rad: float = 0.15
    jump_frames: int = 3
    drift_m: float = 0.0005
    drift_rad: float = 0.005
    moving_m: float = 0.004
    moving_rad: float = 0.06
    hold_rest_s: float = 10.0
    hold_moving_s: float = 0.5
    follow_tool: bool = True
    follow_s: float = 15.0
    floor_m: float = 0.0003
    floor_rad: float = 0.002

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigError: A value is negative, or no outlier would ever be believed.
        """
        if min(float(getattr(self, field.name)) for field in fields(self)) < 0:
            raise ConfigError(f"{self}: no value may be negative")
        if self.jump_frames < 1 or self.max_speed_mps == 0 or self.drift_m == 0:
            raise ConfigError(f"{self}: jump_frames, max_speed_mps and drift_m must be positive")


@dataclass(frozen=True, eq=False)
class Track:
    """What is known about a part at one time.

    Attributes:
        state: Whether and how the pose may be used.
        reason: Why it is not fresh, empty when it is.
        age_s: Time since the part was last seen; infinite when it never was.
        frame_from_part: The pose; None when lost.
        covariance: (6, 6) of shift (m) and turn (rad); None when lost.
        fit: The measurement that came with this time, also one that was not believed.
    """

    state: State
    reason: str
    age_s: float
    frame_from_part: Rigid | None = None
    covariance: FloatArray | None = None
    fit: PoseFit | None = None
