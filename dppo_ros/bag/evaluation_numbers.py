# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of an evaluation, as JSON values and as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from dppo_ros.bag.evaluation import Cell, Contender, Evaluation
from dppo_ros.bag.open_loop import by_phase
from dppo_ros.bag.outliers import worst
from dppo_ros.core.rotations import FloatArray

_WORST = 10


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return every number as JSON values."""
    return {
        "seed": evaluation.seed,
        "bundles": {c.label: _contender(evaluation, c) for c in evaluation.contenders},
        "bags": {
            episode.label: {
                "path": str(episode.bag),
                "recorded_with": episode.recorded_with,
                "outcome": episode.identity.outcome,
                "success": episode.identity.success,
                "refused_observations": dict(episode.refused),
                "recorded_latency_ms": {
                    kind: distribution(values) for kind, values in episode.latencies_ms.items()
                },
                "recorded_interventions": dict(episode.interventions),
                "recorded_holds": dict(episode.holds),
                "bundles": {
                    c.label: _cell(evaluation.cells[episode.label, c.label], c)
                    for c in evaluation.contenders
                },
            }
            for episode in evaluation.episodes
        },
        "success_of_recorded_bundles": {k: asdict(v) for k, v in evaluation.successes.items()},
        "paired_difference_of_translation_m": {
            f"{second} - {first}": asdict(pair)
            for (first, second), pair in evaluation.pairs.items()
        },
    }


def distribution(values: FloatArray) -> dict[str, float | int]:
    """Return count, mean and percentiles of values; NaN are left out."""
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[np.isfinite(known)]
    if not known.size:
        return {"count": 0}
    percentiles = np.percentile(known, (50.0, 90.0, 99.0))
    return {
        "count": int(known.size),
        "mean": float(known.mean()),
        "median": float(percentiles[0]),
        "p90": float(percentiles[1]),
        "p99": float(percentiles[2]),
        "max": float(known.max()),
    }


def cells_of(evaluation: Evaluation, contender: Contender) -> list[Cell]:
    """Return a bundle's cells over all bags."""
    return [evaluation.cells[e.label, contender.label] for e in evaluation.episodes]


def component_errors(cells: Sequence[Cell]) -> FloatArray:
    """Return the mean absolute error (D_a,) over all ticks of some cells, raw units."""
    return np.asarray(np.nanmean(np.concatenate([c.errors.components for c in cells]), axis=0))


def phase_values(cells: Sequence[Cell]) -> dict[str, FloatArray]:
    """Return the distances to the executed goals (m) by phase, over all cells."""
    found: dict[str, list[FloatArray]] = {}
    for cell in cells:
        for name, values in by_phase(cell.loop.phases, cell.errors.translation_m).items():
            found.setdefault(name or "unknown", []).append(values)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of counts by name, largest first."""
    total: dict[str, int] = {}
    for part in counts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def summary_lines(evaluation: Evaluation) -> list[str]:
    """Return the findings as lines of text."""
    lines = []
    for contender in evaluation.contenders:
        cells = cells_of(evaluation, contender)
        far = distribution(np.concatenate([c.errors.translation_m for c in cells]))
        turned = distribution(np.concatenate([c.errors.rotation_rad for c in cells]))
        latches = np.nanmean(np.concatenate([c.errors.gripper for c in cells]))
        scores = np.concatenate([c.observations.scores for c in cells])
        times = np.concatenate([c.loop.latencies_ms for c in cells])
        kinds = summed([cell.interventions for cell in cells])
        lines.append(
            f"{contender.label}: median {far['median'] * 1e3:.2f} mm, "
            f"{np.degrees(turned['median']):.2f} deg, gripper differs in {latches:.1%} of "
            f"{far['count']} ticks; outside of training {np.mean(scores > 0):.1%} of observations; "
            f"inference median {np.median(times):.2f} ms, p99 {np.percentile(times, 99):.2f} ms; "
            f"gate would act: {', '.join(f'{k} {n}' for k, n in kinds.items()) or 'never'}"
        )
    lines += [
        f"{second} minus {first}: {pair.mean * 1e3:+.2f} mm [{pair.low * 1e3:+.2f}, "
        f"{pair.high * 1e3:+.2f}] over {pair.count} bags, sign test p = {pair.sign_p:.3f}"
        for (first, second), pair in evaluation.pairs.items()
    ]
    lines += [
        f"recorded with {name}: {found.successes} of {found.trials} episodes succeeded, 95 % "
        f"interval {found.low:.0%} to {found.high:.0%}"
        for name, found in evaluation.successes.items()
    ]
    return lines


def _contender(evaluation: Evaluation, contender: Contender) -> dict[str, Any]:
    manifest, cells = contender.bundle.manifest, cells_of(evaluation, contender)
    names = manifest.action.component_names
    units = [field.unit for field in manifest.action.fields for _ in range(field.size)]
    return {
        "path": str(contender.bundle.path),
        "sha256": contender.digest,
        "action_units": dict(zip(names, units, strict=True)),
        "mean_absolute_error": dict(zip(names, component_errors(cells).tolist(), strict=True)),
        "translation_error_m": distribution(
            np.concatenate([cell.errors.translation_m for cell in cells])
        ),
        "rotation_error_rad": distribution(
            np.concatenate([cell.errors.rotation_rad for cell in cells])
        ),
        "translation_error_m_by_phase": {
            name: distribution(values) for name, values in phase_values(cells).items()
        },
        "safety_interventions": summed([cell.interventions for cell in cells]),
    }


def _cell(cell: Cell, contender: Contender) -> dict[str, Any]:
    manifest = contender.bundle.manifest
    actions, names = manifest.action.component_names, manifest.observation.component_names
    phases = by_phase(cell.loop.phases, cell.errors.components)
    return {
        "ticks": len(cell.loop.stamps_ns),
        "refused_queries": cell.loop.refused,
        "translation_error_m": distribution(cell.errors.translation_m),
        "rotation_error_rad": distribution(cell.errors.rotation_rad),
        "gripper_differs_share": float(np.nanmean(cell.errors.gripper)),
        "action_error": {
            name: distribution(cell.errors.components[:, index])
            for index, name in enumerate(actions)
        },
        "action_error_by_phase": {
            phase or "unknown": {
                name: distribution(values[:, index]) for index, name in enumerate(actions)
            }
            for phase, values in phases.items()
        },
        "by_horizon_step": {
            "translation_error_m": _medians(cell.horizon.translation_m),
            "rotation_error_rad": _medians(cell.horizon.rotation_rad),
            "mean_absolute_error": _means(cell.horizon.components),
        },
        "observations_outside_training": {
            "share": cell.observations.share,
            "score": distribution(cell.observations.scores),
            "worst": worst(
                names, cell.observations.component_share, cell.observations.component_excess, _WORST
            ),
        },
        "actions_outside_training": {
            "share": cell.actions.share,
            "faster_than_training_share": cell.actions.fast_share,
            "worst": worst(
                actions, cell.actions.component_share, cell.actions.component_excess, _WORST
            ),
        },
        "inference_ms": distribution(cell.loop.latencies_ms),
        "safety_interventions": dict(cell.interventions),
    }


def _medians(values: FloatArray) -> list[float | None]:
    return [distribution(values[:, h]).get("median") for h in range(values.shape[1])]


def _means(values: FloatArray) -> list[list[float | None]]:
    return [
        [distribution(values[:, h, d]).get("mean") for d in range(values.shape[2])]
        for h in range(values.shape[1])
    ]
