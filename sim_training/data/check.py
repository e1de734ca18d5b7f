# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo data check`: what in a set of demonstrations would spoil training.

Errors make the data unusable (not finite, wrong shapes, contradictory lengths, normalisation that
does not fit); warnings are worth a look (frames where nothing happens, jumps, columns that never
change, outliers, cameras that show nothing new, failures, trajectories shorter than a chunk).

Legend: N frames, Do observation size, A action size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from dppo_ros.core.errors import DataError
from sim_training.checks import require_at_least
from sim_training.data.formats import EpisodeDataset, read_dataset

Severity = Literal["error", "warning"]
_TINY_RANGE = 1e-5
_MAX_NAMED = 3
_BULK_SHARE = 0.2


@dataclass(frozen=True)
class CheckConfig:
    """Look for defects in a dataset; exit code 1 if there are errors."""

    dataset: Path = Path("data/one_leg_low")
    """Dataset folder."""
    horizon_steps: int = 8
    """Chunk length the data is meant for; shorter trajectories give no training window."""
    idle_fraction: float = 0.05
    """Warn above this share of frames in which the observation hardly changes."""
    idle_change: float = 1e-4
    """A frame is idle if no normalised component changes more than this."""
    jump: float = 0.5
    """A change of a normalised observation component beyond this in one frame is a jump."""
    json: bool = False
    """Print the findings as JSON."""

    def __post_init__(self) -> None:
        """Check the chunk length."""
        require_at_least(1, self, "horizon_steps")


@dataclass(frozen=True)
class Finding:
    """One defect.

    Attributes:
        severity: "error" or "warning".
        kind: short stable name.
        message: what, where, and what to do.
    """

    severity: Severity
    kind: str
    message: str


def run_check(config: CheckConfig) -> int:
    """Print the findings and return 1 if any is an error, else 0."""
    findings = check_folder(config)
    if config.json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        _print(config.dataset, findings)
    return int(any(finding.severity == "error" for finding in findings))


def check_folder(config: CheckConfig) -> list[Finding]:
    """Return all findings about a dataset folder, errors first."""
    try:
        dataset = read_dataset(config.dataset, verify=False)
    except DataError as error:
        return [Finding("error", "unreadable", str(error))]
    findings: list[Finding] = []
    try:
        read_dataset(config.dataset, verify=True)
    except DataError as error:
        findings.append(Finding("error", "invalid", str(error)))
    if not _consistent(dataset):
        return findings
    findings.extend(check_dataset(dataset, config))
    return sorted(findings, key=lambda finding: finding.severity)


def check_dataset(dataset: EpisodeDataset, config: CheckConfig) -> list[Finding]:
    """Return the findings about data whose shapes agree."""
    return [
        *_not_finite(dataset),
        *_normalisation(dataset),
        *_lengths(dataset, config.horizon_steps),
        *_motion(dataset, config),
        *_pictures(dataset),
        *_outcome(dataset),
    ]


def _consistent(dataset: EpisodeDataset) -> bool:
    return (
        dataset.states.ndim == 2
        and dataset.actions.ndim == 2
        and len(dataset.states) == len(dataset.actions) > 0
        and dataset.states.shape[1] == dataset.observation_spec.dim
        and dataset.actions.shape[1] == dataset.action_spec.dim
        and dataset.traj_lengths.ndim == 1
        and int(dataset.traj_lengths.sum()) == len(dataset.states)
    )


def _columns(dataset: EpisodeDataset) -> Iterator[tuple[str, NDArray[np.float32], tuple[str, ...]]]:
    yield "observation", dataset.states, dataset.observation_spec.component_names
    yield "action", dataset.actions, dataset.action_spec.component_names


def _named(names: tuple[str, ...], columns: NDArray[np.int64]) -> str:
    listed = ", ".join(names[int(c)] for c in columns[:_MAX_NAMED])
    more = len(columns) - _MAX_NAMED
    return listed + (f" and {more} more" if more > 0 else "")


def _not_finite(dataset: EpisodeDataset) -> Iterator[Finding]:
    for kind, values, names in _columns(dataset):
        bad = ~np.isfinite(values)
        if bad.any():
            frames, columns = np.nonzero(bad)
            yield Finding(
                "error",
                "not_finite",
                f"{kind} has {int(bad.sum())} values that are NaN or infinite, first in frame "
                f"{frames[0]}, in {_named(names, np.unique(columns))}; remove those trajectories",
            )


