# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy asked at every control tick of a recorded episode, and compared with what was done.

Open loop: the policy sees what was observed, and what it would have caused does not happen. Every
bundle is asked at the same ticks with noise of the same seed, whatever its own rhythm, so numbers
of different bundles are comparable. The action for a tick is the one that the policy would have
sent in receding-horizon execution: from the chunk of the last multiple of its ``act_steps``.

Legend: N control ticks, n actions in a chunk, D_o observation numbers, D_a action numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bag.episodes import Episode
from dppo_ros.bag.frames import task_phases
from dppo_ros.bag.observing import Rebuilt
from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.errors import DppoError
from dppo_ros.core.observation import split_action
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.rotations import (
    FloatArray,
    matrix_from_rotation_6d,
    rotation_vector_from_matrix,
)
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.core.safety import SafetyGate
from dppo_ros.core.safety_limits import SafetyLimits
from dppo_ros.core.spec import VectorSpec


@dataclass(frozen=True, eq=False)
class OpenLoop:
    """What a policy would have done, and what was done.

    Attributes:
        stamps_ns: (N,) control ticks.
        vectors: (N, D_o) observations.
        chunks: (N, n, D_a) what the policy answers at each tick.
        executed: (N, D_a) what was executed; NaN where nothing was.
        sent: (N, D_a) what the policy would have sent.
        phases: (N,) phase of the task, empty where it is not known.
        latencies_ms: (N,) time of each inference on this machine.
        refused: Queries that the policy refused.
    """

    stamps_ns: NDArray[np.int64]
    vectors: NDArray[np.float32]
    chunks: FloatArray
    executed: FloatArray
    sent: FloatArray
    phases: tuple[str, ...]
    latencies_ms: FloatArray
    refused: int


@dataclass(frozen=True, eq=False)
class ActionErrors:
    """Differences between two sets of actions; any leading dimensions.

    Attributes:
        components: (..., D_a) absolute differences, raw units.
        translation_m: (...) distance between the tool goals (m).
        rotation_rad: (...) angle between the tool goals (rad).
        gripper: (...) 1 where one opens and the other closes, else 0.
    """

    components: FloatArray
    translation_m: FloatArray
    rotation_rad: FloatArray
    gripper: FloatArray


def run_open_loop(
    episode: Episode, rebuilt: Rebuilt, runtime: PolicyRuntime, seed: int
) -> OpenLoop | None:
    """Ask a policy at every observation of an episode; None when there is no observation.

    Args:
        episode: What was recorded.
        rebuilt: Its observations.
        runtime: The policy.
        seed: Noise seed.
    """
    manifest = runtime.bundle.manifest
    planner = ChunkPlanner(manifest, runtime, seed)
    stamps, vectors, chunks, latencies, refused = [], [], [], [], 0
    for stamp_ns, vector in rebuilt.vectors.items():
        planner.observe(AlignedObservation(stamp_ns, vector))
        try:
            chunk = planner.infer(planner.query_now(), 0)
        except DppoError:
            refused += 1
            continue
        stamps.append(stamp_ns)
        vectors.append(vector)
        chunks.append(chunk.actions.astype(np.float64))
        latencies.append(chunk.latency_ns * 1e-6)
    if not stamps:
        return None
    phases = task_phases(episode)
    return OpenLoop(
        stamps_ns=np.array(stamps, dtype=np.int64),
        vectors=np.stack(vectors),
        chunks=np.stack(chunks),
        executed=_executed(episode, stamps, manifest.action.dim),
        sent=_sent(np.array(stamps), np.stack(chunks), manifest.control_period_ns),
        phases=tuple(phases.get(stamp, "") for stamp in stamps),
        latencies_ms=np.array(latencies),
        refused=refused,
    )


def action_errors(first: FloatArray, second: FloatArray) -> ActionErrors:
    """Return how two sets of actions (..., D_a) differ; NaN stays NaN."""
    blank = np.asarray(np.isnan(first).any(axis=-1) | np.isnan(second).any(axis=-1))
    # Rotations of NaN cannot be taken; an identity stands in and is blanked below.
    harmless = np.zeros(first.shape[-1])
    harmless[[3, 7]] = 1.0
    one, two = (np.where(blank[..., None], harmless, side) for side in (first, second))
    (p, r, g), (q, s, h) = split_action(one), split_action(two)
    turned = rotation_vector_from_matrix(r @ np.swapaxes(s, -1, -2))

    def blanked(values: FloatArray) -> FloatArray:
        return np.where(blank, np.nan, values)

    return ActionErrors(
        components=np.abs(first - second),
        translation_m=blanked(np.linalg.norm(p - q, axis=-1)),
        rotation_rad=blanked(np.linalg.norm(turned, axis=-1)),
        gripper=blanked(((g > 0.0) != (h > 0.0)).astype(np.float64)),
    )


def horizon_errors(loop: OpenLoop, period_ns: int) -> ActionErrors:
    """Return errors (N, n): action h of each chunk against what was executed h ticks later."""
    count, length = loop.chunks.shape[:2]
    steps = np.rint((loop.stamps_ns - loop.stamps_ns[0]) / period_ns).astype(int)
    place = {int(step): index for index, step in enumerate(steps)}
    later = np.full(loop.chunks.shape, np.nan)
    for index in range(count):
        for h in range(length):
            other = place.get(int(steps[index]) + h)
            if other is not None:
                later[index, h] = loop.executed[other]
    return action_errors(loop.chunks, later)


def gate_interventions(
    loop: OpenLoop, observation: VectorSpec, limits: SafetyLimits
) -> dict[str, int]:
    """Return what the safety gate would do with what the policy would have sent, by kind.

    Every goal is judged against the tool pose that was measured at its tick.
    """
    gate, last_ns = SafetyGate(limits), 0
    place, turn = observation.slice("tool_position"), observation.slice("tool_rotation_6d")
    found: dict[str, int] = {}
    for stamp, vector, action in zip(loop.stamps_ns, loop.vectors, loop.sent, strict=True):
        if stamp - last_ns > 1.5e9 * limits.control_period_s:
            gate.reset()
        last_ns = int(stamp)
        position, matrix, gripper = split_action(action)
        verdict = gate.check(
            position, matrix, float(gripper), vector[place], matrix_from_rotation_6d(vector[turn]),
            observation_stamp_ns=last_ns, now_ns=last_ns,
        )  # fmt: skip
        for name in verdict.interventions:
            found[name] = found.get(name, 0) + 1
    return found


def by_phase(phases: tuple[str, ...], values: FloatArray) -> Mapping[str, FloatArray]:
    """Return values (N, ...) grouped by phase, in the order in which the phases begin."""
    names = list(dict.fromkeys(phases))
    labels = np.array(phases)
    return {name: values[labels == name] for name in names}


def _executed(episode: Episode, stamps: list[int], width: int) -> FloatArray:
    rows = np.full((len(stamps), width), np.nan)
    for index, stamp in enumerate(stamps):
        action = episode.executed_action(stamp)
        if action is not None:
            rows[index] = action
    return rows


def _sent(stamps: NDArray[np.int64], chunks: FloatArray, period_ns: int) -> FloatArray:
    """Return the actions of receding-horizon execution; after a gap the policy is asked anew."""
    rows, begun = np.empty((len(stamps), chunks.shape[2])), 0
    for index in range(len(stamps)):
        step = round((stamps[index] - stamps[begun]) / period_ns)
        if step >= chunks.shape[1] or step != index - begun:
            begun, step = index, 0
        rows[index] = chunks[begun, step]
    return rows
