# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drills in which processes die, are starved of the processor, or find other files or settings."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from dppo_ros.drills.injector import shift_clock, shift_stamps
from dppo_ros.drills.outcome import HOLDS, Outcome
from dppo_ros.drills.scene import HOLD_STATES, Scene, Setup
from dppo_ros.paths import find_bundle
from dppo_ros.topics import TRACKED
from sim_training.bench.load import busy_processes

PLAIN = Setup("plain")
_TRUTH = tuple(f"truth/{part}/pose" for part in TRACKED)
SIMULATED_TIME = Setup(
    "simulated time",
    # Any factor but one puts the twin on a clock of its own, which can then be moved.
    arguments={"real_time_factor": "0.99"},
    relays={
        "clock": ("observation", "policy", "command"),
        "joint_states": ("observation", "command"),
        **dict.fromkeys(_TRUTH, ("observation",)),
    },
)
SIMULATED_TIME_TOPICS = tuple(SIMULATED_TIME.relays)
BEST_EFFORT_JOINTS = Setup(
    "best-effort joints",
    relays={"joint_states": ("observation", "command")},
    qualities={"joint_states": "sensor"},
)
BEST_EFFORT_CHUNKS = Setup(
    "best-effort chunks",
    relays={"policy/chunk": ("command",)},
    qualities={"policy/chunk": "sensor"},
)
_BUSY = 2
_STARVED_S = 8.0
_NO_START_S = 6.0
_JUMP_S = 2.0
_LATE_ENOUGH_NS = 6_000_000_000


def policy_killed(scene: Scene) -> Outcome:
    """The policy process is killed while its chunk is executed; the supervisor restarts it."""
    return scene.fault_that_holds(
        "policy killed (-9)", lambda: scene.graph.kill("policy"), lambda: None
    )


def observation_killed(scene: Scene) -> Outcome:
    """The observation process is killed; the supervisor restarts it."""
    return scene.fault_that_holds(
        "observation killed (-9)", lambda: scene.graph.kill("observation"), lambda: None
    )


def command_killed(scene: Scene) -> Outcome:
    """The command process is killed: nobody commands the robot."""
    return scene.fault_that_ends_commands(
        "command killed (-9)", lambda: scene.graph.kill("command")
    )


def starved(scene: Scene) -> Outcome:
    """Two other processes keep every core busy."""
    with ExitStack() as busy:
        return scene.fault_to_survive(
            f"{_BUSY} busy processes",
            lambda: busy.enter_context(busy_processes(_BUSY)),
            busy.close,
            _STARVED_S,
            may_hold=True,
        )


def clock_ahead(scene: Scene) -> Outcome:
    """The clock of all nodes jumps five seconds ahead and back again."""
    return _clock(scene, "clock jumps 5 s ahead and back", 5.0)


def clock_behind(scene: Scene) -> Outcome:
    """The clock of all nodes jumps five seconds back and ahead again."""
    return _clock(scene, "clock jumps 5 s back and ahead", -5.0)


def clocks_disagree(scene: Scene) -> Outcome:
    """The clock of all nodes jumps five seconds ahead, the stamps of the robot do not."""
    return _clock(scene, "clock 5 s ahead of the robot's stamps", 5.0, ("clock",))


def _clock(
    scene: Scene, drill: str, by_s: float, topics: Sequence[str] = SIMULATED_TIME_TOPICS
) -> Outcome:
    # Simulated time begins at 0 and must not become negative.
    scene.stage.wait(lambda: scene.stage.joints_stamp_ns > _LATE_ENOUGH_NS, 20.0)

    def make() -> None:
        for name in topics:
            scene.relays[name].change = (shift_clock if name == "clock" else shift_stamps)(by_s)

    def mend() -> None:
        for name in topics:
            scene.relays[name].change = None

    return scene.fault_to_survive(drill, make, mend, _JUMP_S, may_hold=True)


def bundle_setup(folder: Path) -> Setup:
    """Return a setup whose bundle is a copy that may be spoiled."""
    copy = folder / "bundle"
    shutil.copytree(find_bundle("one_leg_low"), copy)
    return Setup("own bundle", arguments={"bundle": str(copy)})


def bundle_swapped() -> Outcome:
    """The bundle is overwritten while it is in use, then the policy process dies.

    What runs must go on with what it has loaded; what starts anew must refuse the altered files.
    """
    with tempfile.TemporaryDirectory(prefix="dppo_ros_drill_") as name:
        setup = bundle_setup(Path(name))
        with Scene(setup) as scene:
            model = Path(setup.arguments["bundle"]) / "policy.onnx"

            def swap() -> None:
                data = bytearray(model.read_bytes())
                data[len(data) // 2] ^= 0xFF
                model.write_bytes(bytes(data))

            first = scene.fault_to_survive("bundle altered in use", swap, lambda: None, 2.0)
            if not first.passed:
                return first
            outcome = scene.fault_that_holds(
                "bundle altered in use, policy killed", lambda: scene.graph.kill("policy"), None
            )
            refused = scene.stage.wait(
                lambda: scene.graph.count(r"\[policy\].*refused to configure"), 15.0
            )
            reason = "altered bundle refused" if refused else outcome.reason
            problems = () if refused else ("the altered bundle was not refused",)
            return replace(outcome, reason=reason, problems=(*outcome.problems, *problems))


def joints_unheard() -> Outcome:
    """The robot's driver publishes best effort, which a reliable listener does not hear."""
    return _mismatch("QoS mismatch on joint_states", BEST_EFFORT_JOINTS)


def chunks_unheard() -> Outcome:
    """Chunks are published best effort, which the command node does not hear."""
    return _mismatch("QoS mismatch on policy/chunk", BEST_EFFORT_CHUNKS)


def _mismatch(drill: str, setup: Setup) -> Outcome:
    """Start with the mismatch: either it is no obstacle, or the robot must not move at all."""
    with Scene(setup) as scene:
        begun_ns = time.time_ns()
        stage = scene.stage
        stage.wait(lambda: stage.timeline.moved_after(begun_ns), _NO_START_S)
        monitor, moved = stage.monitor, stage.timeline.moved_after(begun_ns)
        said = scene.graph.count(r"does not offer|offers less|incompatible QoS")
        problems = []
        if not moved and not said:
            problems.append("no process named the mismatch")
        if monitor.broken:
            problems.extend(monitor.examples[:3])
        return Outcome(
            drill=drill,
            did="goes on" if moved else HOLDS if stage.state in HOLD_STATES else "does not start",
            reason="the mismatch is named in the log" if said else "no message lost",
            largest_step_rad=monitor.extremes.step_rad,
            speed_share=monitor.extremes.speed,
            commands=monitor.commands,
            violations=monitor.broken,
            problems=tuple(problems),
        )
