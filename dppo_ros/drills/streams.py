# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drills in which messages are lost, spoiled, late, doubled, out of order or hostile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dppo_ros import messages
from dppo_ros.core.observation import ONE_LEG_PARTS, furniture_action_spec
from dppo_ros.drills.injector import (
    Change,
    Frozen,
    OutOfOrder,
    drop,
    duplicate,
    late,
    shift_stamps,
    spoil_numbers,
)
from dppo_ros.drills.outcome import Outcome
from dppo_ros.drills.scene import Scene, Setup
from dppo_ros.messages import RosObject

JOINTS, TOOL, CHUNK = "joint_states", "tool_pose", "policy/chunk"
PART = f"truth/{ONE_LEG_PARTS[-1]}/pose"
BASE = "panda_link0"
CELL = Setup(
    "cell",
    relays={
        JOINTS: ("observation", "command"),
        TOOL: ("observation", "command"),
        PART: ("observation",),
        CHUNK: ("command",),
    },
)
_HOSTILE_PERIOD_S, _HOSTILE_S = 0.05, 3.0
Actions = Callable[[np.random.Generator], NDArray[np.float64]]
_PERIOD_NS = 100_000_000


def _spoil(scene: Scene, topic: str, change: Change | None) -> None:
    scene.relays[topic].change = change


def held(scene: Scene, drill: str, changes: Mapping[str, Change]) -> Outcome:
    """Spoil topics until the robot holds, then let it go on."""

    def make() -> None:
        for topic, change in changes.items():
            _spoil(scene, topic, change)

    def mend() -> None:
        for topic in changes:
            _spoil(scene, topic, None)

    try:
        return scene.fault_that_holds(drill, make, mend)
    finally:
        mend()


def survived(
    scene: Scene, drill: str, changes: Mapping[str, Change], seconds: float, may_hold: bool = False
) -> Outcome:
    """Spoil topics for some seconds."""

    def make() -> None:
        for topic, change in changes.items():
            _spoil(scene, topic, change)

    def mend() -> None:
        for topic in changes:
            _spoil(scene, topic, None)

    try:
        return scene.fault_to_survive(drill, make, mend, seconds, may_hold)
    finally:
        mend()


def joint_states_stall(scene: Scene) -> Outcome:
    """The robot's driver stops reporting joints and tool."""
    return held(scene, "joint state stalls", {JOINTS: drop, TOOL: drop})


def joint_states_frozen(scene: Scene) -> Outcome:
    """Joints are reported with fresh stamps but never change."""
    return survived(
        scene, "joint state constant", {JOINTS: Frozen(), TOOL: Frozen()}, 2.0, may_hold=True
    )


def part_gone_briefly(scene: Scene) -> Outcome:
    """One part is not seen for half a second."""
    return survived(scene, "part pose missing 0.5 s", {PART: drop}, 0.5, may_hold=True)


def part_gone(scene: Scene) -> Outcome:
    """One part is not seen for two seconds."""
    return held(scene, "part pose missing for good, then back", {PART: drop})


def wrong_part(scene: Scene) -> Outcome:
    """One part is reported 0.3 m away from where it is."""
    return survived(scene, "wrong part pose", {PART: spoil_numbers(0.3)}, 2.0, may_hold=True)


def nan_part(scene: Scene) -> Outcome:
    """One part is reported at a place that is not a number."""
    return held(scene, "part pose NaN", {PART: spoil_numbers(math.nan)})


def infinite_joints(scene: Scene) -> Outcome:
    """One joint and the tool are reported at infinity."""
    changes = {JOINTS: spoil_numbers(math.inf), TOOL: spoil_numbers(math.inf)}
    return held(scene, "joint state infinite", changes)


def nan_chunk(scene: Scene) -> Outcome:
    """Chunks hold a number that is none."""
    return held(scene, "chunk NaN", {CHUNK: spoil_numbers(math.nan)})


def infinite_chunk(scene: Scene) -> Outcome:
    """Chunks hold an infinite number."""
    return held(scene, "chunk infinite", {CHUNK: spoil_numbers(math.inf)})


def late_chunks(scene: Scene) -> Outcome:
    """Every chunk arrives a second late, when all of its actions are past."""
    return held(scene, "chunks late by 1 s", {CHUNK: late(1.0)})


def late_observations(scene: Scene) -> Outcome:
    """Joint states and a part pose arrive 0.6 s late."""
    changes = {name: late(0.6) for name in (JOINTS, TOOL, PART)}
    return held(scene, "observations late by 0.6 s", changes)


def duplicates(scene: Scene) -> Outcome:
    """Every message comes three times."""
    changes = {name: duplicate for name in (JOINTS, TOOL, PART, CHUNK)}
    return survived(scene, "every message three times", changes, 2.0)


def disorder(scene: Scene) -> Outcome:
    """Every two neighbouring messages of the robot are swapped."""
    return survived(
        scene, "robot messages out of order", {JOINTS: OutOfOrder(), TOOL: OutOfOrder()}, 2.0,
        may_hold=True,
    )  # fmt: skip


