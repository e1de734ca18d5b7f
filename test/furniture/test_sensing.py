# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sensors between task and policy: statistics, exact latency, dropouts, seeds; off changes nothing.

The task is a stand-in whose true observation is known in closed form: every part moves along x by
1 mm a step and turns about the vertical by 0.02 rad a step.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import (
    REFERENCE_QUATERNIONS,
    RobotState,
    assemble_observation,
    furniture_action_spec,
    furniture_observation_spec,
    spec_parts,
)
from dppo_ros.core.rotations import (
    matrix_from_quaternion,
    matrix_from_rotation_6d,
    matrix_from_rotation_vector,
    quaternion_from_matrix,
    rotation_vector_from_matrix,
    rotation_z,
)
from sim_training.envs.furniture.randomisation import (
    PRESETS,
    RANGES,
    SWITCHES,
    RandomisationConfig,
    switch_values,
)
from sim_training.envs.furniture.sensing import with_sensors
from sim_training.envs.protocol import (
    BoolArray,
    ChunkSteppable,
    Float32Array,
    IntArray,
    SavableEnv,
    StepEnv,
    StepOutcome,
)

SPEC = furniture_observation_spec()
STEP_M, STEP_RAD = 0.001, 0.02


@functools.cache
def truth(step: float) -> np.ndarray:
    """Return the observation (58,) after so many steps, float64."""
    turn = rotation_z(STEP_RAD * step)
    robot = RobotState(
        np.array([0.5 + STEP_M * step, 0.0, 0.1]),
        turn,
        np.zeros(3),
        np.zeros(3),
        np.array(0.03),
    )
    poses = {
        name: np.concatenate(
            [
                [0.1 + STEP_M * step, 0.2, 0.0],
                quaternion_from_matrix(turn @ matrix_from_quaternion(REFERENCE_QUATERNIONS[name])),
            ]
        )
        for name in spec_parts(SPEC)
    }
    return assemble_observation(SPEC, robot, poses)


