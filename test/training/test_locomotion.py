# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hopper, Walker2d and HalfCheetah behind the `StepEnv` protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from sim_training.config import EvaluateConfig, PretrainConfig
from sim_training.config_file import merge, to_plain
from sim_training.envs.announced import TASK_SIZES
from sim_training.envs.locomotion_config import (
    HalfCheetahConfig,
    HopperConfig,
    LocomotionConfig,
    Walker2dConfig,
)
from sim_training.envs.make import SIMULATORS, make_env_config, make_step_env
from sim_training.envs.protocol import SavableEnv, StepEnv
from sim_training.envs.robomimic import RobomimicConfig

envpool = pytest.importorskip("envpool")
mujoco = pytest.importorskip("mujoco")

from sim_training.envs.locomotion import LocomotionEnv  # noqa: E402  (needs envpool)
from sim_training.envs.locomotion_view import RunnerView  # noqa: E402

TASKS = [HopperConfig(), Walker2dConfig(), HalfCheetahConfig()]
SIZES = {"hopper": (11, 3), "walker2d": (17, 6), "halfcheetah": (17, 6)}
tasks = pytest.mark.parametrize("config", TASKS, ids=lambda config: config.name)


def _torques(config: LocomotionConfig, n_envs: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.0, 1.0, (n_envs, config.action_dim)).astype(np.float32)


def _started(config: LocomotionConfig, n_envs: int) -> LocomotionEnv:
    env = LocomotionEnv(config, n_envs)
    env.reset(np.arange(n_envs), np.arange(n_envs) + 5)
    return env


@tasks
def test_keeps_the_protocol_and_the_published_sizes(config: LocomotionConfig) -> None:
    env = make_step_env(config, 2)
    assert isinstance(env, StepEnv) and isinstance(env, SavableEnv)
    assert (env.observation_spec.dim, env.action_spec.dim) == SIZES[env.name]
    assert env.max_episode_steps == 1000


@tasks
def test_a_seed_gives_the_same_episode_in_any_environment(config: LocomotionConfig) -> None:
    many, few = LocomotionEnv(config, 4, threads=2), LocomotionEnv(config, 1)
    torques = _torques(config, 20)
    # Its second episode there, and in another order than the environments'.
    many.reset(np.arange(4), np.array([1, 2, 3, 4]))
    many.step(np.repeat(torques[:1], 4, axis=0), np.ones(4, dtype=bool))
    first_many = many.reset(np.array([3, 1]), np.array([70, 80]))
    first_few = few.reset(np.array([0]), np.array([80]))
    np.testing.assert_array_equal(first_many[1], first_few[0])
    assert not np.array_equal(first_many[0], first_many[1])
    for torque in torques:
        a = many.step(np.repeat(torque[None], 4, axis=0), np.ones(4, dtype=bool))
        b = few.step(torque[None], np.ones(1, dtype=bool))
        np.testing.assert_array_equal(a.observation[1], b.observation[0])
        assert a.reward[1] == b.reward[0]


@tasks
def test_starts_spread_about_as_far_as_gymnasiums(config: LocomotionConfig) -> None:
    env = LocomotionEnv(config, 300)
    starts = env.reset(np.arange(300), np.arange(300))
    theirs = envpool.make_gymnasium(config.simulator_id, num_envs=300, num_threads=1, seed=0)
    expected = theirs.reset()[0].std(axis=0)
    joints = config.observation_spec.slice("joint_positions")
    ratio = starts.std(axis=0)[joints].mean() / expected[joints].mean()
    assert 0.5 < ratio < 2.0


def test_inactive_environments_stand_still() -> None:
    env = _started(HalfCheetahConfig(), 3)
    active = np.array([True, False, True])
    before = env.step(np.zeros((3, 6), np.float32), ~active)
    outcome = env.step(_torques(env.config, 3), active)
    np.testing.assert_array_equal(outcome.observation[1], before.observation[1])
    assert not np.array_equal(outcome.observation[0], before.observation[0])
    assert outcome.reward[1] == 0.0
    alone = _started(HalfCheetahConfig(), 3)
    alone.step(np.zeros((3, 6), np.float32), ~active)
    torque = _torques(env.config, 3, seed=1)
    expected = alone.step(torque, ~active).observation[1]
    np.testing.assert_array_equal(env.step(torque, ~active).observation[1], expected)


