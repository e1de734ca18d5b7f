# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of tracked poses against the truth, in tables. Pure NumPy."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppo_ros.bench.table import Cell, Row
from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.track import State, Track

BIN_M = 0.1


@dataclass(frozen=True)
class PoseSample:
    """One part at one control tick.

    Attributes:
        part: Which part.
        phase: Furthest phase of the episode so far.
        state: What the tracker says about it.
        tags: Tags of it that went into the pose, over all cameras; 0 when it was not seen.
        distance_m: Distance to the nearest camera that saw it, else to the nearest camera.
        error_m: Distance of the tracked from the true place; None without a pose.
        error_rad: Angle between tracked and true rotation; None without a pose.
        sigma_m: Standard deviation of the place that the tracker claims; None without a pose.
    """

    part: str
    phase: str
    state: State
    tags: int
    distance_m: float
    error_m: float | None = None
    error_rad: float | None = None
    sigma_m: float | None = None


def sample(
    part: str, phase: str, track: Track, truth: Rigid, eyes: Mapping[str, FloatArray]
) -> PoseSample:
    """Return how a track compares with the truth.

    Args:
        part: Which part.
        phase: Furthest phase of the episode so far.
        track: What the tracker says.
        truth: frame_from_part.
        eyes: Places of the cameras in that frame, (3,) m, by name.
    """
    used = track.fit.used if track.fit is not None else ()
    seeing = {camera for camera, _ in used} or set(eyes)
    distance_m = min(float(np.linalg.norm(eyes[name] - truth.position)) for name in seeing)
    if track.frame_from_part is None or track.covariance is None:
        return PoseSample(part, phase, track.state, len(used), distance_m)
    error = truth.difference(track.frame_from_part)
    return PoseSample(
        part,
        phase,
        track.state,
        len(used),
        distance_m,
        float(np.linalg.norm(error[:3])),
        float(np.linalg.norm(error[3:])),
        float(np.sqrt(np.trace(track.covariance[:3, :3]))),
    )


def by_part(samples: Sequence[PoseSample]) -> list[Row]:
    """Return one row for each part: how often it is known, and how well."""
    return _table(samples, {"part": lambda s: s.part})


def by_phase(samples: Sequence[PoseSample], parts: Sequence[str]) -> list[Row]:
    """Return one row for each phase and each of these parts."""
    chosen = [s for s in samples if s.part in parts]
    return _table(chosen, {"part": lambda s: s.part, "phase": lambda s: s.phase})


def by_distance(samples: Sequence[PoseSample]) -> list[Row]:
    """Return one row for each distance from the nearest camera that saw the part, seen parts only.

    Parts seen by one tag are apart from those seen by several: the depth of a single small tag is
    the weak point of every tag tracker.
    """
    seen = [s for s in samples if s.tags]
    return _table(
        seen,
        {
            "tags": lambda s: "one" if s.tags == 1 else "several",
            "distance m": lambda s: _bin(s.distance_m),
        },
    )


def _bin(distance_m: float) -> str:
    lower = int(np.floor(distance_m / BIN_M + 1e-9))
    return f"{lower * BIN_M:.1f} to {(lower + 1) * BIN_M:.1f}"


def _table(
    samples: Sequence[PoseSample], keys: Mapping[str, Callable[[PoseSample], Hashable]]
) -> list[Row]:
    groups: dict[tuple[Hashable, ...], list[PoseSample]] = {}
    for entry in samples:
        groups.setdefault(tuple(key(entry) for key in keys.values()), []).append(entry)
    # Parts and phases stay in the order in which they came, distances are sorted.
    order = sorted(groups, key=lambda name: str(name)) if "distance m" in keys else list(groups)
    return [
        {**dict(zip(keys, map(str, name), strict=True)), **_numbers(groups[name])} for name in order
    ]


def _numbers(samples: Sequence[PoseSample]) -> dict[str, Cell]:
    states = [s.state for s in samples]
    millimetres = np.array([s.error_m for s in samples if s.error_m is not None]) * 1e3
    degrees = np.degrees([s.error_rad for s in samples if s.error_rad is not None])
    claimed = np.array([s.sigma_m for s in samples if s.sigma_m is not None]) * 1e3
    known = bool(millimetres.size)
    lost = states.count(State.LOST) + states.count(State.AMBIGUOUS)
    return {
        "n": len(samples),
        "seen %": 100.0 * sum(s.tags > 0 for s in samples) / len(samples),
        "fresh %": 100.0 * states.count(State.FRESH) / len(samples),
        "held %": 100.0 * states.count(State.HELD) / len(samples),
        "lost %": 100.0 * lost / len(samples),
        "median mm": float(np.median(millimetres)) if known else None,
        "p95 mm": float(np.percentile(millimetres, 95)) if known else None,
        "p99 mm": float(np.percentile(millimetres, 99)) if known else None,
        "max mm": float(millimetres.max()) if known else None,
        "median deg": float(np.median(degrees)) if known else None,
        "p95 deg": float(np.percentile(degrees, 95)) if known else None,
        "claimed mm": float(np.median(claimed)) if known else None,
    }
