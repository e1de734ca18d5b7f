# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Comparisons of a replay with what was recorded: actions, vectors, latencies, holds.

Legend: N control ticks, D_a action numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bag.episodes import Episode, Status
from dppo_ros.core.aligner import ARM, TOOL_POSE
from dppo_ros.core.observation import join_action, split_action
from dppo_ros.core.planner import PlannedChunk
from dppo_ros.core.rotations import FloatArray

NS_PER_MS = 1e6
STANDING = ("holding", "stopped", "fault", "estop")
"""Modes of the command side in which it does not act though it should."""


@dataclass(frozen=True)
class Parity:
    """How live and replayed arrays of the same stamps compare.

    Attributes:
        live: How many the live node recorded.
        replayed: How many the replay produced.
        common: How many stamps both have.
        identical: How many of those are equal bit for bit.
        max_difference: Largest absolute difference, 0 without a common stamp.
    """

    live: int
    replayed: int
    common: int
    identical: int
    max_difference: float


def pair_actions(
    episode: Episode, planned: Sequence[PlannedChunk], period_ns: int
) -> tuple[list[int], FloatArray, FloatArray]:
    """Return stamps (N,), predicted and executed actions (N, D_a) of the ticks that have both.

    Where the command side told which action of which chunk it executed, that one is compared;
    elsewhere a chunk counts until the next one takes over. Predicted rotations are brought into
    the form in which executed ones come back (orthonormal rows), so that only real differences
    remain.
    """
    chunks = {chunk.stamp_ns: chunk.actions for chunk in planned}
    sources = _sources(episode) or _schedule(planned, period_ns)
    stamps: list[int] = []
    predicted: list[FloatArray] = []
    executed: list[FloatArray] = []
    for stamp_ns, (chunk_ns, index) in sorted(sources.items()):
        done = episode.executed_action(stamp_ns)
        if done is None or chunk_ns not in chunks or index >= len(chunks[chunk_ns]):
            continue
        position, matrix, gripper = split_action(chunks[chunk_ns][index])
        stamps.append(stamp_ns)
        predicted.append(join_action(position, matrix, gripper))
        executed.append(done)
    width = planned[0].actions.shape[1]
    return (
        stamps,
        np.array(predicted).reshape(-1, width),
        np.array(executed).reshape(-1, width),
    )


def _sources(episode: Episode) -> dict[int, tuple[int, int]]:
    """Return chunk stamp and index of the executed actions by control tick, as recorded."""
    return {
        int(values["goal_stamp_ns"]): (int(values["chunk_stamp_ns"]), int(values["index"]))
        for status in episode.statuses.get("command/status", [])
        if {"goal_stamp_ns", "chunk_stamp_ns", "index"} <= set(values := status.values)
        and values.get("sent") == "action"
    }


def _schedule(planned: Sequence[PlannedChunk], period_ns: int) -> dict[int, tuple[int, int]]:
    """Return the same for bags without it: every chunk until the next one."""
    sources = {}
    for chunk, following in zip(planned, [*planned[1:], None], strict=True):
        for index in range(len(chunk.actions)):
            stamp_ns = chunk.stamp_ns + index * period_ns
            if following is None or stamp_ns < following.stamp_ns:
                sources[stamp_ns] = (chunk.stamp_ns, index)
    return sources


def parity(
    live: Mapping[int, NDArray[np.floating]], replayed: Mapping[int, NDArray[np.floating]]
) -> Parity:
    """Return how live and replayed arrays compare; both are keyed by stamp (ns)."""
    common = sorted(set(live) & set(replayed))
    comparable = [s for s in common if live[s].shape == replayed[s].shape]
    differences = [
        float(np.max(np.abs(live[s].astype(np.float64) - replayed[s].astype(np.float64))))
        for s in comparable
    ]
    identical = sum(
        bool(np.array_equal(live[s].astype(np.float64), replayed[s].astype(np.float64)))
        for s in comparable
    )
    worst = max(differences, default=0.0) if len(comparable) == len(common) else float("inf")
    return Parity(len(live), len(replayed), len(common), identical, worst)


def latencies(episode: Episode, planned: Sequence[PlannedChunk]) -> dict[str, FloatArray]:
    """Return latencies (ms) by kind, see ``ReplayResult.latencies_ms``.

    From observation to command counts from when the recorder received the robot's state to when it
    received the goal of the same tick, for the first action of each chunk: only that one answers
    its observation at once.
    """
    observed_ns = {
        received.sample.stamp_ns: received.receive_ns
        for received in episode.samples
        if received.stream in (TOOL_POSE, ARM)
    }
    answered = [
        (episode.executed[stamp][0] - observed_ns[stamp]) / NS_PER_MS
        for stamp in episode.chunks
        if stamp in episode.executed and stamp in observed_ns
    ]
    return {
        "replayed_inference": np.array([chunk.latency_ns / NS_PER_MS for chunk in planned]),
        "live_inference": _numbers(episode.statuses.get("policy/status", []), "latency_ms"),
        "observation_to_command": np.array(answered),
        "loop_in_command_node": _numbers(
            episode.statuses.get("command/status", []), "loop_latency_ms"
        ),
    }


def _numbers(statuses: Sequence[Status], key: str) -> FloatArray:
    return np.array([float(status.values[key]) for status in statuses if key in status.values])


def observation_age_s(status: Status) -> float:
    """Return how old the observation behind an executed action was (s, bag clock)."""
    return (status.stamp_ns - int(status.values["chunk_stamp_ns"])) * 1e-9


def held_reasons(commands: Sequence[Status]) -> dict[str, int]:
    """Return how often the command side began to hold or stop, by reason."""
    reasons: Counter[str] = Counter()
    before = ""
    for status in commands:
        reason = status.values.get("reason", "")
        if status.values.get("mode") in STANDING and reason != before:
            reasons[reason] += 1
        before = reason
    return dict(reasons)