def test_time_limit_truncates_and_is_not_a_termination() -> None:
    env = _started(HalfCheetahConfig(max_episode_steps=30), 2)
    for step in range(1, 31):
        outcome = env.step(np.zeros((2, 6), np.float32), np.ones(2, dtype=bool))
        assert not outcome.terminated.any()
        assert outcome.truncated.all() == (step == 30)
    after = env.step(_torques(env.config, 2), np.ones(2, dtype=bool))
    np.testing.assert_array_equal(after.observation, outcome.observation)  # no automatic reset
    assert not after.truncated.any() and not after.reward.any()


def test_default_episode_lasts_1000_steps() -> None:
    env = _started(HalfCheetahConfig(), 1)
    ended = [
        env.step(np.zeros((1, 6), np.float32), np.ones(1, dtype=bool)).truncated[0]
        for _ in range(1000)
    ]
    assert np.flatnonzero(ended).tolist() == [999]


@pytest.mark.parametrize("config", TASKS[:2], ids=lambda config: config.name)
def test_falling_terminates(config: LocomotionConfig) -> None:
    env = _started(config, 1)
    torque = np.full((1, config.action_dim), -1.0, np.float32)
    for _ in range(300):
        outcome = env.step(torque, np.ones(1, dtype=bool))
        if outcome.terminated[0]:
            break
    assert outcome.terminated[0] and not outcome.truncated[0]
    height, pitch = outcome.observation[0, :2]
    limits = (0.7, 0.2) if config.name == "hopper" else (0.8, 1.0)
    assert height < limits[0] or height > 2.0 or abs(pitch) > limits[1]


def test_actions_are_clipped_before_motion_and_cost() -> None:
    wild, clipped = _started(HopperConfig(), 1), _started(HopperConfig(), 1)
    torque = np.array([[1.7, -3.0, 0.5]], np.float32)
    a = wild.step(torque, np.ones(1, dtype=bool))
    b = clipped.step(np.clip(torque, -1, 1), np.ones(1, dtype=bool))
    np.testing.assert_array_equal(a.observation, b.observation)
    assert a.reward[0] == b.reward[0]


