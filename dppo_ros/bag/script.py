# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded run of the policy as a script: which observation, at what time, with which answer.

A live policy node decides by its clock: an observation that it meets too late is not used, and in
real-time chunking the measured delays shape the next chunk. The script holds the clock that leads
a node to the recorded decisions, and what a planner in this process answers on the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bag.episodes import Episode
from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.planner import ChunkPlanner, PlannedChunk

MAX_AGE_S = 10.0
"""Age from which the scripted node refuses an observation; the largest that it accepts."""
_TOO_LATE_NS = 11_000_000_000


@dataclass(frozen=True, eq=False)
class Step:
    """One observation.

    Attributes:
        stamp_ns: Its stamp (ns).
        vector: (D_o,) float32.
        clock_ns: What the clock says when the node meets it, and until it has answered (ns).
        answer: What the policy answers, None for no answer.
        is_sent: Whether the answer is published; one that is wholly past is not.
    """

    stamp_ns: int
    vector: NDArray[np.float32]
    clock_ns: int
    answer: PlannedChunk | None = None
    is_sent: bool = False


def measured_delays(episode: Episode) -> dict[int, int]:
    """Return how late each answer was sent (ns after its first action), by observation (ns).

    Empty for bags from before the policy node noted it.
    """
    return {
        int(values["observation_stamp_ns"]): round(float(values["delay_ms"]) * 1e6)
        for status in episode.statuses.get("policy/status", [])
        if {"observation_stamp_ns", "delay_ms"} <= set(values := status.values)
    }


def write_script(
    vectors: Mapping[int, NDArray[np.float32]], planner: ChunkPlanner, delays_ns: Mapping[int, int]
) -> list[Step]:
    """Return the script of a run.

    Args:
        vectors: Observations by stamp (ns), in order.
        planner: Fresh, with the settings of the recorded one.
        delays_ns: From ``measured_delays``; empty: every due query is answered at once.
    """
    return [
        _step(AlignedObservation(stamp_ns, vector), planner, delays_ns)
        for stamp_ns, vector in vectors.items()
    ]


def _step(
    observation: AlignedObservation, planner: ChunkPlanner, delays_ns: Mapping[int, int]
) -> Step:
    stamp_ns, vector = observation.stamp_ns, observation.vector
    query = planner.observe(observation)
    if query is None:
        return Step(stamp_ns, vector, stamp_ns)
    if delays_ns and stamp_ns not in delays_ns:
        # Due, but the live node did not ask: too late, or busy. It asked again as soon as it could.
        planner.retry()
        return Step(stamp_ns, vector, stamp_ns + _TOO_LATE_NS)
    chunk = planner.infer(query)
    clock_ns = chunk.stamp_ns + delays_ns.get(stamp_ns, stamp_ns - chunk.stamp_ns)
    planner.delivered(chunk, clock_ns)
    is_sent = clock_ns < chunk.stamp_ns + len(chunk.actions) * planner.period_ns
    if not is_sent:
        planner.retry()
    return Step(stamp_ns, vector, clock_ns, chunk, is_sent)