class Moving:
    """A task that does what `truth` says, whatever the actions are."""

    name = "moving"
    observation_spec, action_spec = SPEC, furniture_action_spec()
    max_episode_steps, control_rate_hz = 10_000, 10.0
    phase_names = ("start", "done")

    def __init__(self, n_envs: int) -> None:
        self.n_envs = n_envs
        self.steps = np.zeros(n_envs, dtype=np.int64)

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        self.steps[env_ids] = 0
        return self._observe()[env_ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        self.steps += active
        nothing = np.zeros(self.n_envs, dtype=bool)
        info = {"success": nothing, "phase": np.zeros(self.n_envs, dtype=np.int8)}
        return StepOutcome(self._observe(), self.steps.astype(np.float32), nothing, nothing, info)

    def close(self) -> None:
        pass

    def _observe(self) -> Float32Array:
        return np.stack([truth(step) for step in self.steps]).astype(np.float32)


class Chunked(Moving):
    def step_chunk(self, actions: Float32Array, active: BoolArray) -> list[StepOutcome]:
        return [self.step(actions[:, index], active) for index in range(actions.shape[1])]

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps[:] = state["steps"]


def roll(env: StepEnv, seeds: list[int], steps: int) -> np.ndarray:
    """Return what is seen (steps + 1, n, 58) from the reset on."""
    n = env.n_envs
    seen = [env.reset(np.arange(n), np.array(seeds))]
    actions, active = np.zeros((n, 10), dtype=np.float32), np.ones(n, dtype=bool)
    seen += [env.step(actions, active).observation for _ in range(steps)]
    return np.stack(seen)


def sensed(n_envs: int, **values: float) -> StepEnv:
    return with_sensors(Moving(n_envs), RandomisationConfig(**values), "top")  # type: ignore[arg-type]


def test_perfect_sensors_are_no_wrapper() -> None:
    env = Moving(2)
    assert with_sensors(env, RandomisationConfig()) is env
    assert with_sensors(env, switch_values("mass", "wide")) is env


def test_noise_of_parts_has_the_standard_deviation_asked_for() -> None:
    seen = roll(sensed(10, part_noise_m=0.002, part_noise_rad=0.01), list(range(10)), 200)
    true = np.stack([truth(step) for step in range(201)])[:, None]
    for name in spec_parts(SPEC):
        place = SPEC.slice(f"{name}_pose")
        error = (seen - true)[..., place][..., :3]
        assert np.allclose(error.std(axis=(0, 1)), 0.002, rtol=0.08)
        assert np.allclose(error.mean(axis=(0, 1)), 0.0, atol=2e-4)
        turn = rotation_vector_from_matrix(
            matrix_from_quaternion(seen[:100, 0, place][:, 3:])
            @ np.swapaxes(matrix_from_quaternion(true[:100, 0, place][:, 3:]), -1, -2)
        )
        assert np.allclose(turn.std(axis=0), 0.01, rtol=0.3)
    # The robot has sensors of its own, and quaternions keep their sign and length.
    np.testing.assert_array_equal(seen[..., :16], np.broadcast_to(true, seen.shape)[..., :16])
    top = seen[..., SPEC.slice("top_pose")][..., 3:]
    assert np.allclose(np.linalg.norm(top, axis=-1), 1.0, atol=1e-6)
    assert np.all(top[:60] @ REFERENCE_QUATERNIONS["top"] > 0)


def test_bias_stays_for_an_episode_and_differs_between_parts_and_episodes() -> None:
    env = sensed(200, part_bias_m=0.003)
    seen = roll(env, list(range(200)), 5)
    error = (seen - np.stack([truth(s) for s in range(6)])[:, None])[..., SPEC.slice("leg1_pose")]
    assert np.allclose(error, error[:1], atol=1e-7)
    assert np.allclose(error[0, :, :3].std(axis=0), 0.003, rtol=0.25)
    other = (seen - np.stack([truth(s) for s in range(6)])[:, None])[..., SPEC.slice("leg2_pose")]
    assert not np.allclose(other[0, 0, :3], error[0, 0, :3], atol=1e-5)
    np.testing.assert_array_equal(error[..., 3:], 0.0)


def test_the_hole_offset_has_exactly_its_length_and_moves_one_part_only() -> None:
    seen = roll(sensed(8, hole_offset_m=0.004), list(range(8)), 2)
    error = seen - np.stack([truth(s) for s in range(3)])[:, None]
    top = SPEC.slice("top_pose")
    assert np.allclose(np.linalg.norm(error[..., top][..., :2], axis=-1), 0.004, atol=1e-6)
    assert np.allclose(error[..., top][..., 2], 0.0, atol=1e-7)
    rest = np.delete(error, np.arange(top.start, top.stop), axis=-1)
    np.testing.assert_array_equal(rest, 0.0)
    ways = error[0, :, top.start : top.start + 2]
    assert len({tuple(np.round(way, 6)) for way in ways}) == 8


@pytest.mark.parametrize("latency_ms", [40.0, 100.0, 250.0])
def test_latency_is_exact_on_a_known_motion(latency_ms: float) -> None:
    seen = roll(sensed(1, part_latency_ms=latency_ms), [3], 12)[:, 0]
    for step in range(13):
        # Before the episode everything stood where it starts.
        expected = truth(max(step - latency_ms / 100.0, 0.0))
        if step >= 3:
            np.testing.assert_allclose(seen[step, 16:], expected[16:], atol=2e-6)
        np.testing.assert_array_equal(seen[step, :16], truth(step)[:16])
    np.testing.assert_allclose(seen[0, 16:], truth(0)[16:], atol=1e-6)


def test_latency_of_the_robot_leaves_the_parts_alone() -> None:
    seen = roll(sensed(1, robot_latency_ms=150.0), [3], 6)[:, 0]
    np.testing.assert_allclose(seen[6, :16], truth(4.5)[:16], atol=1e-5)
    np.testing.assert_array_equal(seen[6, 16:], truth(6)[16:])
    matrix = matrix_from_rotation_6d(seen[6, SPEC.slice("tool_rotation_6d")])
    np.testing.assert_allclose(matrix, rotation_z(4.5 * STEP_RAD), atol=1e-5)


def test_robot_noise_by_field() -> None:
    values = {"robot_noise_m": 0.001, "robot_noise_rad": 0.01, "robot_noise_m_s": 0.02}
    seen = roll(sensed(1, gripper_noise_m=0.0005, **values), [0], 500)[:, 0]
    error = seen - np.stack([truth(step) for step in range(501)])
    assert np.allclose(error[:, :3].std(axis=0), 0.001, rtol=0.1)
    assert np.allclose(error[:, 9:15].std(axis=0), 0.02, rtol=0.1)
    assert error[:, 15].std() == pytest.approx(0.0005, rel=0.1)
    np.testing.assert_array_equal(error[:, 16:], 0.0)
    turns = [
        rotation_vector_from_matrix(
            matrix_from_rotation_6d(seen[step, 3:9]) @ rotation_z(STEP_RAD * step).T
        )
        for step in range(300)
    ]
    assert np.allclose(np.std(turns, axis=0), 0.01, rtol=0.15)


def test_dropouts_freeze_a_pose_for_a_limited_time() -> None:
    rate, longest = 0.05, 4
    seen = roll(
        sensed(20, part_dropout_rate=rate, part_dropout_steps=longest), list(range(20)), 500
    )
    x = seen[..., SPEC.slice("leg3_pose")][..., 0]
    frozen = np.diff(x, axis=0) == 0.0
    runs = [
        len(run)
        for column in frozen.T
        for run in "".join("x" if one else " " for one in column).split()
    ]
    assert max(runs) >= longest and min(runs) == 1
    # A freeze lasts 2.5 steps on average; a chance of 5 % lets 19 steps pass before it.
    assert frozen.mean() == pytest.approx(2.5 / 21.5, rel=0.12)
    # When it is over, the truth is back.
    moving = np.vstack([np.zeros((1, 20), bool), frozen])
    expected = np.array([truth(step)[SPEC.slice("leg3_pose")][0] for step in range(501)])
    np.testing.assert_array_equal(x[~moving], np.broadcast_to(expected[:, None], x.shape)[~moving])


def test_outliers_are_rare_and_far() -> None:
    seen = roll(sensed(4, part_outlier_rate=0.02, part_outlier_m=0.071), [1, 2, 3, 4], 500)
    true = np.stack([truth(step) for step in range(501)])[:, None]
    distance = np.linalg.norm((seen - true)[..., SPEC.slice("leg4_pose")][..., :3], axis=-1)
    far = distance > 1e-5
    assert far.mean() == pytest.approx(0.02, rel=0.4)
    assert np.allclose(distance[far], 0.071, atol=1e-6)


WIDE = RandomisationConfig(preset="wide")


def test_the_same_seed_gives_the_same_disturbance_in_any_batch() -> None:
    alone = roll(with_sensors(Moving(1), WIDE, "top"), [42], 30)[:, 0]
    among = roll(with_sensors(Moving(3), WIDE, "top"), [7, 8, 42], 30)
    np.testing.assert_array_equal(among[:, 2], alone)
    assert not np.array_equal(among[:, 0], alone)
    env = with_sensors(Moving(1), WIDE, "top")
    roll(env, [5], 11)
    np.testing.assert_array_equal(roll(env, [42], 30)[:, 0], alone)


def test_a_stronger_disturbance_has_the_same_shape() -> None:
    weak, strong = (roll(sensed(1, part_noise_m=size), [9], 20)[:, 0] for size in (0.001, 0.003))
    true = np.stack([truth(step) for step in range(21)])
    np.testing.assert_allclose(3 * (weak - true), strong - true, atol=1e-6)


def test_cells_that_do_not_move_repeat_what_they_reported() -> None:
    env = with_sensors(Moving(2), WIDE, "top")
    env.reset(np.arange(2), np.array([1, 2]))
    active = np.array([True, False])
    first = env.step(np.zeros((2, 10), np.float32), active).observation
    second = env.step(np.zeros((2, 10), np.float32), active).observation
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], second[0])