@tasks
def test_one_step_equals_the_published_definition(
    config: LocomotionConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dynamics and reward recomputed with plain MuJoCo from the public model and formulas."""
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings to a file in the working directory
    cheetah = config.name == "halfcheetah"
    folder = Path(envpool.make_spec(config.simulator_id).config.base_path)
    name = "half_cheetah" if cheetah else config.name
    model = mujoco.MjModel.from_xml_path(
        str(folder / "mujoco" / "assets_gym" / f"{name}_envpool.xml")
    )
    data = mujoco.MjData(model)
    frames, cost = (5, 0.1) if cheetah else (4, 1e-3)
    env = LocomotionEnv(type(config)(start_steps=0), 1)
    env.reset(np.array([0]), np.array([0]))
    mujoco.mj_resetData(model, data)
    for torque in _torques(config, 5):
        before = data.qpos[0]
        data.ctrl[:] = torque
        mujoco.mj_step(model, data, nstep=frames)
        outcome = env.step(torque[None], np.ones(1, dtype=bool))
        speed = (data.qpos[0] - before) / (frames * model.opt.timestep)
        rates = data.qvel if cheetah else np.clip(data.qvel, -10.0, 10.0)
        expected = np.concatenate([data.qpos[1:], rates])
        np.testing.assert_allclose(outcome.observation[0], expected, atol=1e-4)
        reward = speed + (0.0 if cheetah else 1.0) - cost * np.sum(torque.astype(float) ** 2)
        assert outcome.reward[0] == pytest.approx(reward, abs=1e-4)


def test_saved_episodes_continue_exactly() -> None:
    env = _started(HopperConfig(), 3)
    active = np.array([True, True, False])
    for index in range(8):
        env.step(_torques(env.config, 3, index), active if index > 3 else np.ones(3, dtype=bool))
    state = env.state_dict()
    other = LocomotionEnv(HopperConfig(), 3)
    other.load_state_dict(state)
    for index in range(5):
        torque = _torques(env.config, 3, 100 + index)
        a, b = env.step(torque, ~active), other.step(torque, ~active)
        np.testing.assert_array_equal(a.observation, b.observation)
        np.testing.assert_array_equal(a.reward, b.reward)


def test_phase_is_the_distance_and_success_the_return() -> None:
    env = _started(HalfCheetahConfig(success_return=5.0), 1)
    total, moved, x_m = 0.0, 0, 0.0
    rng = np.random.default_rng(3)
    for _ in range(300):
        torque = rng.choice([-1.0, 1.0], (1, 6)).astype(np.float32)
        outcome = env.step(torque, np.ones(1, dtype=bool))
        total += float(outcome.reward[0])
        # reward = speed - 0.1 * 6, speed in m/s over 0.05 s
        x_m += (float(outcome.reward[0]) + 0.6) * 0.05
        moved = max(moved, sum(x_m >= m for m in (1.0, 3.0, 10.0)))
        assert outcome.info["phase"][0] == moved
        assert outcome.info["success"][0] == (total >= 5.0)


@tasks
def test_pictures_are_put_together_from_the_observation(config: LocomotionConfig) -> None:
    """The drawn runner stands on the floor, as far along the track as the simulated one."""
    env = LocomotionEnv(config, 2)
    observation = env.reset(np.array([0, 1]), np.array([3, 4]))
    try:
        view = RunnerView(env.name, 48, 64)
    except EnvironmentUnavailableError as error:
        pytest.skip(str(error))
    view.pose(7.0, observation[1])
    np.testing.assert_allclose(view.data.qpos[1:], observation[1, : view.model.nq - 1], atol=1e-6)
    assert view.data.body("torso").xpos[0] == pytest.approx(7.0, abs=0.3)
    feet = [i for i in range(view.model.ngeom) if "foot" in view.model.geom(i).name]
    assert feet
    lowest = min(view.data.geom_xpos[i, 2] - view.model.geom_size[i, 0] for i in feet)
    assert lowest == pytest.approx(0.0, abs=0.12)
    view.close()
    first = env.render(0, 48, 64)
    env.step(np.ones((2, config.action_dim), np.float32), np.array([True, True]))
    assert first.shape == (48, 64, 3) and not np.array_equal(first, env.render(0, 48, 64))
    env.close()


def test_impossible_settings_are_refused() -> None:
    for change in ({"max_episode_steps": 0}, {"start_steps": -1}, {"start_torque": 1.5}):
        with pytest.raises(ConfigError, match=next(iter(change))):
            HopperConfig(**change)


@pytest.mark.parametrize("name", sorted(set(TASK_SIZES) - set(SIMULATORS)))
def test_announced_tasks_can_be_named_and_say_what_is_missing(name: str) -> None:
    config = merge(PretrainConfig(), {"env": {"name": name}}).env
    assert config.name == name
    assert make_env_config(to_plain(config)) == config
    assert merge(EvaluateConfig(), {"env": {"name": name}}).env == config
    with pytest.raises(EnvironmentUnavailableError, match=rf"{name}.*tasks that run.*hopper"):
        make_step_env(config, 1)


def test_announced_sizes_follow_the_variant() -> None:
    assert (RobomimicConfig("can").obs_dim, RobomimicConfig("can", pixels=True).obs_dim) == (23, 9)
    assert RobomimicConfig("transport", pixels=True).cameras == 2
    with pytest.raises(ConfigError, match=r"env\.name"):
        merge(PretrainConfig(), {"env": {"name": "lit"}})
