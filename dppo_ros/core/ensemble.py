# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Temporal ensembling: the action of a tick is the average of all that was predicted for it.

After ACT (Zhao et al. 2023), with two changes. Rotations are averaged as rotations: the matrices'
weighted sum is projected back by a singular value decomposition (the chordal mean). A gripper
value is a decision, so it is put to the vote: the side with more weight wins, and its values are
averaged.

Legend: m predictions, n actions of a chunk, A action numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.execution import Float32Array, Guidance, offset_steps
from dppo_ros.core.rotations import matrix_from_rotation_6d, rotation_6d_from_matrix
from dppo_ros.core.spec import VectorSpec

Float64Array = NDArray[np.float64]

ROTATION_SUFFIX = "rotation_6d"
VOTED_FIELD = "gripper"


@dataclass(frozen=True)
class ActionColumns:
    """Which numbers of an action are averaged how; the rest by a plain weighted mean.

    Attributes:
        rotations: First columns of 6D rotations.
        votes: Columns whose sign is a decision.
    """

    rotations: tuple[int, ...]
    votes: tuple[int, ...]


def action_columns(spec: VectorSpec) -> ActionColumns:
    """Return the columns of a layout that need more than a mean."""
    rotations: list[int] = []
    votes: list[int] = []
    start = 0
    for field in spec.fields:
        if field.name.endswith(ROTATION_SUFFIX) and field.size == 6:
            rotations.append(start)
        elif field.name == VOTED_FIELD:
            votes += range(start, start + field.size)
        start += field.size
    return ActionColumns(tuple(rotations), tuple(votes))


class TemporalEnsemble:
    """Keeps the predictions that still reach into the future and averages them."""

    def __init__(self, action: VectorSpec, period_ns: int, query_steps: int, decay: float) -> None:
        """Start without predictions.

        Args:
            action: Layout of an action.
            period_ns: Time between two actions (ns).
            query_steps: Steps between queries; 1 asks at every tick.
            decay: A prediction that is k steps old has weight exp(decay * k).
        """
        self.query_steps = query_steps
        self._columns = action_columns(action)
        self._period_ns = period_ns
        self._decay = decay
        self._predictions: list[tuple[int, Float32Array]] = []

    def reset(self) -> None:
        """Forget the predictions."""
        self._predictions.clear()

    def guidance(self, stamp_ns: int, delay_steps: int) -> Guidance | None:
        """Return None: predictions are made independently and averaged afterwards."""
        return None

    def take(
        self, stamp_ns: int, predicted: Float32Array, guidance: Guidance | None
    ) -> Float32Array:
        """Return (n, A): per tick the average of every prediction for it."""
        if self._predictions and stamp_ns <= self._predictions[-1][0]:
            self.reset()
        kept = []
        for stamp, actions in self._predictions:
            age = offset_steps(stamp, stamp_ns, self._period_ns)
            if age < len(actions):
                kept.append((age, stamp, actions))
        self._predictions = [(stamp, actions) for _, stamp, actions in kept]
        self._predictions.append((stamp_ns, predicted))
        ages = [age for age, _, _ in kept]
        return self._averaged(predicted, ages, [actions for _, _, actions in kept])

    def _averaged(
        self, newest: Float32Array, ages: list[int], older: list[Float32Array]
    ) -> Float32Array:
        if not older:
            return newest
        steps = len(newest)
        table = np.repeat(newest[None].astype(np.float64), len(older) + 1, axis=0)
        weights = np.zeros((len(older) + 1, steps))
        for row, (age, actions) in enumerate(zip(ages, older, strict=True)):
            rest = actions[age:][:steps]
            table[row, : len(rest)] = rest
            weights[row, : len(rest)] = self._decay * age
            weights[row, len(rest) :] = -np.inf
        raised = np.exp(weights - weights.max(axis=0))
        average = weighted_average(table, raised, self._columns).astype(np.float32)
        # Where all agree their common value stands, without the rounding of an average.
        differs = ((table != table[-1]).any(axis=2) & (raised > 0.0)).any(axis=0)
        return np.where(differs[:, None], average, newest)


def weighted_average(
    table: Float64Array, weights: Float64Array, columns: ActionColumns
) -> Float64Array:
    """Return (n, A), the average over predictions.

    Args:
        table: (m, n, A) predictions.
        weights: (m, n), not negative, per step at least one above 0.
        columns: What needs more than a mean.
    """
    share = weights / weights.sum(axis=0)
    average = np.einsum("mn,mna->na", share, table)
    for start in columns.rotations:
        span = slice(start, start + 6)
        total = np.einsum("mn,mnij->nij", share, matrix_from_rotation_6d(table[..., span]))
        average[:, span] = rotation_6d_from_matrix(nearest_rotation(total))
    for column in columns.votes:
        average[:, column] = _vote(table[..., column], share)
    return average


def nearest_rotation(matrix: Float64Array) -> Float64Array:
    """Return the rotations (..., 3, 3) nearest to matrices (..., 3, 3), by Frobenius norm."""
    left, _, right = np.linalg.svd(matrix)
    sign = np.linalg.det(left @ right)
    left[..., :, 2] *= sign[..., None]
    return np.asarray(left @ right)


def _vote(values: Float64Array, share: Float64Array) -> Float64Array:
    """Return (n,): the mean of those values (m, n) whose sign has more weight, at a tie +."""
    positive = values >= 0.0
    wins = (share * positive).sum(axis=0) >= 0.5
    ballots = share * (positive == wins)
    total = np.maximum(ballots.sum(axis=0), np.finfo(np.float64).tiny)
    return np.asarray((ballots * values).sum(axis=0) / total)
