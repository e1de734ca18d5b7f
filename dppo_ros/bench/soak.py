# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole graph for a long time: episodes follow each other, and everything is counted.

Memory of every process, chunks that did not come, commands that an independent judge calls
unsafe, processes that died.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dppo_ros.bench.measurement import NEVER_ENDS
from dppo_ros.bench.memory import MemoryRecord, resident_kb
from dppo_ros.bench.running import RunningGraph, isolate
from dppo_ros.bench.table import Row
from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.drills.stage import Stage

GOAL_GROWTH_PERCENT = 1.0
SETTLE_SHARE, SETTLE_MOST_S = 0.2, 300.0
"""Share of the time, and longest time (s), in which memory may still settle."""
_SAMPLE_S = 5.0
_POLL_S = 0.1
_RESET_GRACE_S = 3.0


@dataclass
class Soak:
    """What was counted.

    Attributes:
        episodes: How often an episode ended, by outcome.
        faults: How often the command node went into its fault state, by reason.
        resets_ns: Wall times of the resets (ns).
        memory: Samples by process.
        seconds: How long it ran (s).
    """

    episodes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    resets_ns: list[int] = field(default_factory=list)
    memory: dict[str, MemoryRecord] = field(default_factory=dict)
    seconds: float = 0.0


def missed_chunks(stamps_ns: Sequence[int], resets_ns: Sequence[int], grace_s: float) -> int:
    """Return how many chunks are missing between the first and the last.

    Chunks come at a steady beat, the most frequent distance between two; each further beat inside
    a gap is a missed chunk. A gap in which the episode was reset is not judged.

    Args:
        stamps_ns: Stamps of the chunks, ascending but for resets.
        resets_ns: Times of the resets on the same clock.
        grace_s: How long after a reset a gap may still be its consequence (s).
    """
    stamps = np.asarray(stamps_ns, dtype=np.int64)
    gaps = np.diff(stamps)
    if not gaps.size:
        return 0
    values, counts = np.unique(np.round(gaps[gaps > 0] / 1e6), return_counts=True)
    beat_ns = float(values[counts.argmax()]) * 1e6
    missed = 0
    for start, gap in zip(stamps[:-1].tolist(), gaps.tolist(), strict=True):
        by_reset = any(start - grace_s * 1e9 <= reset <= start + gap for reset in resets_ns)
        if gap > 0 and not by_reset:
            missed += max(round(gap / beat_ns) - 1, 0)
    return missed


def run_soak(
    minutes: float, arguments: Mapping[str, str], tell: Callable[[str], None]
) -> tuple[Soak, Stage, RunningGraph]:
    """Run the graph for so long and return what was counted.

    Args:
        minutes: How long (min).
        arguments: Launch arguments on top of the usual ones.
        tell: Receives a line about the progress now and then.

    Raises:
        EnvironmentUnavailableError: The graph did not come up, or ended before its time.
    """
    isolate()
    soak = Soak()
    given = {**NEVER_ENDS, "max_episode_steps": "700", **arguments}
    with Stage() as stage, RunningGraph(given) as graph:
        graph.until_ready()
        begun = time.monotonic()
        told = sampled = 0.0
        while (now := time.monotonic() - begun) < minutes * 60.0:
            if graph.process.poll() is not None:
                raise EnvironmentUnavailableError(
                    f"the graph ended after {now:.0f} s; its last words:\n  "
                    + "\n  ".join(graph.lines[-25:])
                )
            _follow_episodes(soak, stage)
            if stage.state == "fault":
                soak.faults[stage.status.get("reason", "")] += 1
                tell(f"{now / 60.0:.1f} min: fault: {stage.status.get('reason', '')}")
                stage.resume()
            if now >= sampled:
                sampled += _SAMPLE_S
                _sample(soak, graph, now)
                stage.timeline.forget_before(time.time_ns() - 10_000_000_000)
            if now >= told:
                told += 60.0
                tell(f"{now / 60.0:.0f} min: {_in_short(soak, stage, graph)}")
            time.sleep(_POLL_S)
        soak.seconds = time.monotonic() - begun
    return soak, stage, graph


