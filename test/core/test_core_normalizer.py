# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Min-max scaling: hand-worked numbers, round trips and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)
ROWS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FINITE)


def test_ends_map_to_plus_minus_one_and_middle_to_zero() -> None:
    normalizer = MinMaxNormalizer(np.array([0.0, -2.0]), np.array([10.0, 2.0]))
    values = np.array([[0.0, -2.0], [10.0, 2.0], [5.0, 0.0], [15.0, 1.0]])
    expected = [[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [2.0, 0.5]]
    np.testing.assert_allclose(normalizer.normalize(values), expected)
    np.testing.assert_allclose(
        normalizer.normalize(values, clip=0.75)[:2], [[-0.75] * 2, [0.75] * 2]
    )


def test_constant_component_gets_one_on_each_side() -> None:
    normalizer = MinMaxNormalizer.from_samples([[3.0, 1.0], [3.0, 2.0]])
    np.testing.assert_array_equal(normalizer.minimum, [2.0, 1.0])
    np.testing.assert_array_equal(normalizer.maximum, [4.0, 2.0])
    np.testing.assert_allclose(normalizer.normalize([3.0, 1.5]), [0.0, 0.0])


@given(ROWS)
def test_samples_land_in_the_unit_box_and_come_back(rows: NDArray[np.float64]) -> None:
    normalizer = MinMaxNormalizer.from_samples(rows)
    scaled = normalizer.normalize(rows)
    assert np.abs(scaled).max() <= 1.0 + 1e-9
    span = normalizer.maximum - normalizer.minimum
    assert np.abs(normalizer.denormalize(scaled) - rows).max() <= 1e-9 * max(1.0, span.max())


@given(ROWS)
def test_json_round_trip_is_exact(rows: NDArray[np.float64]) -> None:
    normalizer = MinMaxNormalizer.from_samples(rows)
    again = MinMaxNormalizer.from_json(json.loads(json.dumps(normalizer.to_json())))
    assert again == normalizer


def test_float32_stays_float32_and_leading_dimensions_stay() -> None:
    normalizer = MinMaxNormalizer(np.zeros(2), np.ones(2))
    values = np.zeros((3, 4, 2), dtype=np.float32)
    assert normalizer.normalize(values).dtype == np.float32
    assert normalizer.normalize(values).shape == values.shape
    assert normalizer.denormalize(values.astype(np.float64)).dtype == np.float64


def test_ends_are_owned_and_read_only() -> None:
    minimum = np.zeros(2)
    normalizer = MinMaxNormalizer(minimum, np.ones(2))
    minimum[0] = -9.0
    assert normalizer.minimum[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        normalizer.minimum[0] = 1.0


@pytest.mark.parametrize(
    ("minimum", "maximum", "message"),
    [
        ([0.0, np.nan], [1.0, 1.0], "minimum is nan at component 1"),
        ([0.0, 0.0], [1.0, np.inf], "maximum is inf at component 1"),
        ([0.0, 2.0], [1.0, 1.0], r"minimum 2\.0 is above maximum 1\.0 at component 1"),
        ([0.0], [1.0, 1.0], "1 components and maximum 2"),
        ([[0.0]], [[1.0]], r"shape \(1, 1\)"),
        ([], [], r"shape \(0,\)"),
        (["a"], [1.0], "must be a list of numbers"),
        ([1e300], [1e300], "range of component 0 is 0.0"),
        ([-1.7e308], [1.7e308], "range of component 0 is inf"),
    ],
)
def test_impossible_ends_are_refused(minimum: ArrayLike, maximum: ArrayLike, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MinMaxNormalizer(minimum, maximum)


def test_wrong_sizes_and_bad_samples_are_refused() -> None:
    normalizer = MinMaxNormalizer(np.zeros(2), np.ones(2))
    for call in (normalizer.normalize, normalizer.denormalize):
        with pytest.raises(ConfigError, match=r"shape \(3,\) do not fit a normaliser of 2"):
            call(np.zeros(3))
    with pytest.raises(ConfigError, match="row 1, component 0 is nan"):
        MinMaxNormalizer.from_samples([[0.0], [np.nan]])
    with pytest.raises(ConfigError, match=r"shape \(0, 3\)"):
        MinMaxNormalizer.from_samples(np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "expected a JSON object, found None"),
        ({"minimum": [0]}, "lacks the key 'maximum'"),
        ({"minimum": [0], "maximum": [1, 2]}, "a list of 1 finite numbers"),
        ({"minimum": [0], "maximum": [1], "mean": [0]}, "unknown key 'mean'"),
        ({"minimum": [float("nan")], "maximum": [1]}, r"'minimum\[0\]' is nan"),
    ],
)
def test_damaged_json_is_refused(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MinMaxNormalizer.from_json(value)
