# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Generator and gate in a row: the only place that setpoints come from.

What leaves ``step`` was passed by the gate, or is part of the stop that the gate made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dppo_ros.control.gate import JointGate, Workspace
from dppo_ros.control.generator import SetpointGenerator
from dppo_ros.control.limits import Robot
from dppo_ros.control.paths import JointState
from dppo_ros.control.stopping import StopPoint
from dppo_ros.core.motion import Measurement

FloatArray = NDArray[np.float64]

KEEP_SETPOINT_RAD = 0.02
"""A stream that begins again this close to where it ended begins there, without a jump."""
_COAST_STEP_S = 0.005


class MotionPipeline:
    """Turns joint targets into judged setpoints."""

    def __init__(self, robot: Robot, workspace: Workspace, max_measured_age_s: float) -> None:
        """Prepare generator and gate.

        Args:
            robot: Limits and shape of the arm.
            workspace: Box of the tool.
            max_measured_age_s: Oldest measurement on which a setpoint may be sent.
        """
        self.robot = robot
        self.gate = JointGate(robot, workspace, max_measured_age_s)
        self._generator = SetpointGenerator(robot.policy)
        self._stopping = False
        self._begun = False
        self._run_out_to: FloatArray | None = None
        self._go_on: Callable[[], object] = self.stop

    @property
    def at_rest(self) -> bool:
        """Return whether the setpoints stand still."""
        return not self._begun or self.gate.sent.is_at_rest()

    @property
    def arrived(self) -> bool:
        """Return whether the posture of ``go_to`` is reached."""
        return self._generator.arrived and not self._stopping and self.at_rest

    @property
    def sent(self) -> JointState:
        """Return the setpoint that was sent last."""
        return self.gate.sent

    def run_out(self) -> list[StopPoint]:
        """Return the last setpoint and the judged stop after it, for a controller that has both.

        Such a controller goes on by itself when setpoints are missing; see ``coast``.
        """
        points = self.gate.stop_points()
        self._run_out_to = points[-1].position
        return points

    def begin(self, measured: FloatArray) -> str:
        """Start where the arm stands.

        The setpoints of before end where a controller that runs out its stop has gone, or at the
        last of them. Where that fits the measured joints, a stream begins there: measured joints
        differ a little from what the controller holds.

        Args:
            measured: Measured joints (7,), rad.

        Returns:
            Why it must not start there, empty when it may.
        """
        start = np.array(measured, dtype=np.float64)
        if self._begun and np.isfinite(start).all():
            last = self.gate.sent.position if self._run_out_to is None else self._run_out_to
            if np.abs(last - start).max() <= KEEP_SETPOINT_RAD:
                start = last
        refusal = self.gate.begin(start)
        if refusal:
            return refusal
        self._begun, self._stopping = True, False
        self._generator.begin(start)
        return ""

    def forget(self) -> None:
        """Begin the next stream at the measured joints, wherever the setpoints ended."""
        self._begun = False

    def follow(self, target: FloatArray) -> None:
        """Follow a joint target (7,), rad, from now on."""
        self._wake()
        self._generator.follow(target)
        self._go_on = partial(self._generator.follow, target)

    def go_to(self, posture: FloatArray) -> bool:
        """Go to a posture (7,), rad, slowly; return whether there is a way."""
        self._wake()
        self._go_on = partial(self._generator.go_to, posture)
        return self._generator.go_to(posture)

    def coast(self, missed_s: float) -> bool:
        """Take into account that setpoints were missing in the midst of a stream.

        A controller that runs out its stop has done that meanwhile. Setpoints that went on as if
        nothing had been would have to catch up within a cycle.

        Args:
            missed_s: For how long, up to 0.05 s.

        Returns:
            Whether the setpoints have moved on by that time.
        """
        if self._run_out_to is None or self._stopping or not self._begun:
            return False
        parts = math.ceil(missed_s / _COAST_STEP_S)
        for _ in range(parts):
            self.gate.stop(missed_s / parts)
        self._generator.resume(self.gate.sent)
        self._go_on()
        return True

    def stop(self) -> None:
        """Come to a standstill and stay there."""
        self._stopping = True

    def step(self, step_s: float, measured: Measurement | None) -> tuple[JointState, str]:
        """Return the next setpoint and, when the gate refused what was planned, the reason.

        Args:
            step_s: Time since the setpoint before it.
            measured: What the robot reports; without it only a stop goes on.
        """
        if self._stopping:
            return self.gate.stop(step_s), ""
        planned = self._generator.advance(step_s)
        refusal = (
            self.gate.check(planned, step_s, measured) if measured is not None else "no_measurement"
        )
        if refusal:
            self._stopping = True
            return self.gate.stop(step_s), refusal
        self._generator.accept(planned)
        return planned, ""

    def _wake(self) -> None:
        if self._stopping:
            self._stopping = False
            self._generator.resume(self.gate.sent)
