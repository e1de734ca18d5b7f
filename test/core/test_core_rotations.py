# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rotations: group axioms, round trips, closed forms, and proper output for any finite input."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from dppo_ros.core import rotations as rot

Array = NDArray[np.float64]

ANGLE = st.floats(-3.0 * math.pi, 3.0 * math.pi)
VECTOR = hnp.arrays(np.float64, 3, elements=st.floats(-1.0, 1.0))
QUATERNION = (
    hnp.arrays(np.float64, 4, elements=st.floats(-1.0, 1.0))
    .filter(lambda q: np.linalg.norm(q) > 1e-3)
    .map(lambda q: q / np.linalg.norm(q))
)
ROTATION = QUATERNION.map(rot.matrix_from_quaternion)
# What a float32 network can put out, from denormal to just below overflow.
NETWORK_NUMBER = st.floats(width=32, allow_nan=False, allow_infinity=False)
ANY_6D = st.one_of(
    hnp.arrays(np.float64, 6, elements=NETWORK_NUMBER),
    hnp.arrays(np.float64, 6, elements=st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e30])),
    st.builds(lambda row, scale: np.append(row, scale * row), VECTOR, NETWORK_NUMBER),
)


def _assert_rotation(matrix: Array, atol: float = 1e-9) -> None:
    identity = np.broadcast_to(np.eye(3), matrix.shape)
    np.testing.assert_allclose(matrix @ np.swapaxes(matrix, -1, -2), identity, atol=atol)
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0, atol=atol)


@pytest.mark.parametrize(
    ("rotate", "start", "end"),
    [
        (rot.rotation_x, [0, 1, 0], [0, 0, 1]),
        (rot.rotation_y, [0, 0, 1], [1, 0, 0]),
        (rot.rotation_z, [1, 0, 0], [0, 1, 0]),
    ],
)
def test_quarter_turns_follow_the_right_hand(
    rotate: Callable[[float], Array], start: list[float], end: list[float]
) -> None:
    np.testing.assert_allclose(rotate(math.pi / 2) @ start, end, atol=1e-15)


@given(ANGLE, ANGLE)
def test_turns_about_one_axis_add_up(first: float, second: float) -> None:
    for rotate in (rot.rotation_x, rot.rotation_y, rot.rotation_z):
        np.testing.assert_allclose(
            rotate(first) @ rotate(second), rotate(first + second), atol=1e-12
        )
        np.testing.assert_allclose(rotate(-first), rotate(first).T, atol=0)


@given(QUATERNION)
def test_quaternion_and_matrix_are_one_rotation(quaternion: Array) -> None:
    matrix = rot.matrix_from_quaternion(quaternion)
    _assert_rotation(matrix)
    again = rot.quaternion_from_matrix(matrix)
    assert again[3] >= 0.0
    assert rot.quaternion_angle(again, quaternion) < 1e-7
    np.testing.assert_allclose(rot.matrix_from_quaternion(-quaternion), matrix, atol=1e-15)
    np.testing.assert_allclose(rot.matrix_from_quaternion(7.0 * quaternion), matrix, atol=1e-12)


@given(QUATERNION, QUATERNION)
def test_matrix_product_is_the_quaternion_product(first: Array, second: Array) -> None:
    v1, w1, v2, w2 = first[:3], first[3], second[:3], second[3]
    product = np.append(w1 * v2 + w2 * v1 + np.cross(v1, v2), w1 * w2 - v1 @ v2)
    np.testing.assert_allclose(
        rot.matrix_from_quaternion(first) @ rot.matrix_from_quaternion(second),
        rot.matrix_from_quaternion(product),
        atol=1e-12,
    )


@given(ANGLE)
def test_closed_forms_about_z(angle: float) -> None:
    matrix = rot.rotation_z(angle)
    half = rot.quaternion_from_matrix(matrix)
    expected = np.array([0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)])
    expected = rot.canonicalise_quaternion(expected, half)
    np.testing.assert_allclose(half, expected, atol=1e-9)
    np.testing.assert_allclose(rot.matrix_from_rotation_vector([0, 0, angle]), matrix, atol=1e-12)
    wrapped = math.remainder(angle, 2.0 * math.pi)
    vector = rot.rotation_vector_from_matrix(matrix)
    assert abs(np.linalg.norm(vector) - abs(wrapped)) < 1e-9


@given(VECTOR, st.floats(0.0, math.pi - 1e-6))
def test_rotation_vector_round_trip(axis: Array, angle: float) -> None:
    norm = np.linalg.norm(axis)
    vector = axis / norm * angle if norm > 1e-6 else np.zeros(3)
    again = rot.rotation_vector_from_matrix(rot.matrix_from_rotation_vector(vector))
    np.testing.assert_allclose(again, vector, atol=1e-7)


@pytest.mark.parametrize("angle", [0.0, 5e-324, 1e-300, 1e-12, 1e-9, 1e-6])
def test_tiny_rotation_vectors_survive(angle: float) -> None:
    vector = np.array([0.0, angle, 0.0])
    matrix = rot.matrix_from_rotation_vector(vector)
    _assert_rotation(matrix)
    again = rot.rotation_vector_from_matrix(matrix)
    np.testing.assert_allclose(again, vector, rtol=1e-6, atol=1e-16)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.0, -0.8]])
