# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One part over time: smoothing, outliers, occlusion.

* A measurement that the part could not have reached at its largest speed is an outlier. It is
  believed after ``jump_frames`` of them in a row agree with each other.
* At rest measurements are averaged (a Kalman filter of a constant pose with a little drift). One
  that deviates significantly is taken as it is, so a moving part has no lag.
* Unseen, the part keeps its pose, or moves with the tool that holds it, for a declared time; its
  covariance grows. After that it is lost, and nothing is reported.

Decisions depend on the sequence of measurements and stamps only, never on a clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from dppo_ros.core.rotations import FloatArray, matrix_from_rotation_vector
from dppo_ros.perception.grasp import Grasp, GraspOptions, ToolState
from dppo_ros.perception.pose_fit import PoseFit, Refusal
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.track import State, Track, TrackerOptions

_NS_PER_S = 1e9
# 99.9 % of a chi-square variable of six degrees of freedom.
_SIGNIFICANT_CHI2 = 22.5
# An unseen part may have been moved; beyond this time its reach is not allowed to grow.
_MAX_REACH_S = 0.2
# Growth of the standard deviations of shift (m/s) and turn (rad/s).
_GROWTH_MOVING = (0.05, 0.5)
_GROWTH_REST = (0.001, 0.01)
_GROWTH_FOLLOWED = (0.003, 0.03)


@dataclass(frozen=True, eq=False)
class _Belief:
    """The pose in which a tracker believes."""

    pose: Rigid
    covariance: FloatArray
    seen_ns: int
    stamp_ns: int
    followed: bool = False