def test_reward_and_endings_stay_the_truth() -> None:
    env = with_sensors(Moving(1), WIDE)
    env.reset(np.arange(1), np.array([0]))
    outcome = env.step(np.zeros((1, 10), np.float32), np.ones(1, bool))
    assert outcome.reward[0] == 1.0 and set(outcome.info) == {"success", "phase"}


def test_whole_chunks_and_saving_work_where_the_simulator_can() -> None:
    plain = with_sensors(Moving(1), WIDE, "top")
    assert not isinstance(plain, ChunkSteppable) and not isinstance(plain, SavableEnv)
    env = with_sensors(Chunked(1), WIDE, "top")
    assert isinstance(env, ChunkSteppable) and isinstance(env, SavableEnv)
    expected = roll(plain, [3], 8)[1:, 0]
    env.reset(np.arange(1), np.array([3]))
    first = env.step_chunk(np.zeros((1, 4, 10), np.float32), np.ones(1, bool))
    state = env.state_dict()
    chunks = [first]
    for _ in range(2):
        env.load_state_dict(state)
        chunks.append(env.step_chunk(np.zeros((1, 4, 10), np.float32), np.ones(1, bool)))
    for later in chunks[1:]:
        both = np.stack([outcome.observation[0] for outcome in (*first, *later)])
        np.testing.assert_array_equal(both, expected)