def test_half_turns_have_a_length_of_pi(axis: list[float]) -> None:
    """At pi every component of a careless conversion divides by zero."""
    vector = rot.rotation_vector_from_matrix(
        rot.matrix_from_rotation_vector(math.pi * np.array(axis))
    )
    assert np.linalg.norm(vector) == pytest.approx(math.pi)
    np.testing.assert_allclose(np.abs(vector), math.pi * np.abs(axis), atol=1e-9)


@given(ROTATION)
def test_six_numbers_are_the_first_two_rows(matrix: Array) -> None:
    six = rot.rotation_6d_from_matrix(matrix)
    np.testing.assert_array_equal(six, [*matrix[0], *matrix[1]])
    np.testing.assert_allclose(rot.matrix_from_rotation_6d(six), matrix, atol=1e-9)
    np.testing.assert_allclose(rot.matrix_from_rotation_6d(5.0 * six), matrix, atol=1e-9)


def test_gram_schmidt_by_hand() -> None:
    matrix = rot.matrix_from_rotation_6d([0.0, 2.0, 0.0, -1.0, 5.0, 0.0])
    np.testing.assert_allclose(matrix, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-15)


@given(ANY_6D)
def test_any_six_finite_numbers_give_a_proper_rotation(six: Array) -> None:
    _assert_rotation(rot.matrix_from_rotation_6d(six), atol=1e-6)


@given(QUATERNION, QUATERNION)
def test_canonical_quaternion_is_the_nearer_of_the_two(quaternion: Array, reference: Array) -> None:
    chosen = rot.canonicalise_quaternion(quaternion, reference)
    assert chosen @ reference >= 0.0
    assert np.array_equal(chosen, quaternion) or np.array_equal(chosen, -quaternion)
    if abs(quaternion @ reference) > 1e-12:
        np.testing.assert_array_equal(chosen, rot.canonicalise_quaternion(-quaternion, reference))


def test_canonical_quaternion_does_not_flip_where_w_crosses_zero() -> None:
    """Trap 1 of the furniture task: the nominal table top has w = 0."""
    nominal = np.array([0.0, -math.sqrt(0.5), math.sqrt(0.5), 0.0])
    tilted = [rot.matrix_from_quaternion(nominal) @ rot.rotation_y(a) for a in (-1e-3, 1e-3)]
    plain = rot.quaternion_from_matrix(np.stack(tilted))
    assert plain[0] @ plain[1] < 0.0, "the plain conversion does flip here"
    chosen = rot.canonicalise_quaternion(plain, nominal)
    assert chosen[0] @ chosen[1] > 0.99


@given(QUATERNION, QUATERNION, QUATERNION)
def test_angle_is_a_distance_between_rotations(a: Array, b: Array, c: Array) -> None:
    assert rot.quaternion_angle(a, -a) < 1e-7
    ab, bc, ac = rot.quaternion_angle(a, b), rot.quaternion_angle(b, c), rot.quaternion_angle(a, c)
    assert ab == rot.quaternion_angle(b, a)
    assert 0.0 <= ab <= math.pi
    assert ac <= ab + bc + 1e-7
    difference = rot.matrix_from_quaternion(a) @ rot.matrix_from_quaternion(b).T
    assert abs(np.linalg.norm(rot.rotation_vector_from_matrix(difference)) - ab) < 1e-6


@given(ROTATION, ROTATION, st.floats(0.01, 3.0))
def test_limited_rotation_stays_near_and_on_the_way(
    start: Array, goal: Array, limit_rad: float
) -> None:
    limited = rot.limit_rotation(start, goal, limit_rad)
    _assert_rotation(limited)

    def angle(first: Array, second: Array) -> float:
        return float(np.linalg.norm(rot.rotation_vector_from_matrix(first @ second.T)))

    whole = angle(start, goal)
    assert angle(start, limited) <= limit_rad + 1e-9
    if whole <= limit_rad - 1e-9:
        np.testing.assert_allclose(limited, goal, atol=1e-7)
    assert abs(angle(start, limited) + angle(limited, goal) - whole) < 1e-6


def test_everything_broadcasts_over_leading_dimensions() -> None:
    generator = np.random.default_rng(0)
    quaternions = generator.standard_normal((2, 5, 4))
    quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
    matrices = rot.matrix_from_quaternion(quaternions)
    six = rot.rotation_6d_from_matrix(matrices)
    vectors = rot.rotation_vector_from_matrix(matrices)
    shapes = [(matrices, (2, 5, 3, 3)), (six, (2, 5, 6)), (vectors, (2, 5, 3))]
    assert all(array.shape == shape for array, shape in shapes)
    one = (1, 3)
    np.testing.assert_allclose(matrices[one], rot.matrix_from_quaternion(quaternions[one]))
    np.testing.assert_allclose(rot.matrix_from_rotation_6d(six), matrices, atol=1e-12)
    np.testing.assert_allclose(rot.matrix_from_rotation_vector(vectors), matrices, atol=1e-9)
    np.testing.assert_allclose(
        rot.quaternion_from_matrix(matrices)[one], rot.quaternion_from_matrix(matrices[one])
    )
    assert rot.rotation_x(np.zeros((4, 2))).shape == (4, 2, 3, 3)


def test_agrees_with_scipy() -> None:
    transform = pytest.importorskip("scipy.spatial.transform")
    reference = transform.Rotation.random(50, random_state=0)
    np.testing.assert_allclose(
        rot.matrix_from_quaternion(reference.as_quat()), reference.as_matrix(), atol=1e-12
    )
    np.testing.assert_allclose(
        rot.rotation_vector_from_matrix(reference.as_matrix()), reference.as_rotvec(), atol=1e-9
    )
