# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The furniture task through the Isaac Gym worker process, on the stand-in, training included."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError, SimulatorError
from sim_training.algorithms.config import DiffusionBcConfig, DppoConfig
from sim_training.checkpoint import numbered_checkpoints
from sim_training.config import (
    EvalConfig,
    ExportConfig,
    FinetuneConfig,
    PretrainConfig,
    RunConfig,
)
from sim_training.data.formats import EpisodeDataset, write_dataset
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.furniture.experts import EXPERTS
from sim_training.envs.furniture.isaac_check import compare, control_rate
from sim_training.envs.furniture.isaac_config import IsaacGymSettings
from sim_training.envs.furniture.isaac_gym import IsaacGymEnv
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.randomisation import RandomisationConfig
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.make import make_step_env
from sim_training.envs.worker_settings import WorkerSettings
from sim_training.export import run_export
from sim_training.finetune import run_finetune
from sim_training.metrics import read_metrics
from sim_training.networks.config import CriticConfig, DiffusionMlpConfig
from sim_training.pretrain import run_pretrain

STAND_IN = FurnitureConfig(
    simulator="isaac_gym", isaac=IsaacGymSettings(stand_in=True), max_episode_steps=12
)
TWO = np.arange(2)
BOTH = np.ones(2, dtype=bool)
CHAIN = DiffusionConfig(use_ddim=True, ddim_steps=2, ft_denoising_steps=2)


@pytest.fixture(scope="module")
def env() -> Iterator[IsaacGymEnv]:
    made = make_step_env(STAND_IN, 2)
    assert isinstance(made, IsaacGymEnv)
    yield made
    made.close()


def test_observations_are_those_of_mujoco(env: IsaacGymEnv) -> None:
    assert env.simulator.about == "the MuJoCo stand-in, parts from primitives"
    mujoco_env = make_mujoco_env(replace(STAND_IN, simulator="mujoco"), 2)
    seeds = np.array([3, 4])
    seen, expected = env.reset(TWO, seeds), mujoco_env.reset(TWO, seeds)
    np.testing.assert_allclose(seen, expected, atol=1e-3)
    for _ in range(5):
        actions = EXPERTS["one_leg"](expected)
        outcome, other = env.step(actions, BOTH), mujoco_env.step(actions, BOTH)
        expected = other.observation
        # Velocities are columns 9 to 14.
        close = np.isclose(outcome.observation, expected, atol=2e-3)
        assert close[:, [*range(9), *range(15, 58)]].all()
        np.testing.assert_allclose(outcome.observation, expected, atol=2e-2)
        np.testing.assert_array_equal(outcome.info["phase"], other.info["phase"])
    assert not outcome.terminated.any() and not outcome.truncated.any()


def test_the_first_look_finds_the_stand_in_close_to_mujoco(env: IsaacGymEnv) -> None:
    first, later = compare(env, steps=3)
    assert first.what == "uniform starts" and max(first.part_m.values()) < 1e-4
    assert later.tool_m < 5e-4 and later.tool_rotation < 2e-3 and later.width_m < 1e-3
    assert "tool 0." in later.line() and "leg4 0." in later.line()
    assert control_rate(env, steps=2) > 0.0


def test_the_time_limit_truncates(env: IsaacGymEnv) -> None:
    observation = env.reset(TWO, np.array([1, 2]))
    for step in range(1, 13):
        outcome = env.step(EXPERTS["one_leg"](observation), BOTH)
        assert outcome.truncated.all() == (step == 12)
    assert not outcome.terminated.any() and not outcome.info["lost"].any()


def test_a_killed_worker_is_replaced_and_its_episodes_are_lost_not_failed(
    env: IsaacGymEnv,
) -> None:
    observation = env.reset(TWO, np.array([1, 2]))
    actions = EXPERTS["one_leg"](observation)
    env.step(actions, BOTH)
    os.kill(env.simulator.worker_pid, signal.SIGKILL)
    outcome = env.step(actions, BOTH)
    assert outcome.info["lost"].all() and outcome.truncated.all()
    assert not outcome.terminated.any() and not outcome.info["diverged"].any()
    assert np.isfinite(outcome.observation).all()
    os.kill(env.simulator.worker_pid, signal.SIGKILL)
    env.reset(TWO[:1], np.array([5]))
    outcome = env.step(actions, BOTH)
    assert outcome.info["lost"].tolist() == [False, True], "the second was not reset yet"
    env.reset(TWO[1:], np.array([6]))
    assert not env.step(actions, BOTH).truncated.any()


