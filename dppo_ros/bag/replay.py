# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a policy offline over the observations of a bag and compares it with what happened.

No ROS graph, no clock: the recorded streams go through the same aligner, the same assembly, the
same noise and the same runtime as in the live policy node.

Legend: N control ticks, D_a action numbers, D_o observation numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bag.comparison import (
    Parity,
    held_reasons,
    latencies,
    observation_age_s,
    pair_actions,
    parity,
)
from dppo_ros.bag.episodes import Episode, read_episode
from dppo_ros.bag.identity import bundle_digest
from dppo_ros.bag.observing import aligned, refusals
from dppo_ros.bag.recorded_policy import (
    execution_settings,
    noted_parameters,
    planned_delays,
    refuse_pictures,
    seed_of,
)
from dppo_ros.core.aligner import ObservationAligner
from dppo_ros.core.bundle import PolicyBundle, load_bundle
from dppo_ros.core.errors import BagError, ConfigError
from dppo_ros.core.observation import furniture_action_spec, split_action
from dppo_ros.core.planner import ChunkPlanner, PlannedChunk
from dppo_ros.core.rotations import FloatArray, rotation_vector_from_matrix
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.core.spec import first_difference


@dataclass(frozen=True, eq=False)
class ReplayResult:
    """What a replay found out.

    Attributes:
        bag: The bag.
        bundle: The bundle.
        bundle_sha256: Its hash.
        same_bundle: Whether the bag was recorded with it; None when the bag does not say.
        seed: Noise seed of the replay.
        metadata: What the recorder noted.
        action_names: Names of the action numbers.
        times_s: (N,) time of each compared control tick since the first (s).
        predicted: (N, D_a) replayed actions.
        executed: (N, D_a) executed actions.
        translation_errors_m: (N,) distance between both goals (m).
        rotation_errors_rad: (N,) angle between both goals (rad).
        observations: Parity of the observation vectors.
        chunks: Parity of the chunks.
        refused: Refused observations by reason.
        latencies_ms: Samples by kind: ``replayed_inference``, ``live_inference``,
            ``observation_to_command`` (wall) and ``loop_in_command_node`` (wall).
        staleness_s: Age of the observation behind each executed action (s, bag clock).
        interventions: Commands by what the safety gate changed.
        modes: Times (s since the first tick) and modes of the command side.
        hold_goals: Hold goals that were sent.
        rejections: Reasons for which the command side held, with counts.
    """

    bag: Path
    bundle: PolicyBundle
    bundle_sha256: str
    same_bundle: bool | None
    seed: int
    metadata: Mapping[str, str]
    action_names: tuple[str, ...]
    times_s: FloatArray
    predicted: FloatArray
    executed: FloatArray
    translation_errors_m: FloatArray
    rotation_errors_rad: FloatArray
    observations: Parity
    chunks: Parity
    refused: Mapping[str, int]
    latencies_ms: Mapping[str, FloatArray]
    staleness_s: FloatArray
    interventions: Mapping[str, int]
    modes: Sequence[tuple[float, str]]
    hold_goals: int
    rejections: Mapping[str, int]


def replay_bag(bag: Path, bundle_folder: Path, seed: int | None = None) -> ReplayResult:
    """Return the comparison of a bundle with a recorded episode.

    Args:
        bag: Bag folder.
        bundle_folder: Bundle folder.
        seed: Noise seed; by default the one noted in the bag.

    Raises:
        BagError: The bag cannot be read, lacks a topic, or gives not a single observation.
        ConfigError: The bundle cannot be compared with the commands of the bag.
        BundleError: The bundle is not acceptable.
    """
    bundle = load_bundle(bundle_folder)
    refuse_pictures(bundle)
    manifest = bundle.manifest
    difference = first_difference(furniture_action_spec(), manifest.action)
    if difference:
        raise ConfigError(
            f"bundle {manifest.name!r} cannot be compared with tool goals: {difference}; use a "
            "bundle with absolute tool goals"
        )
    episode = read_episode(bag, manifest.observation)
    chosen_seed = seed_of(episode, seed)
    aligner = ObservationAligner(manifest.observation, settings=episode.alignment)
    execution = execution_settings(noted_parameters(episode))
    planner = ChunkPlanner(manifest, PolicyRuntime(bundle), chosen_seed, execution)
    delays = planned_delays(episode)
    # Answers that came too late to be sent still shaped the ones after them in some modes.
    asked = set(delays) | {stamp_ns + execution.lead_ns for stamp_ns in episode.chunks}
    vectors: dict[int, NDArray[np.float32]] = {}
    planned: list[PlannedChunk] = []
    for observation in aligned(episode, aligner):
        vectors[observation.stamp_ns] = observation.vector
        due = planner.observe(observation)
        if asked:
            due = planner.query_now() if observation.stamp_ns in asked else None
        if due is not None:
            planned.append(planner.infer(due, delays.get(observation.stamp_ns, 0)))
    if not planned:
        reasons = ", ".join(f"{k} ({v})" for k, v in refusals(aligner).items()) or "none refused"
        raise BagError(
            f"bag {bag} gives {len(vectors)} complete observations and no policy query "
            f"(refused: {reasons}); it is too short or its streams do not fit together"
        )
    return _compare(episode, bundle, chosen_seed, aligner, vectors, planned)


def _compare(
    episode: Episode,
    bundle: PolicyBundle,
    seed: int,
    aligner: ObservationAligner,
    vectors: Mapping[int, NDArray[np.float32]],
    planned: Sequence[PlannedChunk],
) -> ReplayResult:
    stamps, predicted, executed = pair_actions(episode, planned, bundle.manifest.control_period_ns)
    start_ns = planned[0].stamp_ns
    digest = bundle_digest(bundle.path)
    noted = episode.metadata.get("bundle_sha256")
    commands = episode.statuses.get("command/status", [])
    actions = [status for status in commands if status.values.get("sent") == "action"]
    positions, matrices, _ = split_action(predicted)
    goal_positions, goal_matrices, _ = split_action(executed)
    turned = matrices @ np.swapaxes(goal_matrices, -1, -2)
    return ReplayResult(
        bag=episode.path,
        bundle=bundle,
        bundle_sha256=digest,
        same_bundle=None if noted is None else noted == digest,
        seed=seed,
        metadata=episode.metadata,
        action_names=bundle.manifest.action.component_names,
        times_s=np.array([(stamp - start_ns) * 1e-9 for stamp in stamps]),
        predicted=predicted,
        executed=executed,
        translation_errors_m=np.linalg.norm(positions - goal_positions, axis=-1),
        rotation_errors_rad=np.linalg.norm(rotation_vector_from_matrix(turned), axis=-1),
        observations=parity(episode.vectors, vectors),
        chunks=parity(
            {stamp: chunk.actions for stamp, chunk in episode.chunks.items()},
            {chunk.stamp_ns: chunk.actions for chunk in planned},
        ),
        refused=refusals(aligner),
        latencies_ms=latencies(episode, planned),
        staleness_s=np.array([observation_age_s(status) for status in actions]),
        interventions=Counter(
            name
            for status in commands
            for name in status.values.get("interventions", "").split(",")
            if name
        ),
        modes=[
            ((status.stamp_ns - start_ns) * 1e-9, status.values.get("mode", ""))
            for status in commands
        ],
        hold_goals=sum(status.values.get("sent") == "hold" for status in commands),
        rejections=held_reasons(commands),
    )