def counters(soak: Soak, stage: Stage, graph: RunningGraph) -> list[Row]:
    """Return what happened as rows of a name and a value."""
    monitor = stage.monitor
    first_reset = soak.resets_ns
    holds = Counter(reason for _, state, reason in stage.timeline.states if state == "holding")
    values: dict[str, str | int | float] = {
        "minutes": soak.seconds / 60.0,
        "episodes ended": sum(soak.episodes.values()),
        "  of them assembled": soak.episodes["succeeded"],
        "chunks": len(stage.chunk_stamps_ns),
        "missed chunks": missed_chunks(stage.chunk_stamps_ns, first_reset, _RESET_GRACE_S),
        "holds": sum(holds.values()),
        **{f"  {reason or 'no reason given'}": count for reason, count in sorted(holds.items())},
        "faults": sum(soak.faults.values()),
        **{f"  {reason}": count for reason, count in sorted(soak.faults.items())},
        "commands judged": monitor.commands,
        "commands while the twin was reset": monitor.unjudged,
        "unsafe commands": monitor.broken,
        **{f"  {rule}": count for rule, count in sorted(monitor.violations.items())},
        "process restarts": graph.starts() - len(graph.processes()),
        "largest joint speed, share of limit": monitor.extremes.speed,
        "largest joint acceleration, share of limit": monitor.extremes.acceleration,
        "largest step rad": monitor.extremes.step_rad,
        "largest tool speed m/s": monitor.extremes.tool_speed_m_s,
        "largest distance to measured rad": monitor.extremes.distance_rad,
    }
    return [{"what": name, "value": value} for name, value in values.items()]


def memory_rows(soak: Soak) -> list[Row]:
    """Return one row for each process."""
    settle_s = min(SETTLE_SHARE * soak.seconds, SETTLE_MOST_S)
    return [record.row(name, settle_s) for name, record in soak.memory.items()]


def verdict(counted: Sequence[Row], memory: Sequence[Row]) -> str:
    """Return one line about the goals."""
    value = {row["what"]: row["value"] for row in counted}
    growths = [row["growth %"] for row in memory]
    worst = max((growth for growth in growths if isinstance(growth, float)), default=0.0)
    met = (
        value["missed chunks"] == value["unsafe commands"] == value["process restarts"] == 0
        and value["faults"] == 0
        and worst < GOAL_GROWTH_PERCENT
    )
    counts = ", ".join(
        f"{value[name]} {word}"
        for name, word in (
            ("missed chunks", "missed"),
            ("unsafe commands", "unsafe"),
            ("faults", "faults"),
            ("process restarts", "restarts"),
        )
    )
    return (
        "goal no missed chunk, unsafe command, fault or restart, growth < "
        f"{GOAL_GROWTH_PERCENT:g} %: {'met' if met else 'missed'} ({counts}, largest growth "
        f"{worst:.2f} %)"
    )


def _follow_episodes(soak: Soak, stage: Stage) -> None:
    outcome = stage.task.get("message", "running")
    episode = stage.task.get("episode", "0")
    if outcome == "running" or sum(soak.episodes.values()) > int(episode):
        return
    soak.episodes[outcome] += 1
    soak.resets_ns.append(time.time_ns())
    stage.new_episode(sum(soak.episodes.values()))


def _sample(soak: Soak, graph: RunningGraph, now_s: float) -> None:
    for name, pid in graph.processes().items():
        size = resident_kb(pid)
        if size is not None:
            soak.memory.setdefault(name, MemoryRecord()).add(now_s, size)


def _in_short(soak: Soak, stage: Stage, graph: RunningGraph) -> str:
    return (
        f"{sum(soak.episodes.values())} episodes, {len(stage.chunk_stamps_ns)} chunks, "
        f"{stage.monitor.commands} commands, {stage.monitor.broken} unsafe, state {stage.state}"
    )
