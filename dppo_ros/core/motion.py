# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the command state machine asks of whatever makes and judges joint setpoints.

``dppo_ros.control.pipeline`` is the one that robots get; the state machine itself stays free of
trajectory libraries, and tests can put a recorder in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What the robot reports, as the judge of a setpoint needs it.

    Attributes:
        position: Measured joints (7,), rad.
        age_s: Time since the measurement.
    """

    position: FloatArray
    age_s: float


class Moving(Protocol):
    """A setpoint."""

    @property
    def position(self) -> FloatArray:
        """Return the joints (7,), rad."""
        ...

    @property
    def velocity(self) -> FloatArray:
        """Return their velocities (7,), rad/s."""
        ...


class Motion(Protocol):
    """Makes and judges setpoints."""

    @property
    def at_rest(self) -> bool:
        """Return whether the setpoints stand still."""
        ...

    @property
    def arrived(self) -> bool:
        """Return whether the posture of ``go_to`` is reached."""
        ...

    def begin(self, measured: FloatArray) -> str:
        """Start where the arm stands; return why it must not, empty when it may."""
        ...

    def forget(self) -> None:
        """Begin the next time where the arm is measured, whatever was sent before."""
        ...

    def coast(self, missed_s: float) -> bool:
        """Learn that setpoints were missing; return whether the motion has gone on meanwhile."""
        ...

    def follow(self, target: FloatArray) -> None:
        """Follow a joint target (7,), rad, from now on."""
        ...

    def go_to(self, posture: FloatArray) -> bool:
        """Go to a posture (7,), rad; return whether there is a way."""
        ...

    def stop(self) -> None:
        """Come to a standstill and stay there."""
        ...

    def step(self, step_s: float, measured: Measurement | None) -> tuple[Moving, str]:
        """Return the next setpoint and, when a planned one was refused, the reason."""
        ...
