# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Leads the motion from action to action: when one begins, and what it asks of the joints.

An action begins once its own tick was measured. It passes the ``SafetyGate`` for tool goals and
becomes a joint target by the differential IK of training, from the measured joints. What that means
for the state of the command node is decided in ``core.commander``. No rclpy, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from dppo_ros.core.chunk import ChunkSchedule, HoldReason, ScheduledAction
from dppo_ros.core.command_state import CommanderSettings, MeasuredJoints
from dppo_ros.core.errors import DppoError
from dppo_ros.core.gripper import GripperLatch
from dppo_ros.core.inverse_kinematics import differential_ik
from dppo_ros.core.kinematics import tool_state
from dppo_ros.core.measured import is_stale
from dppo_ros.core.motion import Motion
from dppo_ros.core.observation import split_action
from dppo_ros.core.rotations import FloatArray
from dppo_ros.core.safety import SafetyGate


class Outcome(Enum):
    """What a look for the next action led to."""

    NOTHING = auto()
    BEGUN = auto()
    REJECTED = auto()
    SILENCE = auto()
    BLIND = auto()
    CLOCK_BACK = auto()


@dataclass(frozen=True, eq=False)
class BegunAction:
    """An action from the moment on that the setpoints follow it.

    Attributes:
        action: The action as it was scheduled.
        interventions: What the gate for tool goals changed in it.
        goal: Its tool goal, position (3,) m and base_from_tool (3, 3).
    """

    action: ScheduledAction
    interventions: tuple[str, ...]
    goal: tuple[FloatArray, FloatArray]


class ActionFollower:
    """Decides which action is due and gives its joint target to the motion.

    Attributes:
        schedule: Takes the chunks.
        gate: Judges tool goals.
        gripper: What the gripper shall do.
        begun: The action that the last look has begun, if any.
        rejection: Why the last action was rejected.
    """

    def __init__(
        self,
        schedule: ChunkSchedule,
        gate: SafetyGate,
        motion: Motion,
        settings: CommanderSettings,
    ) -> None:
        """Start without chunks.

        Args:
            schedule: Decides which action is due.
            gate: Judges tool goals.
            motion: Follows joint targets.
            settings: Timing.
        """
        self.schedule, self.gate = schedule, gate
        self._motion, self._settings = motion, settings
        self.gripper = GripperLatch(settings.gripper_toggle_ns)
        self.begun: BegunAction | None = None
        self.rejection = ""
        self._pending: ScheduledAction | None = None
        self._last: ScheduledAction | None = None

    def forget(self) -> None:
        """Trust no chunk and no goal from before; the gripper stays as it is."""
        self.schedule.reset()
        self.gate.reset()
        self.begun = self._pending = self._last = None

    def must_wait(self, now_ns: int) -> bool:
        """Return whether an action is missing for this instant."""
        return self._last is None or now_ns >= self._last.valid_until_ns

    def look(self, now_ns: int, measured: MeasuredJoints | None, may_begin: bool) -> Outcome:
        """Begin the action whose time has come, once its tick was measured.

        Args:
            now_ns: Time of the cycle.
            measured: The newest measured joints.
            may_begin: Whether actions may be executed now; those that are due pass otherwise.
        """
        self.begun = None
        due = self.schedule.due(now_ns)
        if isinstance(due, ScheduledAction):
            self._pending = due
        elif due.reason is HoldReason.CLOCK_BACKWARDS:
            return Outcome.CLOCK_BACK
        if measured is None or is_stale(measured, now_ns, self._settings.max_measured_age_ns):
            return Outcome.BLIND
        pending = self._pending
        if pending is None:
            return Outcome.SILENCE if self._is_silent(now_ns) else Outcome.NOTHING
        if (
            measured.stamp_ns < pending.valid_from_ns
            and now_ns < pending.valid_from_ns + self._settings.measured_wait_ns
        ):
            return Outcome.NOTHING
        self._pending = None
        return self._begin(pending, measured, now_ns) if may_begin else Outcome.NOTHING

    def _is_silent(self, now_ns: int) -> bool:
        last = self._last
        return last is not None and now_ns > last.valid_until_ns + self._settings.silence_timeout_ns

    def _begin(self, action: ScheduledAction, measured: MeasuredJoints, now_ns: int) -> Outcome:
        try:
            position, matrix, gripper = split_action(action.action)
            tool, base_from_tool, jacobian = tool_state(measured.position)
            verdict = self.gate.check(
                position, matrix, float(gripper), tool, base_from_tool,
                observation_stamp_ns=action.stamp_ns, now_ns=now_ns,
            )  # fmt: skip
        except DppoError as error:
            self.rejection = str(error)
            return Outcome.REJECTED
        if not verdict.accepted:
            self.rejection = f"gate rejected: {', '.join(verdict.interventions)}"
            return Outcome.REJECTED
        goal = (verdict.position, verdict.base_from_tool)
        step = differential_ik(
            jacobian[None], tool[None], base_from_tool[None], goal[0][None], goal[1][None]
        )[0]
        self._motion.follow(measured.position + step)
        self.gripper.update(verdict.gripper, now_ns)
        self._last = action
        self.begun = BegunAction(action, verdict.interventions, goal)
        return Outcome.BEGUN
