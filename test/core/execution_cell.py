# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy of known answers, and the way from observation to executed action without a robot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.bundle import ActionEnvelope, BundleManifest, DenoisingSettings
from dppo_ros.core.chunk import ActionChunk, ChunkSchedule, Hold
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.core.planner import ChunkPlanner, PlannedChunk
from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_6d_from_matrix
from dppo_ros.core.spec import Field, VectorSpec

PERIOD_NS = 100_000_000
START_NS = 5_000_000_000
HORIZON, SIZE = 8, 10
SLICES = 10


def manifest(act_steps: int = HORIZON, guidance: bool = True) -> BundleManifest:
    """Return the description of a policy with tool goals as actions."""
    one = np.ones(SIZE)
    return BundleManifest(
        name="known",
        task="toy",
        simulator="none",
        observation=VectorSpec((Field("seen", 2, "1", "none", ("a", "b")),)),
        action=furniture_action_spec(),
        observation_normalizer=MinMaxNormalizer(-one[:2], one[:2]),
        action_normalizer=MinMaxNormalizer(-one, one),
        observation_clip=None,
        denoising=DenoisingSettings(10, 0, 2, 0.0, 1.0, None),
        horizon_steps=HORIZON,
        act_steps=act_steps,
        cond_steps=1,
        control_rate_hz=10.0,
        envelope=ActionEnvelope(-one, one, one),
        training={},
        git_commit="0",
        data_hash="0",
        parity={"max_abs_error": 0.0},
        guidance=guidance,
    )


class KnownPolicy:
    """Answers with actions that follow from the noise, pulled towards the prefix as a graph does.

    Weight 1 returns the prefix exactly and weight 0 leaves every bit as it was.
    """

    def __init__(self, act_steps: int = HORIZON) -> None:
        """Start without having been asked."""
        self._act_steps = act_steps
        self.asked: list[np.ndarray | None] = []

    def infer(
        self,
        observation: np.ndarray,
        noise: np.ndarray,
        rgb: np.ndarray | None = None,
        prefix: np.ndarray | None = None,
        prefix_weight: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return (act_steps, SIZE) actions with proper rotations."""
        self.asked.append(prefix_weight)
        actions = noise.copy()
        actions[:, 3:9] = rotation_6d_from_matrix(matrix_from_rotation_vector(noise[:, 3:6]))
        actions = actions.astype(np.float32)
        if prefix is not None and prefix_weight is not None:
            weight = prefix_weight[:, None]
            actions = np.where(weight > 0.0, actions * (1 - weight) + prefix * weight, actions)
        return actions[: self._act_steps]

    def sample_noise(self, rng: np.random.Generator) -> np.ndarray:
        """Return (HORIZON, SIZE) numbers."""
        return rng.standard_normal((HORIZON, SIZE), dtype=np.float32)


@dataclass
class Executed:
    """What a run sent: per control tick the actions, and every chunk."""

    emitted: dict[int, list[np.ndarray]]
    chunks: list[PlannedChunk]
    schedule: ChunkSchedule


def run(
    settings: ExecutionSettings,
    delays_ns: list[int],
    ticks: int,
    act_steps: int = HORIZON,
    seed: int = 0,
) -> Executed:
    """Run a planner and a chunk schedule, the i-th answer being delivered delays_ns[i] late."""
    planner = ChunkPlanner(manifest(act_steps), KnownPolicy(act_steps), seed, settings)
    schedule = ChunkSchedule(act_steps, PERIOD_NS, 10 * HORIZON * PERIOD_NS)
    done = Executed({}, [], schedule)
    waiting: list[tuple[int, PlannedChunk]] = []
    for moment in range(ticks * SLICES):
        now_ns = START_NS + moment * PERIOD_NS // SLICES
        if moment % SLICES == 0:
            query = planner.observe(AlignedObservation(now_ns, np.zeros(2, np.float32)))
            busy = bool(waiting)
            if query is not None and busy:
                planner.retry()
            elif query is not None:
                chunk = planner.infer(query)
                delay = delays_ns[len(done.chunks) % len(delays_ns)]
                waiting.append((now_ns + delay, chunk))
                done.chunks.append(chunk)
        for arrival, chunk in [entry for entry in waiting if entry[0] <= now_ns]:
            schedule.push(ActionChunk(chunk.stamp_ns, chunk.actions))
            planner.delivered(chunk, arrival)
            waiting.remove((arrival, chunk))
        due = schedule.due(now_ns)
        if not isinstance(due, Hold):
            tick = (due.valid_from_ns - START_NS) // PERIOD_NS
            done.emitted.setdefault(tick, []).append(due.action)
    return done


def receding_like(settings: ExecutionSettings) -> ExecutionSettings:
    """Return the settings of the receding horizon with the same steps between queries."""
    return replace(settings, mode="receding", execute_steps=settings.execute_steps or HORIZON // 2)