class PartTracker:
    """Follows one part through the measurements of successive pictures."""

    def __init__(
        self,
        options: TrackerOptions,
        grasp_box_m: FloatArray | None = None,
        grasp_options: GraspOptions | None = None,
    ) -> None:
        """Start without knowing where the part is.

        Args:
            options: How far to trust.
            grasp_box_m: (2, 3) box of the part for grasps; None for one that is never grasped.
            grasp_options: When a part is in the gripper.
        """
        self._options = options
        self._grasp = Grasp(
            grasp_box_m if options.follow_tool else None, grasp_options or GraspOptions()
        )
        self._belief: _Belief | None = None
        self._recent: deque[tuple[int, Rigid]] = deque()
        self._outliers: list[tuple[int, PoseFit]] = []
        self.jumps = 0
        self.outliers = 0

    def reset(self) -> None:
        """Forget where the part is, as after a restart of the clock."""
        self._belief = None
        self._recent.clear()
        self._outliers.clear()

    def prior(self, stamp_ns: int, tool: ToolState | None) -> Rigid | None:
        """Return where the part should be seen at a time, None without an idea."""
        if self._belief is None or self._expired(self._belief, stamp_ns):
            return None
        return self._grasp.hidden(self._belief.pose, tool) or self._belief.pose

    def update(
        self, stamp_ns: int, measurement: PoseFit | Refusal, tool: ToolState | None = None
    ) -> Track:
        """Take what the pictures of one time say, and return what is known then.

        Args:
            stamp_ns: Time of the pictures (ns), later than that of the call before.
            measurement: Fitted pose, or why there is none.
            tool: Tool and fingers at that time; without them nothing follows the tool.
        """
        if isinstance(measurement, Refusal):
            return self._unseen(stamp_ns, tool, measurement.value, None, measurement)
        belief = self._belief
        if belief is not None and self._expired(belief, stamp_ns):
            belief = None
        if belief is not None and self._is_outlier(belief.pose, belief.stamp_ns, stamp_ns,
                                                   measurement.frame_from_carrier):  # fmt: skip
            followed = self._grasp.hidden(belief.pose, tool)
            if followed is None or self._is_outlier(
                followed, stamp_ns, stamp_ns, measurement.frame_from_carrier
            ):
                self.outliers += 1
                if not self._confirmed(stamp_ns, measurement):
                    return self._unseen(stamp_ns, tool, "jump not confirmed yet", measurement)
                self.jumps += 1
                belief = None
        self._outliers.clear()
        self._belief = self._merge(belief, stamp_ns, measurement)
        self._remember(stamp_ns, self._belief.pose)
        self._grasp.seen(self._belief.pose, tool)
        return self._report(State.FRESH, "", stamp_ns, measurement)

    def _merge(self, belief: _Belief | None, stamp_ns: int, fit: PoseFit) -> _Belief:
        """Average with what was believed, unless the part has moved."""
        new = _Belief(fit.frame_from_carrier, fit.covariance, stamp_ns, stamp_ns)
        if belief is None or belief.followed:
            return new
        innovation = belief.pose.difference(fit.frame_from_carrier)
        predicted = self._grown(belief, stamp_ns, (self._options.drift_m, self._options.drift_rad))
        total = predicted + fit.covariance
        if float(innovation @ np.linalg.solve(total, innovation)) > _SIGNIFICANT_CHI2:
            return new
        gain = np.linalg.solve(total, predicted).T
        step = gain @ innovation
        pose = Rigid(
            matrix_from_rotation_vector(step[3:]) @ belief.pose.rotation,
            belief.pose.position + step[:3],
        )
        remaining = (np.eye(6) - gain) @ predicted
        return replace(new, pose=pose, covariance=(remaining + remaining.T) / 2.0)

    def _unseen(
        self,
        stamp_ns: int,
        tool: ToolState | None,
        reason: str,
        fit: PoseFit | None,
        refusal: Refusal | None = None,
    ) -> Track:
        belief = self._belief
        if fit is None:
            self._outliers.clear()
        if belief is None:
            state = State.AMBIGUOUS if refusal is Refusal.AMBIGUOUS else State.LOST
            return Track(state, reason, float("inf"), fit=fit)
        followed = self._grasp.hidden(belief.pose, tool)
        if followed is not None:
            self._remember(stamp_ns, followed)
            belief = replace(
                belief,
                pose=followed,
                covariance=self._grown(belief, stamp_ns, _GROWTH_FOLLOWED),
                stamp_ns=stamp_ns,
                followed=True,
            )
            self._belief = belief
        if self._expired(belief, stamp_ns):
            age_s = (stamp_ns - belief.seen_ns) / _NS_PER_S
            return Track(State.LOST, f"{reason} for {age_s:.2f} s", age_s, fit=fit)
        return self._report(State.HELD, reason, stamp_ns, fit)

    def _report(self, state: State, reason: str, stamp_ns: int, fit: PoseFit | None) -> Track:
        belief = self._belief
        if belief is None:
            return Track(State.LOST, reason, float("inf"), fit=fit)
        rates = _GROWTH_MOVING if self._is_moving() and not belief.followed else _GROWTH_REST
        covariance = self._grown(belief, stamp_ns, rates)
        floor = np.repeat([self._options.floor_m, self._options.floor_rad], 3)
        age_s = (stamp_ns - belief.seen_ns) / _NS_PER_S
        if belief.followed and state is State.HELD:
            reason = f"{reason}; moves with the tool"
        return Track(state, reason, age_s, belief.pose, covariance + np.diag(np.square(floor)), fit)

    @staticmethod
    def _grown(belief: _Belief, stamp_ns: int, rates: tuple[float, float]) -> FloatArray:
        """Covariance after the time since the belief, at rates (m/s, rad/s)."""
        elapsed_s = (stamp_ns - belief.stamp_ns) / _NS_PER_S
        growth = np.repeat(np.array(rates) * elapsed_s, 3)
        return np.asarray(belief.covariance + np.diag(np.square(growth)))

    def _expired(self, belief: _Belief, stamp_ns: int) -> bool:
        options = self._options
        unseen_s = (stamp_ns - belief.seen_ns) / _NS_PER_S
        if belief.followed and self._grasp.holds:
            return unseen_s > options.follow_s
        if belief.followed:  # let go of: it has been at rest since then
            return (stamp_ns - belief.stamp_ns) / _NS_PER_S > options.hold_rest_s
        return unseen_s > (options.hold_moving_s if self._is_moving() else options.hold_rest_s)

    def _is_outlier(self, pose: Rigid, then_ns: int, now_ns: int, measured: Rigid) -> bool:
        elapsed_s = min((now_ns - then_ns) / _NS_PER_S, _MAX_REACH_S)
        options = self._options
        difference = pose.difference(measured)
        far = np.linalg.norm(difference[:3]) > options.slack_m + options.max_speed_mps * elapsed_s
        turned = np.linalg.norm(difference[3:])
        return bool(far or turned > options.slack_rad + options.max_turn_radps * elapsed_s)

    def _confirmed(self, stamp_ns: int, fit: PoseFit) -> bool:
        """Whether enough outliers in a row agree with each other."""
        if self._outliers:
            then_ns, last = self._outliers[-1]
            if self._is_outlier(last.frame_from_carrier, then_ns, stamp_ns, fit.frame_from_carrier):
                self._outliers.clear()
        self._outliers.append((stamp_ns, fit))
        return len(self._outliers) >= self._options.jump_frames

    def _remember(self, stamp_ns: int, pose: Rigid) -> None:
        self._recent.append((stamp_ns, pose))
        while self._recent[0][0] < stamp_ns - 0.5 * _NS_PER_S:
            self._recent.popleft()

    def _is_moving(self) -> bool:
        """Whether the part moved in the last half second in which it was known."""
        if len(self._recent) < 2:
            return False
        newest = self._recent[-1][1]
        options = self._options
        differences = np.array([newest.difference(pose) for _, pose in self._recent])
        shift = np.linalg.norm(differences[:, :3], axis=1).max()
        turn = np.linalg.norm(differences[:, 3:], axis=1).max()
        return bool(shift > options.moving_m or turn > options.moving_rad)
