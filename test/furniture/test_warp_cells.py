# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MuJoCo Warp cells: the controller on the device, masks, chunks, cells that break.

One module, so that one process compiles the kernels; what compares simulators is in
``test_simulators_agree``. Everything runs on Warp's CPU device.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco_warp")

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from dppo_ros.core.inverse_kinematics import MAX_JOINT_STEP_RAD, differential_ik
from dppo_ros.core.observation import tag_pose_from_base
from dppo_ros.core.rotations import FloatArray, matrix_from_rotation_vector
from sim_training.envs.furniture.chunk_env import ChunkFurnitureEnv
from sim_training.envs.furniture.controller import geometric_jacobian
from sim_training.envs.furniture.experts import EXPERTS
from sim_training.envs.furniture.properties import CellProperties
from sim_training.envs.furniture.scene import PhysicsOptions
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.simulator import HeldParts
from sim_training.envs.furniture.starts import sample_start
from sim_training.envs.furniture.task import HeldPart
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.furniture.warp_settings import DeviceMemory
from sim_training.envs.furniture.warp_simulation import WarpSimulation
from sim_training.envs.protocol import ChunkSteppable

pytestmark = [pytest.mark.usefixtures("warp_compiled"), pytest.mark.timeout(900)]
CELLS = 4
ALL = np.arange(CELLS)
CONFIG = FurnitureConfig(simulator="warp")


@pytest.fixture(scope="module")
def simulation(warp_compiled: None) -> WarpSimulation:
    return WarpSimulation(CONFIG.task, CELLS, device="cpu")


def start(simulation: WarpSimulation, distribution: str = "uniform") -> None:
    task = simulation.task
    simulation.reset(ALL, [sample_start(task, "med", seed, distribution) for seed in range(CELLS)])


def goals(simulation: WarpSimulation, offset: float = 0.03) -> tuple[FloatArray, FloatArray]:
    """Tool goals (n, 3) and (n, 3, 3), each a different way off."""
    robot = simulation.observe(ALL).robot
    rng = np.random.default_rng(0)
    turn = matrix_from_rotation_vector(rng.uniform(-0.3, 0.3, (CELLS, 3)))
    return robot.tool_position + rng.uniform(-offset, offset, (CELLS, 3)), (
        turn @ robot.base_from_tool
    )


def test_the_solve_on_the_device_is_that_of_the_robot(simulation: WarpSimulation) -> None:
    """Also far goals, where the displacement is shortened."""
    start(simulation)
    cells, data = simulation.cells, simulation.cells.data
    joints, tool = simulation.layout.arm_joints, simulation.layout.tool
    for offset in (0.03, 0.6):
        position, rotation = goals(simulation, offset)
        tool_position = data.site_xpos.numpy()[:, tool].astype(float)
        jacobian = geometric_jacobian(
            data.xanchor.numpy()[:, joints], data.xaxis.numpy()[:, joints], tool_position
        )
        expected = differential_ik(
            jacobian, tool_position, data.site_xmat.numpy()[:, tool], position, rotation
        )
        rows = np.concatenate([position, rotation.reshape(CELLS, 9), np.zeros((CELLS, 1))], axis=1)
        cells.activate(ALL)
        cells.aim(cells.upload(rows[:, None], ALL), 0)
        moved = data.ctrl.numpy()[:, :7] - data.qpos.numpy()[:, :7]
        np.testing.assert_allclose(moved, expected, atol=2e-6)
    assert np.abs(expected).max() == pytest.approx(MAX_JOINT_STEP_RAD)


def test_an_arm_that_is_stretched_out_gets_finite_targets(simulation: WarpSimulation) -> None:
    """Exactly singular: the elbow is straight and three axes line up."""
    start(simulation)
    cells = simulation.cells
    qpos = cells.data.qpos.numpy()
    qpos[:, :7] = 0.0
    cells.data.qpos.assign(qpos)
    cells.refresh()
    position, rotation = goals(simulation)
    rows = np.concatenate([position, rotation.reshape(CELLS, 9), np.zeros((CELLS, 1))], axis=1)
    cells.activate(ALL)
    cells.aim(cells.upload(rows[:, None], ALL), 0)
    target = cells.data.ctrl.numpy()[:, :7]
    assert np.isfinite(target).all()
    assert np.abs(target).max() <= MAX_JOINT_STEP_RAD + 1e-6


@pytest.mark.parametrize("distribution", ["uniform", "pushed"])
def test_cells_that_are_not_asked_for_do_not_move(
    simulation: WarpSimulation, distribution: str
) -> None:
    start(simulation)
    before = simulation.cells.data.qpos.numpy().copy()
    some = np.array([1, 3])
    task = simulation.task
    simulation.reset(some, [sample_start(task, "low", seed, distribution) for seed in (7, 8)])
    position, rotation = goals(simulation)
    simulation.control_step(some, position[some], rotation[some], np.ones(2))
    after = simulation.cells.data.qpos.numpy()
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert (np.abs(after[some] - before[some]).max(axis=-1) > 1e-3).all()


