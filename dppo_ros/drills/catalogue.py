# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every drill by name, with the graph that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dppo_ros.core.errors import ConfigError, DppoError, unknown_name_message
from dppo_ros.drills import cameras, processes, streams
from dppo_ros.drills.outcome import Outcome
from dppo_ros.drills.scene import Scene, Setup


@dataclass(frozen=True)
class Drill:
    """One drill.

    Attributes:
        name: Name on the command line.
        function: Makes the fault and returns what came of it.
        setup: The graph it needs; drills of one setup share a graph, in the order of the table.
            None where it brings its own.
        fatal: Whether the graph cannot go on after it.
        by_hand: Whether it is only performed when it is named: it takes long.
    """

    name: str
    function: Callable[..., Outcome]
    setup: Setup | None
    fatal: bool = False
    by_hand: bool = False


DRILLS: tuple[Drill, ...] = (
    Drill("joint-states-stall", streams.joint_states_stall, streams.CELL),
    Drill("joint-states-constant", streams.joint_states_frozen, streams.CELL),
    Drill("part-missing-briefly", streams.part_gone_briefly, streams.CELL),
    Drill("part-missing", streams.part_gone, streams.CELL),
    Drill("wrong-part-pose", streams.wrong_part, streams.CELL),
    Drill("nan-part", streams.nan_part, streams.CELL),
    Drill("infinite-joints", streams.infinite_joints, streams.CELL),
    Drill("nan-chunk", streams.nan_chunk, streams.CELL),
    Drill("infinite-chunk", streams.infinite_chunk, streams.CELL),
    Drill("late-chunks", streams.late_chunks, streams.CELL),
    Drill("late-observations", streams.late_observations, streams.CELL),
    Drill("duplicates", streams.duplicates, streams.CELL),
    Drill("out-of-order", streams.disorder, streams.CELL),
    Drill("chunks-out-of-order", streams.disordered_chunks, streams.CELL),
    Drill("robot-clock-ahead", streams.robot_clock_ahead, streams.CELL),
    Drill("robot-clock-behind", streams.robot_clock_behind, streams.CELL),
    Drill("joint-order", streams.joint_order, streams.CELL),
    Drill("joint-names", streams.joint_names, streams.CELL),
    Drill("component-order", streams.component_order, streams.CELL),
    Drill("mad-policy", streams.mad_policy, streams.CELL),
    Drill("mad-policy-table", streams.mad_policy_table, streams.CELL),
    Drill("hostile-anywhere", streams.hostile_far, streams.CELL),
    Drill("hostile-table", streams.hostile_table, streams.CELL),
    Drill("hostile-future", streams.hostile_future, streams.CELL),
    Drill("cpu-starved", processes.starved, processes.PLAIN),
    Drill("policy-killed", processes.policy_killed, processes.PLAIN),
    Drill("observation-killed", processes.observation_killed, processes.PLAIN),
    Drill("command-killed", processes.command_killed, processes.PLAIN),
    Drill("clock-ahead", processes.clock_ahead, processes.SIMULATED_TIME),
    Drill("clock-behind", processes.clock_behind, processes.SIMULATED_TIME),
    Drill("clocks-disagree", processes.clocks_disagree, processes.SIMULATED_TIME),
    Drill("bundle-swapped", processes.bundle_swapped, None),
    Drill("qos-joint-states", processes.joints_unheard, None),
    Drill("qos-chunk", processes.chunks_unheard, None),
    Drill("cameras-unplugged", cameras.all_cameras_lost, cameras.CAMERAS, by_hand=True),
    Drill("one-camera-unplugged", cameras.one_camera_lost, cameras.CAMERAS, by_hand=True),
    Drill("tags-covered-briefly", cameras.tags_covered_briefly, cameras.CAMERAS, by_hand=True),
    Drill("tags-covered-longer", cameras.tags_covered_longer, cameras.CAMERAS, by_hand=True),
    Drill("tags-covered", cameras.tags_covered, cameras.CAMERAS, by_hand=True),
    Drill("part-covered", cameras.part_covered, cameras.CAMERAS, by_hand=True),
    Drill("forged-briefly", cameras.forged_briefly, cameras.CAMERAS, by_hand=True),
    Drill("forged-tags", cameras.forged_tags, cameras.CAMERAS, by_hand=True),
)
"""Every drill, those of one setup next to each other."""


_GROUPS = ("all", "everything")


def chosen(names: Sequence[str]) -> list[Drill]:
    """Return the drills of these names.

    ``all`` stands for those that are not done by hand, ``everything`` for all of them.

    Raises:
        ConfigError: There is no such drill.
    """
    known = {drill.name: drill for drill in DRILLS}
    for name in names:
        if name not in (*_GROUPS, *known):
            raise ConfigError(unknown_name_message("drill", name, (*known, *_GROUPS)))
    return [
        drill
        for drill in DRILLS
        if drill.name in names or "everything" in names or ("all" in names and not drill.by_hand)
    ]


def perform(drills: Sequence[Drill]) -> Iterator[Outcome]:
    """Perform drills one after the other; those with the same setup share a graph.

    A drill that cannot be performed is an outcome with a problem, never a silent gap.
    """
    scene: Scene | None = None
    try:
        for drill in drills:
            if scene is not None and (drill.setup is not scene.setup):
                scene.__exit__(None, None, None)
                scene = None
            try:
                if drill.setup is None:
                    outcome = drill.function()
                else:
                    if scene is None:
                        scene = Scene(drill.setup).__enter__()
                    outcome = drill.function(scene)
            except DppoError as error:
                outcome = Outcome(drill.name, "not performed", problems=(str(error),))
            yield outcome
            if scene is not None and (drill.fatal or not outcome.passed):
                scene.__exit__(None, None, None)
                scene = None
    finally:
        if scene is not None:
            scene.__exit__(None, None, None)
