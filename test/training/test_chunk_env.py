# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunk execution: early stop, same-step reset, truncation, history, parking, reproducibility."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.errors import ActionError, ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.envs.chunk import ChunkEnv, ChunkSettings
from sim_training.envs.protocol import (
    BoolArray,
    ChunkSteppable,
    Float32Array,
    IntArray,
    SavableEnv,
    StepEnv,
    StepOutcome,
    VectorEnv,
)
from sim_training.envs.seeds import SeedList, SeedStream
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv


class CountingEnv:
    """Observation = (seed, step). Episode of environment i ends after `ends[i]` steps."""

    name = "counting"
    control_rate_hz = 10.0
    max_episode_steps = 100
    phase_names: tuple[str, ...] = ("start", "done")
    observation_spec = VectorSpec((Field("count", 2, "1", "none", ("seed", "step")),))
    action_spec = VectorSpec((Field("push", 1, "1", "none", ("x",)),))

    def __init__(self, ends: list[int], truncate: bool = False) -> None:
        self.n_envs = len(ends)
        self.ends = np.array(ends)
        self.truncate = truncate
        self.state = np.zeros((self.n_envs, 2), dtype=np.float32)
        self.stepped: list[list[bool]] = []
        self.seen: list[list[float]] = []

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        self.state[env_ids] = np.stack([seeds, np.zeros(len(seeds))], axis=1)
        return self.state[env_ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        self.stepped.append(active.tolist())
        self.seen.append(actions[:, 0].tolist())
        self.state[:, 1] += active
        over = active & (self.state[:, 1] >= self.ends)
        flags = np.zeros_like(over)
        terminated, truncated = (flags, over) if self.truncate else (over, flags)
        info = {"success": over, "phase": over.astype(np.int8)}
        return StepOutcome(
            self.state.copy(), np.ones(self.n_envs, np.float32), terminated, truncated, info
        )

    def close(self) -> None: ...


class WholeChunkCountingEnv(CountingEnv):
    """The same, all steps of a chunk in one call; runs on where an episode has ended."""

    def __init__(self, ends: list[int], truncate: bool = False) -> None:
        super().__init__(ends, truncate)
        self.calls = 0

    def step_chunk(self, actions: Float32Array, active: BoolArray) -> list[StepOutcome]:
        self.calls += 1
        return [
            super(WholeChunkCountingEnv, self).step(row, active) for row in actions.swapaxes(0, 1)
        ]


def wrap(env: StepEnv, act_steps: int = 4, cond_steps: int = 1) -> ChunkEnv:
    settings = ChunkSettings(
        observation_normalizer=MinMaxNormalizer(np.array([-100.0] * 2), np.array([100.0] * 2)),
        action_normalizer=MinMaxNormalizer(np.array([-2.0]), np.array([2.0])),
        act_steps=act_steps,
        cond_steps=cond_steps,
    )
    return ChunkEnv(env, settings, SeedList(range(10, 20)))


def zeros(env: ChunkEnv) -> Float32Array:
    return np.zeros((env.n_envs, env.act_steps, env.action_dim), dtype=np.float32)


def test_the_classes_fit_the_protocols() -> None:
    env = CountingEnv([3])
    assert isinstance(env, StepEnv)
    assert not isinstance(env, SavableEnv)
    assert isinstance(wrap(env), VectorEnv)
    assert isinstance(ToyReachEnv(ToyReachConfig(), 1), StepEnv)
    assert isinstance(ToyReachEnv(ToyReachConfig(), 1), SavableEnv)


def test_an_ended_environment_waits_while_the_others_finish_the_chunk() -> None:
    env = CountingEnv([2, 9])
    chunk_env = wrap(env)
    chunk_env.reset()
    outcome = chunk_env.step(zeros(chunk_env))
    assert env.stepped == [[True, True], [True, True], [False, True], [False, True]]
    assert outcome.reward.tolist() == [2.0, 4.0]
    assert outcome.terminated.tolist() == [True, False]
    assert outcome.info["steps"].tolist() == [2, 4]


def test_reset_happens_in_the_same_step_with_the_next_seed() -> None:
    chunk_env = wrap(CountingEnv([2, 9]))
    first = chunk_env.reset()["state"] * 100
    np.testing.assert_allclose(first[:, 0], [[10, 0], [11, 0]], atol=1e-4)
    outcome = chunk_env.step(zeros(chunk_env))
    np.testing.assert_allclose(outcome.final_observation["state"][0, 0] * 100, [10, 2], atol=1e-4)
    np.testing.assert_allclose(outcome.observation["state"][0, 0] * 100, [12, 0], atol=1e-4)
    assert outcome.info["seed"].tolist() == [10, 11]
    assert outcome.info["episode_steps"].tolist() == [2, 4]
    assert outcome.info["success"].tolist() == [True, False]
    again = chunk_env.step(zeros(chunk_env))
    assert again.info["seed"].tolist() == [12, 11]
    assert again.info["episode_reward"].tolist() == [2.0, 8.0]


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("cond_steps", [1, 3])
def test_a_whole_chunk_in_one_call_gives_what_single_steps_give(
    truncate: bool, cond_steps: int
) -> None:
    ends = [2, 9, 4, 30]
    whole = WholeChunkCountingEnv(ends, truncate)
    single_env = wrap(CountingEnv(ends, truncate), cond_steps=cond_steps)
    whole_env = wrap(whole, cond_steps=cond_steps)
    for env in (single_env, whole_env):
        env.seeds = SeedList(range(10, 16))  # six episodes, so that environments get parked
        env.reset()
    for chunk in range(6):
        expected, outcome = single_env.step(zeros(single_env)), whole_env.step(zeros(whole_env))
        for name in ("reward", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(outcome, name), getattr(expected, name), name)
        np.testing.assert_array_equal(outcome.observation["state"], expected.observation["state"])
        ended = expected.ended
        np.testing.assert_array_equal(
            outcome.final_observation["state"][ended], expected.final_observation["state"][ended]
        )
        for name, values in expected.info.items():
            np.testing.assert_array_equal(outcome.info[name], values, f"{name}, chunk {chunk}")
    assert whole.calls == 6
    assert isinstance(whole, ChunkSteppable)
    assert not isinstance(CountingEnv(ends), ChunkSteppable)


def test_time_limits_are_truncations() -> None:
    chunk_env = wrap(CountingEnv([3, 9], truncate=True))
    chunk_env.reset()
    outcome = chunk_env.step(zeros(chunk_env))
    assert outcome.truncated.tolist() == [True, False]
    assert not outcome.terminated.any()
    assert outcome.ended.tolist() == [True, False]


def test_it_tells_which_episodes_have_not_moved_yet() -> None:
    env = wrap(CountingEnv([4, 8]))
    env.reset()
    assert env.at_start.tolist() == [True, True]
    env.step(zeros(env))
    assert env.at_start.tolist() == [True, False], "the first ended with the chunk"


def test_history_repeats_the_first_frame_and_then_shifts() -> None:
    chunk_env = wrap(CountingEnv([9]), act_steps=1, cond_steps=3)
    assert (chunk_env.reset()["state"][0, :, 1] * 100).tolist() == [0, 0, 0]
    for _ in range(2):
        state = chunk_env.step(zeros(chunk_env)).observation["state"]
    np.testing.assert_allclose(state[0, :, 1] * 100, [0, 1, 2], atol=1e-4)


def test_actions_reach_the_simulator_in_raw_units() -> None:
    env = CountingEnv([9])
    chunk_env = wrap(env, act_steps=2)
    chunk_env.reset()
    chunk_env.step(np.array([[[0.5], [-1.0]]], dtype=np.float32))
    assert env.seen == [[1.0], [-2.0]]


def test_environments_without_a_further_episode_are_parked() -> None:
    settings = wrap(CountingEnv([2])).settings
    env = CountingEnv([2, 2, 2])
    chunk_env = ChunkEnv(env, settings, SeedList([1, 2]))
    chunk_env.reset()
    outcome = chunk_env.step(zeros(chunk_env))
    assert outcome.info["parked"].tolist() == [False, False, True]
    assert outcome.ended.tolist() == [True, True, False]
    env.stepped.clear()
    idle = chunk_env.step(zeros(chunk_env))
    assert env.stepped == []
    assert idle.info["parked"].all()
    assert not idle.ended.any()


def test_bad_chunks_and_misfits_are_refused() -> None:
    chunk_env = wrap(CountingEnv([9]))
    chunk_env.reset()
    with pytest.raises(ActionError, match="shape"):
        chunk_env.step(np.zeros((1, 3, 1), dtype=np.float32))
    with pytest.raises(ActionError, match="non-finite"):
        chunk_env.step(np.full((1, 4, 1), np.nan, dtype=np.float32))
    with pytest.raises(ConfigError, match="has 2 numbers but task 'toy_reach' has 4"):
        ChunkEnv(ToyReachEnv(ToyReachConfig(), 1), chunk_env.settings, SeedStream(0))


def test_seed_streams_are_reproducible_and_resumable() -> None:
    stream, same, other = SeedStream(1), SeedStream(1), SeedStream(2)
    first = [stream.next_seed(0) for _ in range(5)]
    assert first == [same.next_seed(0) for _ in range(5)]
    assert first != [other.next_seed(0) for _ in range(5)]
    other.load_state_dict(stream.state_dict())
    assert other.next_seed(0) == stream.next_seed(0)


def test_an_environment_keeps_its_seeds_in_whatever_process_it_runs() -> None:
    whole, second_half = SeedStream(3), SeedStream(3, first_env=2)
    whole.next_seed(0)
    ours = [whole.next_seed(env) for env in (3, 2, 3)]
    assert [second_half.next_seed(env) for env in (1, 0, 1)] == ours
    assert len(set(ours)) == 3


def test_a_savable_simulator_continues_in_mid_episode() -> None:
    limits = MinMaxNormalizer(np.full(4, -0.5), np.full(4, 0.5))
    actions = MinMaxNormalizer(np.full(2, -0.5), np.full(2, 0.5))
    settings = ChunkSettings(limits, actions, act_steps=4)
    envs = [
        ChunkEnv(ToyReachEnv(ToyReachConfig(), 3), settings, SeedStream(seed)) for seed in (0, 9)
    ]
    chunk = np.random.default_rng(0).uniform(-1, 1, (3, 4, 2)).astype(np.float32)
    envs[0].reset()
    envs[0].step(chunk)
    envs[1].load_state_dict(envs[0].state_dict())
    for _ in range(12):
        one, two = envs[0].step(chunk), envs[1].step(chunk)
        assert np.array_equal(one.observation["state"], two.observation["state"])
        assert np.array_equal(one.info["seed"], two.info["seed"])


def test_an_unsavable_simulator_keeps_its_seed_stream_only() -> None:
    env, other = wrap(CountingEnv([9, 9])), wrap(CountingEnv([9, 9]))
    env.reset()
    other.load_state_dict(env.state_dict())
    assert not other.restorable
    other.reset()
    assert other.seed_of.tolist() == [12, 13]
