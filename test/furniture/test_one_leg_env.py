# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo one_leg environment: layout, reproducibility, grasping, expert, recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import ActionError, ConfigError, DataError
from dppo_ros.core.observation import furniture_observation_spec, join_action, split_action
from dppo_ros.core.rotations import matrix_from_rotation_6d
from sim_training.data.formats import read_dataset
from sim_training.data.generate import GenerateConfig, generate
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.cell import PHYSICS_STEP_S, FurnitureCell
from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.one_leg.expert import expert_actions
from sim_training.envs.furniture.one_leg.expert_view import decode
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.starts import sample_start
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.protocol import RenderableEnv, StepEnv

SPEC = furniture_observation_spec()


def _run_expert(
    env: FurnitureEnv[MujocoSimulation], seeds: list[int], steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Observations (steps, n, 58) and successes (n) of expert episodes."""
    observation = env.reset(np.arange(env.n_envs), np.array(seeds))
    active = np.ones(env.n_envs, dtype=bool)
    rows, outcome = [], None
    for _ in range(steps):
        outcome = env.step(expert_actions(observation), active)
        observation = outcome.observation
        rows.append(observation)
        active &= ~(outcome.terminated | outcome.truncated)
        if not active.any():
            break
    assert outcome is not None
    return np.stack(rows), outcome.info["success"]


def test_environment_follows_the_protocol() -> None:
    """Attributes, sizes and the documented order of the 58 numbers."""
    env = make_mujoco_env(FurnitureConfig(), 2)
    assert isinstance(env, StepEnv)
    assert isinstance(env, RenderableEnv)
    assert env.observation_spec.dim == 58
    assert env.action_spec.dim == 10
    assert env.simulator.physics_steps == 50
    observation = env.reset(np.array([0, 1]), np.array([3, 4]))
    assert observation.shape == (2, 58)
    assert observation.dtype == np.float32
    assert SPEC.slice("gripper_width") == slice(15, 16)
    assert SPEC.slice("leg4_pose") == slice(44, 51)
    assert SPEC.slice("obstacle_pose") == slice(51, 58)
    np.testing.assert_allclose(observation[:, 15], geo.MAX_GRIPPER_WIDTH_M, atol=1e-6)
    np.testing.assert_allclose(observation[:, 53], -0.015, atol=1e-6)


def test_tool_velocity_is_the_derivative_of_the_pose() -> None:
    """Finite differences over one physics step."""
    simulation = MujocoSimulation(ONE_LEG, 1)
    ids = np.array([0])
    simulation.reset(ids, [sample_start(ONE_LEG, "low", 1)])
    state = simulation.robot_state(ids)
    goal = state.tool_position + np.array([[0.05, -0.03, 0.04]])
    simulation.set_goal(ids, goal, state.base_from_tool, np.array([-1.0]))
    simulation.advance(ids, 30)
    before = simulation.robot_state(ids)
    simulation.advance(ids, 1)
    after = simulation.robot_state(ids)
    speed = (after.tool_position - before.tool_position) / PHYSICS_STEP_S
    np.testing.assert_allclose(speed, after.tool_linear_velocity, atol=2e-3)
    assert np.linalg.norm(speed) > 0.02


def test_reset_is_exact_whatever_happened_before() -> None:
    """Same seed after another episode, in another slot, gives bit-equal trajectories."""
    env = make_mujoco_env(FurnitureConfig(), 2)
    first, _ = _run_expert(env, [5, 6], 40)
    _run_expert(env, [9, 9], 15)
    again, _ = _run_expert(env, [6, 5], 40)
    np.testing.assert_array_equal(first[:, 0], again[:, 1])
    np.testing.assert_array_equal(first[:, 1], again[:, 0])


def test_threads_and_batch_size_change_nothing() -> None:
    """Bit-equal results alone, in a batch, and on two threads."""
    alone, _ = _run_expert(make_mujoco_env(FurnitureConfig(), 1), [7], 30)
    batch, _ = _run_expert(make_mujoco_env(FurnitureConfig(), 3, threads=2), [2, 7, 4], 30)
    np.testing.assert_array_equal(alone[:, 0], batch[:, 1])


def test_inactive_environments_stand_still() -> None:
    """Rows of inactive environments repeat; the active one moves."""
    env = make_mujoco_env(FurnitureConfig(), 2)
    start = env.reset(np.array([0, 1]), np.array([1, 1]))
    outcome = env.step(expert_actions(start), np.array([True, False]))
    assert not np.array_equal(outcome.observation[0], start[0])
    np.testing.assert_array_equal(outcome.observation[1], start[1])


def test_bad_actions_are_refused() -> None:
    """NaN and wrong shapes never reach the controller."""
    env = make_mujoco_env(FurnitureConfig(), 2)
    env.reset(np.array([0, 1]), np.array([1, 2]))
    actions = np.zeros((2, 10), dtype=np.float32)
    actions[1, 3] = np.nan
    with pytest.raises(ActionError, match=r"environments \[1\]"):
        env.step(actions, np.ones(2, dtype=bool))
    with pytest.raises(ActionError, match="expected"):
        env.step(actions[:, :9], np.ones(2, dtype=bool))
    with pytest.raises(ConfigError, match="n_envs = 0"):
        make_mujoco_env(FurnitureConfig(), 0)


def test_a_step_covers_part_of_the_way() -> None:
    """The soft drive reaches about 40 % of a small goal per control step: a carrot."""
    env = make_mujoco_env(FurnitureConfig(), 1)
    observation = env.reset(np.array([0]), np.array([2]))
    position, rotation = observation[:, :3], matrix_from_rotation_6d(observation[:, 3:9])
    goal = position + np.array([[0.0, 0.0, 0.03]])
    action = join_action(goal, rotation, np.array([-1.0])).astype(np.float32)
    outcome = env.step(action, np.ones(1, dtype=bool))
    share = (outcome.observation[0, 2] - position[0, 2]) / 0.03
    assert 0.25 < share < 0.55


def test_time_limit_truncates_and_success_terminates() -> None:
    """The two endings are never merged."""
    env = make_mujoco_env(FurnitureConfig(max_episode_steps=3), 1)
    observation = env.reset(np.array([0]), np.array([1]))
    for index in range(3):
        outcome = env.step(expert_actions(observation), np.ones(1, dtype=bool))
        assert bool(outcome.truncated[0]) is (index == 2)
        assert not outcome.terminated[0]


@pytest.mark.slow
def test_the_expert_assembles_from_low_and_medium_starts() -> None:
    """Eight episodes of each level; the rates over many seeds are in docs/results.md."""
    for level, least in (("low", 7), ("med", 6)):
        env = make_mujoco_env(FurnitureConfig(randomness=level), 8, threads=2)  # type: ignore[arg-type]
        _, success = _run_expert(env, list(range(8)), 700)
        assert success.sum() >= least, level


def test_grasp_does_not_slip_and_the_leg_goes_in() -> None:
    """One expert episode: carried upright, the leg keeps its place in the hand until released."""
    env = make_mujoco_env(FurnitureConfig(), 1)
    observation = env.reset(np.array([0]), np.array([1]))
    offsets, rewards, phases = [], [], set()
    for _ in range(400):
        view = decode(observation[0])
        upright = view.base_from_leg[2, 1] > 0.999
        if view.holding and upright and view.leg_in_tray[1] > 0.08:
            offsets.append(view.base_from_tool.T @ (view.leg - view.tool))
        outcome = env.step(expert_actions(observation), np.ones(1, dtype=bool))
        observation = outcome.observation
        rewards.append(float(outcome.reward[0]))
        phases.add(int(outcome.info["phase"][0]))
        if outcome.terminated[0]:
            break
    drift = np.linalg.norm(np.array(offsets) - offsets[0], axis=-1)
    assert len(offsets) > 15
    assert drift.max() < 0.001
    assert sum(rewards) == 1.0
    assert rewards[-1] == 1.0
    assert phases == set(range(len(ONE_LEG.phase_names)))


def test_expert_is_a_function_of_the_observation() -> None:
    """Same rows, any order, any history: the same actions."""
    env = make_mujoco_env(FurnitureConfig(), 2)
    rows, _ = _run_expert(env, [3, 4], 60)
    flat = rows.reshape(-1, 58)
    actions = expert_actions(flat)
    order = np.random.default_rng(0).permutation(len(flat))
    np.testing.assert_array_equal(expert_actions(flat[order]), actions[order])
    assert np.isfinite(actions).all()
    position, _, gripper = split_action(actions)
    assert np.linalg.norm(position - flat[:, :3], axis=-1).max() < 0.0601
    assert set(np.unique(gripper)) <= {-1.0, 1.0}


def test_recording_writes_reproducible_clean_demonstrations(tmp_path: Path) -> None:
    """Two episodes with disturbances: cut trajectories, same seed same data, busy folder."""
    config = GenerateConfig(episodes=2, seed=3, out=tmp_path / "a", recovery_rate=0.03, threads=1)
    generate(config)
    again = GenerateConfig(episodes=2, seed=3, out=tmp_path / "b", recovery_rate=0.03, threads=2)
    generate(again)
    first, second = read_dataset(tmp_path / "a"), read_dataset(tmp_path / "b")
    np.testing.assert_array_equal(first.states, second.states)
    assert len(first.traj_lengths) > 2
    assert first.states.shape == (first.traj_lengths.sum(), 58)
    np.testing.assert_allclose(first.actions, expert_actions(first.states), atol=2e-3)
    with pytest.raises(DataError, match="already holds"):
        generate(config)


def test_twin_cell_matches_the_environment() -> None:
    """Same goals through the twin's slices give the environment's states bit for bit."""
    env = make_mujoco_env(FurnitureConfig(), 1)
    observation = env.reset(np.array([0]), np.array([11]))
    cell = FurnitureCell("low")
    cell.reset(11)
    for _ in range(10):
        action = expert_actions(observation)
        observation = env.step(action, np.ones(1, dtype=bool)).observation
        position, rotation, gripper = split_action(action[0])
        cell.set_target(position, rotation, float(gripper))
        for _ in range(5):
            cell.advance(10)
        state = cell.state()
        np.testing.assert_array_equal(
            state.robot.tool_position.astype(np.float32), observation[0, :3]
        )
    assert state.time_s == pytest.approx(1.0)
    assert state.phase_name in ONE_LEG.phase_names
    assert state.joint_positions.shape == (7,)
    assert set(state.tag_from_part) == {"top", "leg1", "leg2", "leg3", "leg4", "obstacle"}


@pytest.mark.parametrize("speed", [np.nan, 1e12])
def test_a_cell_whose_physics_breaks_down_is_truncated_and_starts_anew(speed: float) -> None:
    """MuJoCo itself puts such a cell back to the beginning of the model and goes on."""
    env = make_mujoco_env(FurnitureConfig(), 3)
    everyone, seeds = np.arange(3), np.array([1, 2, 3])
    actions = expert_actions(env.reset(everyone, seeds))
    expected = env.step(actions, np.ones(3, dtype=bool)).observation
    env.reset(everyone, seeds)
    env.simulator._qvel[1, env.simulator.layout.part_qvel["leg4"]] = speed
    outcome = env.step(actions, np.ones(3, dtype=bool))
    assert outcome.truncated.tolist() == outcome.info["diverged"].tolist() == [False, True, False]
    assert not outcome.terminated.any() and not outcome.info["success"].any()
    np.testing.assert_array_equal(outcome.observation[[0, 2]], expected[[0, 2]])
    env.reset(np.array([1]), np.array([2]))
    outcome = env.step(actions, np.array([False, True, False]))
    assert not outcome.truncated.any()
    np.testing.assert_array_equal(outcome.observation[1], expected[1])
    env.close()