def test_a_small_rotation_keeps_the_sign_of_the_reference() -> None:
    seen = roll(sensed(5, part_bias_rad=0.2), list(range(5)), 1)
    for name in spec_parts(SPEC):
        quaternion = seen[..., SPEC.slice(f"{name}_pose")][..., 3:]
        assert np.all(quaternion @ REFERENCE_QUATERNIONS[name] > 0)
    assert matrix_from_rotation_vector(np.zeros(3)) == pytest.approx(np.eye(3))


@pytest.mark.parametrize("name", sorted(RANGES))
def test_values_outside_their_range_are_refused(name: str) -> None:
    low, high = RANGES[name]
    for value in (low - 1e-3, high * 1.01):
        with pytest.raises(ConfigError, match=rf"{name} is .*must be in \[{low:g}, {high:g}\]"):
            RandomisationConfig(**{name: value})  # type: ignore[arg-type]
    RandomisationConfig(**{name: high})  # type: ignore[arg-type]


def test_presets_name_known_fields_within_range_and_every_field_has_a_switch() -> None:
    for values in PRESETS.values():
        assert set(values) <= set(RANGES)
        RandomisationConfig(**values)  # type: ignore[arg-type]
    assert sorted(name for names in SWITCHES.values() for name in names) == sorted(RANGES)
    for name, value in PRESETS["measured"].items():
        assert 0 < value <= PRESETS["wide"][name]


def test_a_preset_gives_way_to_what_is_said() -> None:
    config = RandomisationConfig(preset="measured", part_noise_m=0.004, without=("pushes", "mass"))
    resolved = config.resolved()
    assert resolved.preset == "none" and resolved.without == ()
    assert resolved.part_noise_m == 0.004
    assert resolved.part_latency_ms == PRESETS["measured"]["part_latency_ms"]
    assert resolved.push_rate == 0.0 and resolved.part_mass_spread == 0.0
    assert config.changed(part_noise_m=0.0).part_noise_m == 0.0
    with pytest.raises(ConfigError, match="did you mean 'pushes'"):
        RandomisationConfig(without=("push",))
    with pytest.raises(ConfigError, match="did you mean 'friction'"):
        switch_values("frictoin", "wide")
