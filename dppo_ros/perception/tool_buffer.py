# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joint states of the last seconds -> tool and fingers at the time of a picture."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import ArrayLike

from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.observation import tag_pose_from_base
from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.grasp import ToolState
from dppo_ros.perception.rigid import Rigid

_KEPT_NS = 2_000_000_000
_MAX_GAP_NS = 100_000_000
_MAX_WIDTH_AGE_NS = 200_000_000


class ToolBuffer:
    """Arm joints and gripper openings by time; drivers may send them together or apart."""

    def __init__(self) -> None:
        """Start empty."""
        self._arm: deque[tuple[int, FloatArray]] = deque()
        self._widths: deque[tuple[int, float]] = deque()

    def reset(self) -> None:
        """Forget everything."""
        self._arm.clear()
        self._widths.clear()

    @property
    def empty(self) -> bool:
        """Return whether no arm joints are known."""
        return not self._arm

    def add_arm(self, stamp_ns: int, joints: ArrayLike) -> None:
        """Take the seven joint positions (rad) of a time."""
        if self._arm and stamp_ns <= self._arm[-1][0] - _KEPT_NS:
            self.reset()  # the clock was set back
        if not self._arm or stamp_ns > self._arm[-1][0]:
            self._arm.append((stamp_ns, np.array(joints, dtype=np.float64)))
            while self._arm[0][0] < stamp_ns - _KEPT_NS:
                self._arm.popleft()

    def add_width(self, stamp_ns: int, width_m: float) -> None:
        """Take the gripper opening (m) of a time."""
        if not self._widths or stamp_ns > self._widths[-1][0]:
            self._widths.append((stamp_ns, width_m))
            while self._widths[0][0] < stamp_ns - _KEPT_NS:
                self._widths.popleft()

    def covers(self, stamp_ns: int) -> bool:
        """Return whether joints of this time or a later one are there."""
        return bool(self._arm) and self._arm[-1][0] >= stamp_ns

    def at(self, stamp_ns: int) -> ToolState | None:
        """Return tool and fingers at a time, None when the samples around it are too far off."""
        joints = self._joints_at(stamp_ns)
        widths = [w for then_ns, w in list(self._widths)
                  if stamp_ns - _MAX_WIDTH_AGE_NS <= then_ns <= stamp_ns]  # fmt: skip
        if joints is None or not widths:
            return None
        position, rotation = tool_pose(joints)
        return ToolState(Rigid.from_pose(tag_pose_from_base(position, rotation)), widths[-1])

    def _joints_at(self, stamp_ns: int) -> FloatArray | None:
        samples = list(self._arm)
        before = next((s for s in reversed(samples) if s[0] <= stamp_ns), None)
        after = next((s for s in samples if s[0] >= stamp_ns), None)
        if before is None:
            return None
        if after is None:
            return before[1] if stamp_ns - before[0] <= _MAX_GAP_NS else None
        gap = after[0] - before[0]
        if gap > _MAX_GAP_NS:
            return None
        share = (stamp_ns - before[0]) / gap if gap else 0.0
        return np.asarray(before[1] + share * (after[1] - before[1]))
