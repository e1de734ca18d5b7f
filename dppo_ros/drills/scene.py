# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A graph on the twin with a stage beside it, and the course that most drills follow.

The robot runs; the fault is made; the robot has to hold, or to go on, as the drill says; the fault
ends; the robot has to move again. All the while every command is judged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

from dppo_ros.bench.measurement import NEVER_ENDS
from dppo_ros.bench.running import RunningGraph, isolate
from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.drills.injector import Relay, remappings
from dppo_ros.drills.monitor import Extremes
from dppo_ros.drills.outcome import GOES_ON, HOLDS, STOPS, Outcome
from dppo_ros.drills.stage import Stage

RUNNING = ("running",)
HOLD_STATES = ("holding", "fault", "estop", "recovering", "stopped")
_REACT_S = 6.0
_RECOVER_S = 20.0
_START_S = 30.0
_CONFIRM_S = 0.4


@dataclass(frozen=True, eq=False)
class Setup:
    """How the graph of a drill is started; drills with the same setup can share one graph.

    Attributes:
        name: Name of the setup.
        arguments: Launch arguments on top of those that keep the twin going.
        relays: Topics to stand in between, with the nodes that then listen to the repetition.
        qualities: Other qualities of service for repeated topics.
        parameters: Parameter values by node.
    """

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    relays: Mapping[str, Sequence[str]] = field(default_factory=dict)
    qualities: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