def test_a_chunk_is_what_single_steps_are(simulation: WarpSimulation) -> None:
    """Bit for bit, with a latch that changes inside it, pushes, and a cell that rests."""
    three = np.array([0, 1, 3])
    h, parts = 3, len(simulation.task.parts)
    gripper = np.tile([-1.0, 1.0, 0.01], (3, 1))
    wrenches = np.random.default_rng(0).uniform(-0.1, 0.1, (3, h, parts, 6))
    start(simulation)
    position, rotation = (goal[three] for goal in goals(simulation))
    singles = []
    for step in range(h):
        simulation.control_step(three, position, rotation, gripper[:, step], wrenches[:, step])
        singles.append(simulation.observe(three))
    start(simulation)
    chunk = simulation.control_chunk(
        three,
        np.stack([position] * h, axis=1),
        np.stack([rotation] * h, axis=1),
        gripper,
        wrenches=wrenches,
    )
    assert len(chunk) == h
    for single, together in zip(singles, chunk, strict=True):
        np.testing.assert_array_equal(together.robot.tool_position, single.robot.tool_position)
        np.testing.assert_array_equal(together.robot.gripper_width, single.robot.gripper_width)
        for name, poses in single.tag_from_part.items():
            np.testing.assert_array_equal(together.tag_from_part[name], poses)
    assert chunk[0].robot.gripper_width.min() > chunk[2].robot.gripper_width.max()


def test_the_environment_ends_episodes_inside_chunks_as_outside() -> None:
    """The same actions as chunks and as steps; the limit of 5 steps falls into a chunk of 3."""
    config = FurnitureConfig(simulator="warp", max_episode_steps=5, starts="pushed")
    env = ChunkFurnitureEnv(config, WarpSimulation(config.task, 2, device="cpu"))
    assert isinstance(env, ChunkSteppable)
    first = env.reset(np.arange(2), np.array([4, 5]))
    active = np.ones(2, dtype=bool)
    actions = np.stack([EXPERTS[env.name](first)] * 6, axis=1)
    together = [o for k in (0, 3) for o in env.step_chunk(actions[:, k : k + 3], active)]
    np.testing.assert_array_equal(env.reset(np.arange(2), np.array([4, 5])), first)
    for step in range(5):
        single = env.step(actions[:, step], active)
        np.testing.assert_array_equal(together[step].observation, single.observation)
        assert together[step].truncated.tolist() == single.truncated.tolist() == [step == 4] * 2
    env.close()


def test_a_held_part_is_put_back_until_the_tool_comes_or_time_is_up(
    simulation: WarpSimulation,
) -> None:
    """Leg 1 held in the air falls 49 mm in each period, and further in the one that lets it go."""
    start(simulation)
    position, rotation = goals(simulation, 0.0)
    poses = simulation.observe(ALL).tag_from_part["leg1"]
    poses[:, 2] = -0.4
    at_tool = np.array([3])
    poses[at_tool, :3] = tag_pose_from_base(position, rotation)[at_tool, :3]
    held = HeldParts(
        HeldPart("leg1", reach_m=0.02, until_step=6),
        np.array([True, True, False, True]),
        poses,
        np.array([0, 4, 0, 0]),
    )
    states = simulation.control_chunk(
        ALL,
        np.stack([position] * 3, axis=1),
        np.stack([rotation] * 3, axis=1),
        -np.ones((CELLS, 3)),
        held,
    )
    heights = -np.stack([state.tag_from_part["leg1"][:, 2] for state in states], axis=1)
    fall = 0.5 * 9.8 * 0.1**2
    np.testing.assert_allclose(heights[0], 0.4 - fall, atol=2e-3)
    np.testing.assert_allclose(heights[1, :2], 0.4 - fall, atol=2e-3)
    assert heights[1, 2] < 0.4 - 3 * fall  # let go at its 6th step: it falls on
    np.testing.assert_allclose(heights[2:], 0.015, atol=1e-3)  # neither was ever lifted