def disordered_chunks(scene: Scene) -> Outcome:
    """Every two neighbouring chunks are swapped."""
    return survived(scene, "chunks out of order", {CHUNK: OutOfOrder()}, 3.0, may_hold=True)


def robot_clock_ahead(scene: Scene) -> Outcome:
    """The robot's clock jumps five seconds ahead and back again."""
    changes = {name: shift_stamps(5.0) for name in (JOINTS, TOOL)}
    return held(scene, "robot stamps jump 5 s ahead and back", changes)


def robot_clock_behind(scene: Scene) -> Outcome:
    """The robot's clock jumps five seconds back and ahead again."""
    changes = {name: shift_stamps(-5.0) for name in (JOINTS, TOOL)}
    return held(scene, "robot stamps jump 5 s back and ahead", changes)


def joint_order(scene: Scene) -> Outcome:
    """Joints are reported in another order, with their names."""
    return survived(scene, "joint order reversed", {JOINTS: _reverse_joints}, 2.0)


def joint_names(scene: Scene) -> Outcome:
    """Joints are reported under names of another robot."""
    return held(scene, "joint names of another robot", {JOINTS: _rename_joints})


def component_order(scene: Scene) -> Outcome:
    """Chunks name their components in another order."""
    return held(scene, "chunk components in another order", {CHUNK: _reverse_components})


def mad_policy(scene: Scene) -> Outcome:
    """The policy's own chunks lead anywhere."""
    return held(scene, "policy sends goals anywhere", {CHUNK: _Replaced(_anywhere)})


def mad_policy_table(scene: Scene) -> Outcome:
    """The policy's own chunks lead step by step through the table."""
    change = {CHUNK: _Replaced(_into_the_table)}
    return survived(scene, "policy sends goals below the table", change, 3.0, may_hold=True)


def hostile_far(scene: Scene) -> Outcome:
    """Another node sends chunks with goals anywhere, twenty times a second."""
    return _hostile(scene, "hostile publisher of chunks, anywhere", _anywhere)


def hostile_table(scene: Scene) -> Outcome:
    """Another node sends chunks that lead through the table."""
    return _hostile(scene, "hostile publisher of chunks, into the table", _into_the_table)


def hostile_future(scene: Scene) -> Outcome:
    """Another node sends chunks stamped an hour ahead, to silence the true ones."""
    return _hostile(scene, "hostile publisher of chunks, an hour ahead", _anywhere, 3600.0)


def _hostile(scene: Scene, drill: str, actions: Actions, ahead_s: float = 0.0) -> Outcome:
    """Send chunks of another node beside those of the policy, then leave and start again."""
    generator = np.random.default_rng(0)
    names = furniture_action_spec().component_names
    intruders = []

    def make() -> None:
        intruder = scene.stage.intruder(CHUNK)
        intruders.append(intruder)
        end = time.monotonic() + _HOSTILE_S
        while time.monotonic() < end:
            stamp_ns = time.time_ns() + messages.seconds_to_ns(ahead_s)
            chunk = messages.encode_chunk(stamp_ns, BASE, names, actions(generator), _PERIOD_NS)
            intruder.send(chunk)
            time.sleep(_HOSTILE_PERIOD_S)

    def mend() -> None:
        while intruders:
            intruders.pop().leave()
        scene.start_again()

    return scene.fault_that_holds(drill, make, mend)


class _Replaced:
    """A change that puts other actions into chunks."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._generator = np.random.default_rng(0)

    def __call__(self, message: RosObject) -> Sequence[tuple[float, RosObject]]:
        rows = self._actions(self._generator)
        for point, row in zip(message.points, rows, strict=False):
            point.positions = row.tolist()
        return ((0.0, message),)


def _anywhere(generator: np.random.Generator) -> NDArray[np.float64]:
    actions = generator.uniform(-1.0, 1.0, (8, 10))
    actions[:, :3] *= 2.0
    return actions


def _into_the_table(generator: np.random.Generator) -> NDArray[np.float64]:
    actions = np.zeros((8, 10))
    actions[:, :3] = (0.55, 0.0, -0.3)
    actions[:, 3], actions[:, 7], actions[:, 9] = 1.0, -1.0, -1.0
    return actions


def _reverse_joints(message: RosObject) -> Sequence[tuple[float, RosObject]]:
    message.name = list(message.name)[::-1]
    message.position = message.position[::-1]
    message.velocity = message.velocity[::-1]
    return ((0.0, message),)


def _rename_joints(message: RosObject) -> Sequence[tuple[float, RosObject]]:
    message.name = [f"other_{name}" for name in message.name]
    return ((0.0, message),)


def _reverse_components(message: RosObject) -> Sequence[tuple[float, RosObject]]:
    message.joint_names = list(message.joint_names)[::-1]
    return ((0.0, message),)
