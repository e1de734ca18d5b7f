# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far observations and actions lie outside of what a policy was trained on.

The bundle knows the training data as ranges: the observation normaliser maps each component of
the demonstrations to [-1, 1], the action envelope holds the smallest and largest action and the
largest change from one control step to the next. So the score of an observation is

    s = max over components of max(0, |z| - 1),   z = normalised component,

0 inside every range, 1 when some component lies as far beyond its range as the middle of the
range is from its edge. It sees values that never occurred, not unusual combinations of usual
ones; and components that never changed in training have a range of two units around their value.

Legend: N observations, M chunks, n actions in a chunk, D components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.manifest import ActionEnvelope
from dppo_ros.core.normalizer import MinMaxNormalizer

_ROUNDING = 1e-4
"""What 32-bit data may exceed its own range by, in half-ranges."""


@dataclass(frozen=True, eq=False)
class ObservationOutliers:
    """Observations against the normaliser.

    Attributes:
        scores: (N,) score of each observation, see the module.
        component_share: (D,) share of observations in which the component is out of its range.
        component_excess: (D,) largest excess of the component, in half-ranges.
    """

    scores: NDArray[np.float64]
    component_share: NDArray[np.float64]
    component_excess: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Return the share of observations with any component outside."""
        return float(np.mean(self.scores > 0.0)) if self.scores.size else 0.0


@dataclass(frozen=True, eq=False)
class ActionOutliers:
    """Predicted actions against the envelope.

    Attributes:
        share: Share of actions with any component outside of the training range.
        component_share: (D,) share of actions in which the component is outside.
        component_excess: (D,) largest excess of the component, raw units.
        fast_share: Share of steps inside chunks with any change above the largest one in training.
    """

    share: float
    component_share: NDArray[np.float64]
    component_excess: NDArray[np.float64]
    fast_share: float


def observation_outliers(
    vectors: NDArray[np.floating], normalizer: MinMaxNormalizer
) -> ObservationOutliers:
    """Return how (N, D) raw observations lie to the ranges of a normaliser."""
    excess = np.abs(normalizer.normalize(np.asarray(vectors, dtype=np.float64))) - 1.0
    excess = np.where(excess > _ROUNDING, excess, 0.0)
    return ObservationOutliers(
        scores=excess.max(axis=1),
        component_share=(excess > 0.0).mean(axis=0),
        component_excess=excess.max(axis=0),
    )


def action_outliers(chunks: NDArray[np.floating], envelope: ActionEnvelope) -> ActionOutliers:
    """Return how (M, n, D) raw actions lie to the envelope of the training actions."""
    actions = np.asarray(chunks, dtype=np.float64)
    slack = _ROUNDING * np.maximum(envelope.maximum - envelope.minimum, 1e-9)
    excess = np.maximum(envelope.minimum - actions, actions - envelope.maximum)
    outside = excess > slack
    changes = np.abs(np.diff(actions, axis=1))
    fast = (changes > envelope.max_step_change + slack).any(axis=2)
    return ActionOutliers(
        share=float(outside.any(axis=2).mean()),
        component_share=outside.mean(axis=(0, 1)),
        component_excess=np.where(outside, excess, 0.0).max(axis=(0, 1)),
        fast_share=float(fast.mean()) if fast.size else 0.0,
    )


def worst(
    names: Sequence[str], share: NDArray[np.float64], excess: NDArray[np.float64], count: int
) -> list[tuple[str, float, float]]:
    """Return name, share and excess of the components that are outside most often."""
    order = np.lexsort((excess, share))[::-1]
    return [(names[i], float(share[i]), float(excess[i])) for i in order[:count] if share[i] > 0.0]
