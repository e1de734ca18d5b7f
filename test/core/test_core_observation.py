# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The furniture vectors: documented order, frames worked by hand, round trips and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from dppo_ros.core import observation as obs
from dppo_ros.core.errors import ActionError, ObservationError
from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_x
from dppo_ros.core.spec import Field, VectorSpec

Array = NDArray[np.float64]

SPEC = obs.furniture_observation_spec(obs.ONE_LEG_PARTS)
NAMES = (*obs.ONE_LEG_PARTS, obs.OBSTACLE)
POSITION = hnp.arrays(np.float64, 3, elements=st.floats(-1.0, 1.0))
ROTATION = hnp.arrays(np.float64, 3, elements=st.floats(-3.0, 3.0)).map(matrix_from_rotation_vector)


def _robot(*leading: int) -> obs.RobotState:
    return obs.RobotState(
        tool_position=np.full((*leading, 3), [0.1, 0.2, 0.3]),
        base_from_tool=np.broadcast_to(rotation_x(math.pi), (*leading, 3, 3)),
        tool_linear_velocity=np.full((*leading, 3), [1.0, 2.0, 3.0]),
        tool_angular_velocity=np.full((*leading, 3), [4.0, 5.0, 6.0]),
        gripper_width=np.full(leading, 0.065),
    )


def _poses(*leading: int) -> dict[str, Array]:
    return {
        name: np.broadcast_to([10.0 + i, 0.0, 0.0, *obs.REFERENCE_QUATERNIONS[name]], (*leading, 7))
        for i, name in enumerate(NAMES)
    }


def test_layout_is_the_documented_one() -> None:
    """Published DPPO layout: 58 numbers, robot first, parts, obstacle last."""
    assert SPEC.dim == 58
    starts = [SPEC.slice(name).start for name in SPEC.names]
    assert starts == [0, 3, 9, 12, 15, 16, 23, 30, 37, 44, 51]
    assert SPEC.names[5:] == tuple(f"{name}_pose" for name in NAMES)
    assert obs.spec_parts(SPEC) == NAMES
    assert obs.furniture_observation_spec(("a", "b", "c")).dim == 44
    action = obs.furniture_action_spec()
    assert action.dim == 10 and action.slice("gripper") == slice(9, 10)


def test_numbers_land_in_their_places() -> None:
    vector = obs.assemble_observation(SPEC, _robot(), _poses())
    assert vector.dtype == np.float32 and vector.shape == (58,)
    np.testing.assert_allclose(vector[:16], [
        0.1, 0.2, 0.3, 1, 0, 0, 0, -1, 0, 1, 2, 3, 4, 5, 6, 0.065,
    ], atol=1e-7)  # fmt: skip
    np.testing.assert_allclose(vector[16::7], [10, 11, 12, 13, 14, 15])


def test_batches_equal_single_vectors() -> None:
    batch = obs.assemble_observation(SPEC, _robot(2, 3), _poses(2, 3))
    assert batch.shape == (2, 3, 58)
    np.testing.assert_array_equal(batch[1, 2], obs.assemble_observation(SPEC, _robot(), _poses()))


@pytest.mark.parametrize("name", NAMES)
def test_both_quaternions_of_a_part_give_the_same_observation(name: str) -> None:
    poses = _poses()
    expected = obs.assemble_observation(SPEC, _robot(), poses)
    poses[name] = poses[name] * np.array([1, 1, 1, -1, -1, -1, -1])
    np.testing.assert_array_equal(obs.assemble_observation(SPEC, _robot(), poses), expected)


def test_missing_or_misshapen_pose_is_refused() -> None:
    poses = _poses()
    with pytest.raises(ObservationError, match=r"pose of 'leg2' has shape \(6,\)"):
        obs.assemble_observation(SPEC, _robot(), {**poses, "leg2": np.zeros(6)})
    del poses["leg4"]
    with pytest.raises(ObservationError, match="no pose for 'leg4'; poses given: leg1, leg2"):
        obs.assemble_observation(SPEC, _robot(), poses)


def test_layout_of_another_robot_is_refused() -> None:
    strange = VectorSpec((*SPEC.fields, Field("torque", 1, "N m", "none", ("t",))))
    with pytest.raises(ObservationError, match="'torque' is unknown"):
        obs.assemble_observation(strange, _robot(), _poses())
    short = VectorSpec((Field("tool_position", 2, "m", "base", ("x", "y")), *SPEC.fields[1:]))
    with pytest.raises(ObservationError, match="'tool_position' has 3 numbers, expected 2"):
        obs.assemble_observation(short, _robot(), _poses())


@given(POSITION, ROTATION, st.floats(-1.0, 1.0))
def test_action_round_trip(position: Array, matrix: Array, gripper: float) -> None:
    action = obs.join_action(position, matrix, gripper)
    assert action.shape == (10,)
    again, again_matrix, again_gripper = obs.split_action(action)
    np.testing.assert_array_equal(again, position)
    np.testing.assert_allclose(again_matrix, matrix, atol=1e-9)
    assert again_gripper == gripper


def test_actions_split_in_batches_and_refuse_other_sizes() -> None:
    position, matrix, gripper = obs.split_action(np.ones((4, 8, 10)))
    assert (position.shape, matrix.shape, gripper.shape) == ((4, 8, 3), (4, 8, 3, 3), (4, 8))
    with pytest.raises(ActionError, match=r"shape \(8,\), expected \(\.\.\., 10\)"):
        obs.split_action(np.ones(8))


def test_tag_frame_by_hand() -> None:
    """Robot frame = (0.3015 + y_tag, x_tag, -z_tag)."""
    position, matrix = obs.base_pose_from_tag([0.1, 0.2, -0.05, 0.0, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(position, [0.5015, 0.1, 0.05], atol=1e-12)
    np.testing.assert_allclose(matrix @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(matrix @ [0, 0, 1], [0, 0, -1], atol=1e-12)
    front = obs.base_pose_from_tag([0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0])[0]
    np.testing.assert_allclose(front, [0.6815, 0.0, 0.015], atol=1e-12)


@given(POSITION, ROTATION)
def test_tag_and_base_frames_are_inverse(position: Array, matrix: Array) -> None:
    again, again_matrix = obs.base_pose_from_tag(obs.tag_pose_from_base(position, matrix))
    np.testing.assert_allclose(again, position, atol=1e-12)
    np.testing.assert_allclose(again_matrix, matrix, atol=1e-9)


def test_reference_quaternions_are_unit_and_complete() -> None:
    assert set(NAMES) <= set(obs.REFERENCE_QUATERNIONS)
    for quaternion in obs.REFERENCE_QUATERNIONS.values():
        assert np.linalg.norm(quaternion) == pytest.approx(1.0)