def _normalisation(dataset: EpisodeDataset) -> Iterator[Finding]:
    normalizers = (dataset.observation_normalizer, dataset.action_normalizer)
    for (kind, values, names), normalizer in zip(_columns(dataset), normalizers, strict=True):
        finite = np.where(np.isfinite(values), values, values[0])
        low, high = finite.min(axis=0), finite.max(axis=0)
        constant = np.flatnonzero(high - low < _TINY_RANGE)
        if len(constant):
            yield Finding(
                "warning",
                "constant_column",
                f"{kind} never changes in {_named(names, constant)}; it carries no information "
                "and cannot be scaled (it is treated as constant)",
            )
        if normalizer is None:
            continue
        scaled = np.abs(normalizer.normalize(finite.astype(np.float64)))
        # 32-bit numbers cannot resolve a range this narrow, so its scaled values mean nothing.
        scaled[:, constant] = 0.0
        outside = np.flatnonzero((scaled > 1.0 + 1e-3).any(axis=0))
        if len(outside):
            yield Finding(
                "error",
                "normaliser_mismatch",
                f"{kind} leaves [-1, 1] after normalisation in {_named(names, outside)}; "
                "normalization.npz does not belong to this data, generate it again",
            )
        bulk = np.quantile(finite, 0.999, axis=0) - np.quantile(finite, 0.001, axis=0)
        squeezed = np.flatnonzero((bulk < _BULK_SHARE * (high - low)) & (high - low >= _TINY_RANGE))
        if len(squeezed):
            yield Finding(
                "warning",
                "outlier",
                f"{kind} has 99.8 % of its values in under {_BULK_SHARE:.0%} of its range in "
                f"{_named(names, squeezed)}: a few outliers set the scale; look at those frames",
            )


def _lengths(dataset: EpisodeDataset, horizon_steps: int) -> Iterator[Finding]:
    short = np.flatnonzero(dataset.traj_lengths < horizon_steps)
    if len(short):
        every = len(short) == len(dataset.traj_lengths)
        yield Finding(
            "error" if every else "warning",
            "short_trajectory",
            f"{len(short)} of {len(dataset.traj_lengths)} trajectories are shorter than "
            f"horizon_steps {horizon_steps} and give no training window; record longer ones",
        )


def _motion(dataset: EpisodeDataset, config: CheckConfig) -> Iterator[Finding]:
    normalizer, _ = dataset.normalizers()
    scaled = np.nan_to_num(normalizer.normalize(dataset.states.astype(np.float64)))
    change = np.abs(np.diff(scaled, axis=0))
    inside = np.ones(len(change), dtype=bool)
    inside[np.cumsum(dataset.traj_lengths)[:-1] - 1] = False
    if not inside.any():
        return
    idle = inside & (change.max(axis=1) < config.idle_change)
    share = idle.sum() / inside.sum()
    if share > config.idle_fraction:
        yield Finding(
            "warning",
            "idle_frames",
            f"{share:.1%} of frames are idle (first: frame {int(np.flatnonzero(idle)[0])}); a "
            "policy without memory learns to stand still there, so trim them or change the expert",
        )
    constant = np.ptp(dataset.states, axis=0) < _TINY_RANGE
    jumps = (change > config.jump) & inside[:, None] & ~constant
    if jumps.any():
        frames, columns = np.nonzero(jumps)
        names = dataset.observation_spec.component_names
        yield Finding(
            "warning",
            "jump",
            f"{len(np.unique(frames))} jumps of more than {config.jump} (normalised) in one frame, "
            f"first after frame {frames[0]}, in {_named(names, np.unique(columns))}; usual causes "
            "are a quaternion changing sign, a lost tag, or two trajectories joined",
        )


def _pictures(dataset: EpisodeDataset) -> Iterator[Finding]:
    if dataset.images is None:
        return
    frames = dataset.images.reshape(len(dataset.images), dataset.cameras, -1)
    for camera in range(dataset.cameras):
        if (frames[:, camera] == frames[0, camera]).all():
            yield Finding(
                "warning",
                "still_camera",
                f"camera {camera} shows the same picture in all {len(frames)} frames; it was "
                "covered, or drawing failed",
            )


def _outcome(dataset: EpisodeDataset) -> Iterator[Finding]:
    success = dataset.metadata.get("success")
    if not isinstance(success, list) or not success:
        return
    failures = sum(not bool(value) for value in success)
    if failures:
        yield Finding(
            "warning",
            "failures",
            f"{failures} of {len(success)} trajectories did not succeed; leave them out unless "
            "they are meant to be cloned",
        )


def _print(folder: Path, findings: list[Finding]) -> None:
    console = Console()
    if not findings:
        console.print(f"{folder}: no defects found")
        return
    table = Table(title=f"{folder}: {len(findings)} findings", title_justify="left")
    for heading in ("severity", "kind", "what"):
        table.add_column(heading)
    for finding in findings:
        table.add_row(finding.severity, finding.kind, finding.message)
    console.print(table)