def test_what_isaac_gym_cannot_do_is_refused(env: IsaacGymEnv) -> None:
    physics = RandomisationConfig(part_mass_spread=0.1)
    with pytest.raises(ConfigError, match="isaac_gym"):
        IsaacGymEnv(replace(STAND_IN, randomisation=physics), env.simulator)
    with pytest.raises(ConfigError, match="isaac_gym"):
        IsaacGymEnv(replace(STAND_IN, control_rate_hz=5.0), env.simulator)


def test_pictures_are_drawn_from_the_states_and_lost_cells_are_black(env: IsaacGymEnv) -> None:
    env.reset(TWO, np.array([1, 2]))
    try:
        first, second = env.render(0, 60, 80), env.render(1, 60, 80)
    except EnvironmentUnavailableError as error:
        pytest.skip(str(error))
    assert first.shape == (60, 80, 3) and not np.array_equal(first, second)
    os.kill(env.simulator.worker_pid, signal.SIGKILL)
    env.step(np.zeros((2, 10), np.float32), BOTH)
    assert not env.render(0, 60, 80).any()


def test_without_an_interpreter_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DPPO_ISAAC_GYM_PYTHON", raising=False)
    with pytest.raises(
        EnvironmentUnavailableError, match=r"docs/isaac_gym\.md, or set DPPO_ISAAC_GYM_PYTHON"
    ):
        make_step_env(replace(STAND_IN, isaac=IsaacGymSettings()), 1)


def test_an_interpreter_without_isaac_gym_says_so() -> None:
    worker = WorkerSettings(python=Path(sys.executable))
    with pytest.raises(SimulatorError, match="No module named 'isaacgym'"):
        make_step_env(replace(STAND_IN, isaac=IsaacGymSettings(worker=worker)), 1)


def base_policy(folder: Path) -> Path:
    """A hardly trained policy from a few steps of the expert on MuJoCo."""
    mujoco_env = make_mujoco_env(FurnitureConfig(), 1)
    observation = mujoco_env.reset(TWO[:1], TWO[:1])
    states, actions = [], []
    for _ in range(24):
        actions.append(EXPERTS["one_leg"](observation)[0])
        states.append(observation[0])
        observation = mujoco_env.step(actions[-1][None], BOTH[:1]).observation
    metadata = {"name": "one_leg", "task": "one_leg", "fps": 10.0, "seeds": [0], "success": [True]}
    dataset = EpisodeDataset(
        states=np.stack(states),
        actions=np.stack(actions),
        traj_lengths=np.array([len(states)]),
        observation_spec=mujoco_env.observation_spec,
        action_spec=mujoco_env.action_spec,
        metadata=metadata,
    )
    run_pretrain(
        PretrainConfig(
            dataset=write_dataset(folder / "data", dataset),
            run=RunConfig(run_dir=folder / "pretrain", tensorboard=False),
            env=FurnitureConfig(),
            network=DiffusionMlpConfig(mlp_dims=(32, 32, 32)),
            diffusion=CHAIN,
            train=DiffusionBcConfig(batch_size=16, steps_per_iteration=1),
            horizon_steps=4,
            act_steps=4,
            n_train_steps=1,
        )
    )
    return folder / "pretrain"


@pytest.mark.slow
def test_training_checkpoints_resumes_and_exports(tmp_path: Path) -> None:
    config = FinetuneConfig(
        base_policy=base_policy(tmp_path),
        run=RunConfig(run_dir=tmp_path / "finetune", save_freq=1, tensorboard=False),
        env=STAND_IN,
        diffusion=CHAIN,
        critic=CriticConfig(mlp_dims=(16, 16, 16)),
        train=DppoConfig(n_envs=2, n_steps=3, batch_size=12, update_epochs=1),
        eval=EvalConfig(n_episodes=2, n_envs=2),
        n_train_itr=2,
    )
    run_finetune(config)
    resumed = replace(config, n_train_itr=3, run=replace(config.run, resume=True))
    checkpoint = run_finetune(resumed)
    run_dir = config.run.run_dir
    assert checkpoint == numbered_checkpoints(run_dir)[-1]
    rows = [row for row in read_metrics(run_dir / "metrics.jsonl") if "charts/episodes" in row]
    assert [row["iteration"] for row in rows][-1] == 3
    bundle = run_export(ExportConfig(policy=run_dir, out=tmp_path / "bundle"))
    assert load_bundle(bundle).manifest.simulator == "isaac_gym (MuJoCo stand-in)"
