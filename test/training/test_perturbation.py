# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What leads the expert off its path: random pushes and bursts of a policy."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.observation import join_action, split_action
from dppo_ros.core.rotations import rotation_vector_from_matrix, rotation_z
from sim_training.data.perturbation import PolicyBursts, RandomPushes, Undisturbed

N = 6
OBSERVATIONS = np.arange(N, dtype=np.float32)[:, None] * np.ones((1, 3), dtype=np.float32)
ALL = np.ones(N, dtype=bool)
GOAL = join_action(np.array([0.5, 0.1, 0.2]), rotation_z(0.4), 1.0)
ACTIONS = np.tile(GOAL.astype(np.float32), (N, 1))
ACT_STEPS = 3


def pushes(rate: float, seed: int = 0) -> RandomPushes:
    return RandomPushes(rate, translation_m=0.03, rotation_rad=0.15, n_envs=N, seed=seed)


def run(source: RandomPushes, steps: int, active: np.ndarray = ALL) -> tuple[np.ndarray, ...]:
    """Executed actions (steps, N, 10) and flags (steps, N)."""
    rows = [source.apply(OBSERVATIONS, ACTIONS, active) for _ in range(steps)]
    return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def test_undisturbed_changes_nothing() -> None:
    executed, disturbed = Undisturbed().apply(OBSERVATIONS, ACTIONS, ALL)
    np.testing.assert_array_equal(executed, ACTIONS)
    assert not disturbed.any()


def test_pushes_stay_within_their_reach_and_spare_other_rows() -> None:
    executed, pushed = run(pushes(0.1), 300)
    assert pushed.any(axis=0).all()
    np.testing.assert_array_equal(executed[~pushed], np.tile(ACTIONS[0], ((~pushed).sum(), 1)))
    position, rotation, gripper = split_action(executed[pushed])
    start, base_from_goal, _ = split_action(ACTIONS[0])
    assert np.abs(position - start).max() <= 0.03 + 1e-6
    turn = rotation_vector_from_matrix(rotation @ base_from_goal.T)
    assert np.abs(turn).max() <= 0.15 + 1e-5
    assert np.abs(position - start).max() > 0.025
    assert np.abs(turn).max() > 0.12
    np.testing.assert_allclose(
        rotation @ rotation.swapaxes(-1, -2), [np.eye(3)] * len(turn), atol=1e-5
    )
    assert (gripper == 1.0).all()
    np.testing.assert_allclose(ACTIONS, np.tile(GOAL, (N, 1)), atol=1e-7)


def test_pushes_begin_at_the_given_rate_and_last_two_to_seven_steps() -> None:
    """An idle step begins a push with probability `rate`; an offset is constant while it lasts."""
    rate, steps = 0.05, 2000
    executed, pushed = run(pushes(rate), steps)
    begins, idle = 0, 0
    for env_id in range(N):
        length = 0
        for step in range(steps):
            changed = step == 0 or not np.array_equal(*executed[step - 1 : step + 1, env_id])
            if not pushed[step, env_id]:
                assert length == 0 or 2 <= length <= 7
                length, idle = 0, idle + 1
            elif changed:
                assert length == 0 or 2 <= length <= 7
                length, begins, idle = 1, begins + 1, idle + 1
            else:
                length += 1
    assert begins / idle == pytest.approx(rate, rel=0.2)


