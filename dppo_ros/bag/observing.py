# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded streams -> observation vectors, exactly as the live observation node makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bag.episodes import Episode
from dppo_ros.core.aligner import ROBOT_STREAMS, AlignedObservation, ObservationAligner
from dppo_ros.core.spec import VectorSpec


@dataclass(frozen=True)
class Rebuilt:
    """Observations made from recorded streams.

    Attributes:
        vectors: (D_o,) float32 by stamp (ns), in the order in which they were completed.
        refused: Refused samples and instants by reason.
    """

    vectors: Mapping[int, NDArray[np.float32]]
    refused: Mapping[str, int]


def rebuild_observations(episode: Episode, spec: VectorSpec) -> Rebuilt:
    """Return every observation that the recorded streams give.

    Args:
        episode: What was recorded, with the settings of the live observation node.
        spec: Observation layout.

    Raises:
        ConfigError: The layout does not fit the settings.
    """
    aligner = ObservationAligner(spec, settings=episode.alignment)
    vectors = {o.stamp_ns: o.vector for o in aligned(episode, aligner)}
    return Rebuilt(vectors, refusals(aligner))


def aligned(episode: Episode, aligner: ObservationAligner) -> Iterator[AlignedObservation]:
    """Feed the recorded samples to an aligner in the order of recording."""
    for received in episode.samples:
        sample = received.sample
        robot = received.stream in ROBOT_STREAMS
        stamp_ns = sample.stamp_ns - episode.alignment.latency_ns(robot)
        yield from aligner.add(received.stream, stamp_ns, sample.values, sample.frame)


def refusals(aligner: ObservationAligner) -> dict[str, int]:
    """Return what an aligner refused, by reason."""
    counts = aligner.counts.as_dict()
    return {name: n for name, n in counts.items() if n and name not in ("observations", "refused")}