def test_properties_of_a_cell_do_the_same_as_on_the_cpu(simulation: WarpSimulation) -> None:
    """Pushed parts and a moving arm under other frictions, masses, gains and heights."""
    changed = CellProperties(1.6, 0.8, {"leg2": 1.5}, 1.3, 0.8, 0.7, 0.01)
    starts = [sample_start(CONFIG.task, "low", seed, "pushed") for seed in range(CELLS)]
    starts[1] = replace(starts[1], properties=changed)
    starts[3] = replace(starts[0], properties=changed)
    reference = MujocoSimulation(CONFIG.task, CELLS, options=PhysicsOptions(sleep=False))
    seen = []
    for cells in (reference, simulation):
        cells.reset(ALL, starts)
        robot = cells.observe(ALL).robot
        goal = robot.tool_position + np.array([0.05, 0.0, 0.02])
        for _ in range(3):
            cells.control_step(ALL, goal, robot.base_from_tool, np.ones(CELLS))
        seen.append(cells.observe(ALL))
    expected, found = (states.robot.tool_position for states in seen)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(found[3] - found[0]).max() > 2e-3
    leg, other = (states.tag_from_part["leg2"][:, :3] for states in seen)
    np.testing.assert_allclose(other, leg, atol=5e-4)
    assert seen[0].robot.gripper_width[1] == pytest.approx(seen[1].robot.gripper_width[1], abs=5e-4)
    start(simulation)  # nominal again
    position, rotation = goals(simulation)
    simulation.control_step(ALL, position, rotation, np.ones(CELLS))
    again = simulation.observe(ALL).robot.tool_position
    fresh = WarpSimulation(CONFIG.task, CELLS, device="cpu")
    start(fresh)
    fresh.control_step(ALL, position, rotation, np.ones(CELLS))
    np.testing.assert_array_equal(again, fresh.observe(ALL).robot.tool_position)


def test_a_broken_cell_is_reported_ends_and_starts_anew(
    simulation: WarpSimulation, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on as if nothing had happened."""
    env = ChunkFurnitureEnv(CONFIG, simulation)
    seeds = np.arange(CELLS)
    actions = np.stack([EXPERTS[env.name](env.reset(ALL, seeds))] * 2, axis=1)
    healthy = env.step_chunk(actions, np.ones(CELLS, dtype=bool))
    env.reset(ALL, seeds)
    qvel = simulation.cells.data.qvel.numpy()
    qvel[2] = np.nan
    simulation.cells.data.qvel.assign(qvel)
    with caplog.at_level(logging.WARNING):
        outcomes = env.step_chunk(actions, np.ones(CELLS, dtype=bool))
    assert outcomes[0].truncated.tolist() == [False, False, True, False]
    assert outcomes[0].info["diverged"].tolist() == [False, False, True, False]
    assert not outcomes[0].info["success"].any()
    assert "cells [2] have coordinates that are not finite" in caplog.text
    assert np.isfinite(outcomes[-1].observation).all()
    others = [0, 1, 3]
    np.testing.assert_array_equal(outcomes[-1].observation[others], healthy[-1].observation[others])
    env.reset(np.array([2]), np.array([2]))
    again = env.step_chunk(actions, np.arange(CELLS) == 2)
    np.testing.assert_array_equal(again[-1].observation[2], healthy[-1].observation[2])


def test_too_little_room_for_constraints_ends_the_episode(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Five parts at rest need 83 rows."""
    env = ChunkFurnitureEnv(
        CONFIG, WarpSimulation(CONFIG.task, 1, device="cpu", memory=DeviceMemory(192, 48))
    )
    actions = EXPERTS[env.name](env.reset(np.array([0]), np.array([0])))
    with caplog.at_level(logging.WARNING):
        assert env.step(actions, np.array([True])).truncated.all()
    assert "need more than 48 constraint rows" in caplog.text


def test_too_little_room_for_contacts_is_an_error() -> None:
    simulation = WarpSimulation(CONFIG.task, 1, device="cpu", memory=DeviceMemory(contacts=2))
    simulation.reset(np.array([0]), [sample_start(CONFIG.task, "low", 0)])
    robot = simulation.observe(np.array([0])).robot
    simulation.control_step(
        np.array([0]), robot.tool_position, robot.base_from_tool, np.array([-1.0])
    )
    with pytest.raises(ConfigError, match="more than 2 contact candidates in 1 cells"):
        simulation.observe(np.array([0]))


def test_pictures_show_the_cell_as_mujoco_on_the_cpu_does(simulation: WarpSimulation) -> None:
    start(simulation)
    cpu = MujocoSimulation(CONFIG.task, 1)
    cpu.reset(ALL[:1], [sample_start(CONFIG.task, "med", 1)])
    try:
        expected = cpu.render(0, 60, 80)
    except EnvironmentUnavailableError as error:
        pytest.skip(str(error))
    drawn = simulation.render(1, 60, 80)
    assert np.abs(drawn.astype(int) - expected).mean() < 0.5
    assert np.abs(simulation.render(0, 60, 80).astype(int) - expected).mean() > 1.0
    simulation.close()
    cpu.close()
