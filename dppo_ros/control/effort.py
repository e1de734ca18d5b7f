# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Watches the joint torques that a robot reports. Setpoints say nothing about contact; these do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.control.limits import JointLimits

FloatArray = NDArray[np.float64]

_WINDOW_NS = 10_000_000


class EffortWatch:
    """Compares reported torques with the limits in use."""

    def __init__(self, limits: JointLimits) -> None:
        """Start without a report.

        Args:
            limits: Torque and torque-rate limits of the joints.
        """
        self._torque = np.array(limits.torque_nm)
        self._rate = np.array(limits.torque_rate_nm_s)
        self._last: tuple[int, FloatArray] | None = None

    def problem(self, stamp_ns: int, torques: FloatArray) -> str:
        """Return what is wrong with a report, empty when nothing is.

        The rate is judged over at least 10 ms, so that the noise of single reports does not count.

        Args:
            stamp_ns: Time of the report (ns).
            torques: (7,) Nm.
        """
        if not np.isfinite(torques).all():
            return "the robot reports torques that are not finite"
        share = np.abs(torques) / self._torque
        joint = int(share.argmax())
        if share[joint] > 1.0:
            return (
                f"torque of joint {joint + 1} is {torques[joint]:.1f} Nm, allowed "
                f"{self._torque[joint]:.1f} Nm"
            )
        last = self._last
        if last is None or stamp_ns < last[0]:
            self._last = (stamp_ns, torques)
            return ""
        elapsed_ns = stamp_ns - last[0]
        if elapsed_ns < _WINDOW_NS:
            return ""
        self._last = (stamp_ns, torques)
        rate = np.abs(torques - last[1]) / (elapsed_ns * 1e-9)
        joint = int((rate / self._rate).argmax())
        if rate[joint] > self._rate[joint]:
            return (
                f"torque of joint {joint + 1} changes by {rate[joint]:.0f} Nm/s, allowed "
                f"{self._rate[joint]:.0f} Nm/s"
            )
        return ""