class Scene:
    """One graph and the stage beside it, for the length of a ``with`` block."""

    def __init__(self, setup: Setup) -> None:
        """Prepare; entering starts the graph.

        Args:
            setup: How the graph is started.
        """
        isolate()
        self.setup = setup
        self.stage = Stage()
        self.relays: dict[str, Relay] = {
            name: self.stage.relay(name, setup.qualities.get(name)) for name in setup.relays
        }
        nodes = {node for listeners in setup.relays.values() for node in listeners}
        self._remappings = {
            node: remappings(
                [name for name, listeners in setup.relays.items() if node in listeners]
            )
            for node in nodes
        }
        self.graph: RunningGraph
        self._resets = 0

    def __enter__(self) -> Scene:
        """Bring the graph up."""
        self.stage.__enter__()
        arguments = {**NEVER_ENDS, "log_level": "info", **self.setup.arguments}
        self.graph = RunningGraph(arguments, self.setup.parameters, self._remappings)
        try:
            self.graph.until_ready()
        except EnvironmentUnavailableError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take everything down."""
        self.graph.stop()
        self.stage.__exit__(kind, error, trace)

    def until_moving(self) -> None:
        """Wait until the robot runs and is commanded to move, in a new episode where one ended.

        Raises:
            EnvironmentUnavailableError: It does not.
        """
        stage = self.stage
        if stage.task.get("message", "running") != "running":
            self._resets += 1
            stage.new_episode(self._resets)
        begun_ns = time.time_ns()

        def moving() -> bool:
            return stage.state in RUNNING and stage.timeline.moved_after(begun_ns)

        if not stage.wait(moving, _START_S):
            raise EnvironmentUnavailableError(
                f"the robot does not run before the drill: state {stage.state!r}, "
                f"{stage.status.get('reason', '')!r}; the graph said:\n  "
                + "\n  ".join(self.graph.lines[-15:])
            )

    def begin(self) -> None:
        """Wait for motion, then count commands and extremes from zero."""
        self.until_moving()
        monitor = self.stage.monitor
        monitor.extremes = Extremes()
        monitor.violations.clear()
        monitor.examples.clear()
        monitor.commands = 0

    def start_again(self) -> None:
        """Start the robot as an operator does, until it runs or the patience is over.

        What made it hold may be known to the graph for a moment longer than it lasts.
        """
        stage, deadline = self.stage, time.monotonic() + _RECOVER_S
        while stage.state not in RUNNING and time.monotonic() < deadline:
            stage.resume()
            stage.wait(lambda: stage.state in RUNNING, 1.0)

    def fault_that_holds(
        self,
        drill: str,
        make: Callable[[], object],
        mend: Callable[[], object] | None,
        react_s: float = _REACT_S,
        recover_s: float = _RECOVER_S,
    ) -> Outcome:
        """Make a fault that the robot has to hold on, mend it, and wait for motion.

        Args:
            drill: Name of the drill.
            make: Makes the fault.
            mend: Ends it; None where it cannot be mended.
            react_s: Longest time to the hold (s).
            recover_s: Longest time from the end of the fault to motion (s).
        """
        self.begin()
        stage, timeline = self.stage, self.stage.timeline
        fault_ns = time.time_ns()
        make()
        problems = []
        held = stage.wait(lambda: timeline.state_after_ms(fault_ns, HOLD_STATES), react_s)
        if not held:
            problems.append(f"no hold within {react_s:g} s")
        stage.wait(lambda: timeline.rests(fault_ns, time.time_ns(), _CONFIRM_S), react_s)
        fault_ns = self._first_touch(fault_ns)
        outcome = self._measured(drill, HOLDS if held else GOES_ON, fault_ns, lasting=True)
        if math.isnan(outcome.command_rest_ms) and math.isnan(outcome.robot_rest_ms):
            problems.append("neither commands nor the robot came to rest")
        if mend is not None:
            mended_ns = time.time_ns()
            mend()
            back = stage.wait(
                lambda: stage.state in RUNNING and timeline.moved_after(mended_ns), recover_s
            )
            moment = timeline.state_after_ms(mended_ns, RUNNING)
            if back and moment is not None:
                outcome = replace(outcome, recovered_ms=moment[0])
            elif not back:
                problems.append(f"not moving again within {recover_s:g} s")
        return self._judged(outcome, problems)

    def fault_to_survive(
        self,
        drill: str,
        make: Callable[[], object],
        mend: Callable[[], object],
        seconds: float,
        may_hold: bool = False,
    ) -> Outcome:
        """Make a fault that must not make the robot unsafe and, unless allowed, not stop it.

        Args:
            drill: Name of the drill.
            make: Makes the fault.
            mend: Ends it.
            seconds: How long the fault lasts (s).
            may_hold: Whether holding is an acceptable answer.
        """
        self.begin()
        stage, timeline = self.stage, self.stage.timeline
        fault_ns = time.time_ns()
        make()
        time.sleep(seconds)
        held = timeline.state_after_ms(fault_ns, HOLD_STATES) is not None
        fault_ns = self._first_touch(fault_ns)
        outcome = self._measured(drill, HOLDS if held else GOES_ON, fault_ns)
        problems = [f"held: {outcome.reason}"] if held and not may_hold else []
        mended_ns = time.time_ns()
        mend()
        if not stage.wait(
            lambda: stage.state in RUNNING and timeline.moved_after(mended_ns), _RECOVER_S
        ):
            problems.append(f"not moving {_RECOVER_S:g} s after the fault")
        moment = timeline.state_after_ms(mended_ns, RUNNING)
        if held and moment is not None:
            outcome = replace(outcome, recovered_ms=moment[0])
        return self._judged(outcome, problems)

    def fault_that_ends_commands(self, drill: str, make: Callable[[], object]) -> Outcome:
        """Make a fault after which nobody commands the robot, until a process is back.

        The robot has to come to rest; how long after the fault it moves again is told as well.
        """
        self.begin()
        stage, timeline = self.stage, self.stage.timeline
        fault_ns = time.time_ns()
        make()
        rested = stage.wait(lambda: timeline.robot_rest_ms(fault_ns) is not None, _REACT_S)
        outcome = self._measured(drill, STOPS, fault_ns)
        problems = [] if rested else [f"robot not at rest within {_REACT_S:g} s"]
        stage.wait(lambda: timeline.state_after_ms(fault_ns, RUNNING), _RECOVER_S)
        moment = timeline.state_after_ms(fault_ns, RUNNING)
        if moment is None:
            problems.append(f"not running again within {_RECOVER_S:g} s")
        else:
            outcome = replace(outcome, recovered_ms=moment[0])
        return self._judged(outcome, problems)

    def _first_touch(self, fault_ns: int) -> int:
        """Return when the first message was touched: a spoiled topic may be silent for a while."""
        touched = [relay.changed_ns for relay in self.relays.values() if relay.changed_ns]
        return max(fault_ns, min(touched, default=fault_ns))

    def _measured(self, drill: str, did: str, fault_ns: int, lasting: bool = False) -> Outcome:
        """Return what was seen so far.

        Args:
            drill: Name of the drill.
            did: What the robot did.
            fault_ns: When the fault was made.
            lasting: Tell of the hold that goes on, where there is one, not of the first.
        """
        timeline = self.stage.timeline
        hold = timeline.state_after_ms(fault_ns, HOLD_STATES)
        command, robot = timeline.command_rest_ms(fault_ns), timeline.robot_rest_ms(fault_ns)
        if lasting:
            hold = timeline.lasting_state_ms(fault_ns, HOLD_STATES) or hold
            command = timeline.command_rest_ms(fault_ns, lasting=True) or command
            robot = timeline.robot_rest_ms(fault_ns, lasting=True) or robot
        held = did != GOES_ON
        return Outcome(
            drill=drill,
            did=did,
            reason=hold[1] if hold else "",
            state_ms=hold[0] if hold else math.nan,
            command_rest_ms=command if held and command is not None else math.nan,
            robot_rest_ms=robot if held and robot is not None else math.nan,
        )

    def _judged(self, outcome: Outcome, problems: Sequence[str]) -> Outcome:
        """Return the outcome with what the monitor has counted since the drill began."""
        monitor = self.stage.monitor
        broken = monitor.broken
        found = [*problems, *(monitor.examples[:3] if broken else ())]
        return replace(
            outcome,
            largest_step_rad=monitor.extremes.step_rad,
            speed_share=monitor.extremes.speed,
            commands=monitor.commands,
            violations=broken,
            problems=tuple(found),
        )
