# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks of robomimic, on the real robosuite in its own interpreter (`make robomimic`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from dppo_ros.core.rotations import quaternion_from_matrix, rotation_z
from sim_training.data.formats import read_dataset
from sim_training.data.generate_lift import LiftGenerateConfig, generate_lift
from sim_training.envs.announced import TASK_SIZES
from sim_training.envs.lift_expert import lift_actions
from sim_training.envs.make import make_step_env
from sim_training.envs.remote import RemoteEnv
from sim_training.envs.robomimic import RobomimicConfig, make_robomimic_env, robomimic_specs
from sim_training.envs.worker_settings import find_interpreter
from sim_training.remote_worker.robosuite_layout import TASKS

pytestmark = pytest.mark.timeout(900)  # on a busy machine the first worker compiles for minutes
LIFT = RobomimicConfig(max_episode_steps=60, terminate_on_success=True)
IDS = np.arange(2)
ALL = np.ones(2, dtype=bool)


def needs_robosuite() -> None:
    try:
        find_interpreter("robomimic", None)
    except EnvironmentUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def lift() -> Iterator[RemoteEnv]:
    """Two Lifts in one worker."""
    needs_robosuite()
    env = make_robomimic_env(LIFT, 2, 1)
    yield env
    env.close()


@pytest.mark.parametrize("task", sorted(TASKS))
def test_layouts_have_the_published_sizes(task: str) -> None:
    observation, action, rate = robomimic_specs(task)
    size = TASK_SIZES[task]
    assert (observation.dim, action.dim, rate) == (size.obs_dim, size.action_dim, 20.0)
    assert TASKS[task].max_episode_steps == size.max_episode_steps


def test_what_cannot_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentUnavailableError, match="runs from states only"):
        make_step_env(RobomimicConfig(pixels=True), 1)
    with pytest.raises(ConfigError, match="max_episode_steps is 0"):
        RobomimicConfig(max_episode_steps=0)
    with pytest.raises(ConfigError, match="noise -1"):
        LiftGenerateConfig(noise=-1)
    monkeypatch.setenv("DPPO_ROBOMIMIC_PYTHON", str(tmp_path / "none"))
    with pytest.raises(EnvironmentUnavailableError, match="run `make robomimic`"):
        make_step_env(RobomimicConfig(), 1)


def lift_state(
    tool_from_cube: tuple[float, float, float], turn: float = 0.0, width: float = 0.08
) -> np.ndarray:
    """Return an observation: tool pointing down, its fingers along y, the cube turned."""
    cube = quaternion_from_matrix(rotation_z(turn))
    place = np.array([0.0, 0.0, 0.83])
    down = np.array([1.0, 0.0, 0.0, 0.0])
    parts = [place + tool_from_cube, down, [width / 2, -width / 2], place, cube, tool_from_cube]
    return np.concatenate(parts)[None].astype(np.float32)


def test_the_expert_decides_by_where_the_tool_is() -> None:
    aside = lift_actions(lift_state((0.1, 0.0, 0.06)))[0]
    assert aside[0] == -1.0 and aside[2] == pytest.approx(0.0, abs=1e-5) and aside[6] == -1.0
    over = lift_actions(lift_state((0.0, 0.0, 0.06)))[0]
    assert over[2] == -1.0 and over[6] == -1.0
    at = lift_actions(lift_state((0.0, 0.0, 0.0)))[0]
    assert at[6] == 1.0 and at[2] == pytest.approx(0.0, abs=1e-5)
    held = lift_actions(lift_state((0.0, 0.0, 0.0), width=0.042))[0]
    assert held[2] == 1.0 and held[6] == 1.0
    # A cube turned by a quarter looks the same; 0.3 rad more is turned back the short way.
    for turn in (0.3, 0.3 + np.pi / 2, 0.3 - np.pi):
        turned = lift_actions(lift_state((0.0, 0.0, 0.06), turn=turn))[0]
        assert turned[5] == pytest.approx(1.0) and turned[2] == pytest.approx(0.0, abs=1e-5)


def test_lift_is_what_its_layout_says(lift: RemoteEnv) -> None:
    assert lift.simulator == {"name": "robosuite", "version": "1.5.2"}
    assert (lift.observation_spec, lift.action_spec) == robomimic_specs("lift")[:2]
    first = lift.reset(IDS, np.array([5, 6]))
    for row in first:
        parts = {
            name: row[lift.observation_spec.slice(name)] for name in lift.observation_spec.names
        }
        expected = parts["robot0_eef_pos"] - parts["cube_pos"]
        np.testing.assert_allclose(parts["gripper_to_cube_pos"], expected, atol=1e-6)
        assert np.linalg.norm(parts["cube_quat"]) == pytest.approx(1.0, abs=1e-5)
        assert abs(parts["cube_pos"][0]) < 0.05 and abs(parts["cube_pos"][1]) < 0.05
    assert np.abs(first[0] - first[1]).max() > 1e-3


def test_a_seed_decides_the_episode_in_any_environment(lift: RemoteEnv) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (1, 5, 7)).astype(np.float32)
    actions = np.repeat(actions, 2, axis=0)
    rows = []
    for seeds in ([8, 9], [9, 8]):
        first = lift.reset(IDS, np.array(seeds))
        rows.append([first, *(outcome.observation for outcome in lift.step_chunk(actions, ALL))])
    np.testing.assert_array_equal(np.array(rows[0])[:, 0], np.array(rows[1])[:, 1])


def test_the_expert_lifts_the_cube(lift: RemoteEnv) -> None:
    observation = lift.reset(IDS, np.array([1, 2]))
    active, reward = ALL.copy(), np.zeros(2)
    for _ in range(LIFT.max_episode_steps or 0):
        outcome = lift.step(lift_actions(observation), active)
        observation = outcome.observation
        reward[active] += outcome.reward[active]
        active = active & ~outcome.terminated & ~outcome.truncated
        if not active.any():
            break
    assert outcome.info["success"].all() and not active.any()
    assert (outcome.info["phase"] == len(lift.phase_names) - 1).all()
    assert reward.tolist() == [1.0, 1.0]


@pytest.mark.slow
def test_demonstrations_of_lift(tmp_path: Path) -> None:
    needs_robosuite()
    config = LiftGenerateConfig(episodes=2, n_envs=2, threads=1, out=tmp_path / "lift")
    dataset = read_dataset(generate_lift(config))
    assert len(dataset.traj_lengths) == 2 and dataset.metadata["fps"] == 20.0
    assert np.abs(dataset.actions).max() <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("task", ["can", "square", "transport"])
def test_other_tasks_start_and_repeat(task: str) -> None:
    needs_robosuite()
    env = make_step_env(RobomimicConfig(name=task), 1)  # type: ignore[arg-type]
    try:
        assert (env.observation_spec.dim, env.action_spec.dim) == (
            TASK_SIZES[task].obs_dim,
            TASK_SIZES[task].action_dim,
        )
        action = np.full((1, env.action_spec.dim), 0.5, dtype=np.float32)
        seen = []
        for _ in range(2):
            env.reset(np.arange(1), np.array([4]))
            seen += [env.step(action, np.ones(1, dtype=bool)).observation for _ in range(3)]
        np.testing.assert_array_equal(seen[:3], seen[3:])
    finally:
        env.close()