def test_rate_zero_never_pushes_and_seeds_reproduce() -> None:
    assert not run(pushes(0.0), 50)[1].any()
    first, again, other = (run(pushes(0.1, seed), 50)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_inactive_rows_are_not_pushed() -> None:
    active = np.array([True, False] * (N // 2))
    executed, pushed = run(pushes(0.2), 100, active)
    assert pushed[:, active].any()
    assert not pushed[:, ~active].any()
    np.testing.assert_array_equal(executed[:, ~active], np.tile(ACTIONS[0], (100, N // 2, 1)))


class CountingPolicy:
    """Chunk k (over all rows) of an observation x holds k + 0.1 i at step i and x at the end."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = []

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        self.asked.append(observations[:, 0].tolist())
        chunk = np.zeros((len(observations), ACT_STEPS, 10), dtype=np.float32)
        chunk[:, :, 0] = 100 * len(self.asked) + np.arange(ACT_STEPS)
        chunk[:, :, 9] = observations[:, :1]
        return chunk


def bursts(rate: float, max_chunks: int = 2, seed: int = 0) -> tuple[PolicyBursts, CountingPolicy]:
    policy = CountingPolicy()
    return PolicyBursts(policy, rate, max_chunks, N, seed), policy


def test_bursts_execute_whole_chunks_in_order() -> None:
    """The policy sees the observation of the moment and is asked again only after its chunk."""
    source, policy = bursts(0.1)
    driven_runs: dict[int, list[np.ndarray]] = {env_id: [] for env_id in range(N)}
    for _ in range(300):
        executed, driven = source.apply(OBSERVATIONS, ACTIONS, ALL)
        np.testing.assert_array_equal(executed[~driven], ACTIONS[~driven])
        np.testing.assert_array_equal(executed[driven, 9], OBSERVATIONS[driven, 0])
        for env_id in np.flatnonzero(driven):
            driven_runs[int(env_id)].append(executed[env_id, 0])
    for env_id, values in driven_runs.items():
        whole = np.array(values[: len(values) // ACT_STEPS * ACT_STEPS]).reshape(-1, ACT_STEPS)
        assert len(whole) > 5
        np.testing.assert_array_equal(whole - whole[:, :1], [range(ACT_STEPS)] * len(whole))
        assert (np.diff(whole[:, 0]) > 0).all()
        asked = sum(float(env_id) in rows for rows in policy.asked)
        assert asked == -(-len(values) // ACT_STEPS)


def test_half_of_the_episodes_begin_with_a_burst_of_bounded_length() -> None:
    lengths = []
    for seed in range(60):
        source, _ = bursts(0.0, max_chunks=2, seed=seed)
        driven = [source.apply(OBSERVATIONS, ACTIONS, ALL)[1] for _ in range(10)]
        lengths += np.sum(driven, axis=0).tolist()
    assert set(lengths) == {0, ACT_STEPS, 2 * ACT_STEPS}
    assert np.mean(np.array(lengths) > 0) == pytest.approx(0.5, abs=0.1)


def test_restart_forgets_the_rest_of_a_burst() -> None:
    """After a restart either the expert drives or the policy is asked anew, never an old chunk."""
    source, policy = bursts(0.0, max_chunks=3)
    _, driven = source.apply(OBSERVATIONS, ACTIONS, ALL)
    assert driven.any()
    for env_id in range(N):
        source.restart(env_id)
    calls = len(policy.asked)
    executed, driven = source.apply(OBSERVATIONS, ACTIONS, ALL)
    assert len(policy.asked) == calls + int(driven.any())
    assert (executed[driven, 0] == 100 * (calls + 1)).all()


def test_inactive_rows_wait() -> None:
    """They are neither driven nor shown to the policy, and go on where they were."""
    source, policy = bursts(0.2)
    active = np.array([True, False] * (N // 2))
    for _ in range(50):
        executed, driven = source.apply(OBSERVATIONS, ACTIONS, active)
        assert not driven[~active].any()
        np.testing.assert_array_equal(executed[~active], ACTIONS[~active])
    assert policy.asked
    assert not {1.0, 3.0, 5.0} & {row for rows in policy.asked for row in rows}


def test_bursts_reproduce() -> None:
    def flags(seed: int) -> np.ndarray:
        source, _ = bursts(0.1, seed=seed)
        return np.stack([source.apply(OBSERVATIONS, ACTIONS, ALL)[1] for _ in range(60)])

    np.testing.assert_array_equal(flags(4), flags(4))
    assert not np.array_equal(flags(4), flags(5))
