# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker's cells on the stand-in: only what is meant moves, broken cells recover, parity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from isaac_tools import (
    TASK,
    gym_of,
    make_cells,
    make_gym_cells,
    reset_inputs,
    settings,
    starts,
)

from sim_training.envs.furniture.isaac_settings import object_poses
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.task import CellStates
from sim_training.isaac_stand_in.api import Vec3
from sim_training.remote_worker.isaac_gym.errors import SimulatorError

if TYPE_CHECKING:
    from sim_training.remote_worker.isaac_gym.cells import IsaacCells

SETTLE_M = 1e-4
"""Parts settle a little during the one simulator call of a reset (1/60 s)."""
PUSHED_M = 0.004
"""Pushes act for one substep in both, but settling lasts 1/120 s longer at up to 0.3 m/s."""
TOOL_M = 5e-4
"""A reset lasts one or two simulator calls longer, and states are single precision."""
ALL = np.arange(3)


@pytest.fixture(scope="module")
def cells() -> IsaacCells:
    return make_cells(3)


@pytest.fixture(scope="module")
def mujoco_cells() -> MujocoSimulation:
    return MujocoSimulation(TASK, 3)


def goals(states: dict[str, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    position = states["tool_position"] + rng.uniform(-0.05, 0.05, states["tool_position"].shape)
    return position, states["base_from_tool"], rng.choice([-1.0, 1.0], len(position))


def assert_alike(seen: dict[str, np.ndarray], expected: CellStates, part_m: float) -> None:
    robot = expected.robot
    np.testing.assert_allclose(seen["tool_position"], robot.tool_position, atol=TOOL_M)
    np.testing.assert_allclose(seen["base_from_tool"], robot.base_from_tool, atol=1e-3)
    twist = np.concatenate([robot.tool_linear_velocity, robot.tool_angular_velocity], axis=-1)
    np.testing.assert_allclose(seen["tool_twist"], twist, atol=5e-3)
    np.testing.assert_allclose(seen["gripper_width"], robot.gripper_width, atol=1e-3)
    poses = object_poses(TASK, expected.tag_from_part)
    np.testing.assert_allclose(seen["present_poses"][..., :3], poses[..., :3], atol=part_m)


@pytest.mark.parametrize(("distribution", "part_m"), [("uniform", SETTLE_M), ("pushed", PUSHED_M)])
def test_start_states_and_motions_are_those_of_the_mujoco_cell(
    cells: IsaacCells, mujoco_cells: MujocoSimulation, distribution: str, part_m: float
) -> None:
    chosen = starts(3, distribution)
    cells.reset(ALL, *reset_inputs(chosen))
    mujoco_cells.reset(ALL, chosen)
    assert_alike(cells.observe(ALL), mujoco_cells.observe(ALL), part_m)
    for seed in range(4):
        goal = goals(cells.observe(ALL), seed)
        cells.control_step(ALL, *goal)
        mujoco_cells.control_step(ALL, *goal)
    assert_alike(cells.observe(ALL), mujoco_cells.observe(ALL), part_m)


def test_only_the_given_cells_move(cells: IsaacCells) -> None:
    cells.reset(ALL, *reset_inputs(starts(3)))
    cells.control_step(ALL, *goals(cells.observe(ALL), 0))
    before = cells.observe(ALL)
    for seed in range(3):
        ids = np.array([1])
        cells.control_step(ids, *goals(cells.observe(ids), seed))
    after = cells.observe(ALL)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][[0, 2]], values[[0, 2]], err_msg=name)
    assert np.abs(after["tool_position"][1] - before["tool_position"][1]).max() > 0.01


def test_a_cell_goes_on_where_it_stood_when_others_are_reset(cells: IsaacCells) -> None:
    goal = None
    ends = []
    for disturbed in (False, True):
        cells.reset(ALL, *reset_inputs(starts(3)))
        goal = goal or goals(cells.observe(ALL), 5)
        cells.control_step(ALL, *goal)
        if disturbed:
            for _ in range(3):
                cells.reset(ALL[1:], *reset_inputs(starts(2, "pushed")))
        cells.control_step(ALL[:1], *(value[:1] for value in goal))
        ends.append(cells.observe(ALL[:1])["tool_position"])
    # Single precision of the state tensors, not more.
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


def test_parts_can_be_put_in_place(cells: IsaacCells) -> None:
    cells.reset(ALL, *reset_inputs(starts(3)))
    pose = np.array([[0.4, -0.3, 0.2, 0.0, 0.0, 0.0, 1.0]])
    cells.place(ALL[:1], 4, pose)
    np.testing.assert_allclose(cells.observe(ALL[:1])["present_poses"][:, 4], pose, atol=1e-6)
    goal = goals(cells.observe(ALL), 1)
    cells.control_step(ALL, *goal)
    fallen = cells.observe(ALL)["present_poses"][:, 4, 2]
    assert fallen[0] == pytest.approx(0.2 - 0.5 * 9.8 * 0.1**2, abs=2e-3)
    assert np.all(fallen[1:] < 0.05)


def test_pushes_last_one_call_and_act_on_the_part_that_was_meant(cells: IsaacCells) -> None:
    cells.reset(ALL, *reset_inputs(starts(3)))
    before = cells.observe(ALL)
    wrenches = np.zeros((3, len(TASK.parts), 6))
    wrenches[1, 2, :3] = (0.0, 0.0, 3.0)
    cells.control_step(ALL, *goals(before, 2), wrenches)
    rise = (cells.observe(ALL)["present_poses"] - before["present_poses"])[..., 2]
    # 3 N for one substep lift the 23 g leg at (3/m - g) / 120 = 1.0 m/s; it flies on for 92 ms.
    speed = (3.0 / 0.0231 - 9.8) / 120.0
    flown = 0.1 - 1.0 / 120.0
    expected = speed * flown - 0.5 * 9.8 * flown**2
    assert rise[1, 2] == pytest.approx(expected, rel=0.1)
    rise[1, 2] = 0.0
    assert np.abs(rise).max() < 1e-3


def test_cells_that_are_not_finite_are_reported_and_recover(cells: IsaacCells) -> None:
    cells.reset(ALL, *reset_inputs(starts(3)))
    goal = goals(cells.observe(ALL), 3)
    gym_of(cells).inner.broken.update({2})
    cells.control_step(ALL[:2], *(value[:2] for value in goal))
    assert cells.observe(ALL)["finite"].tolist() == [True, True, True], "2 was not meant to move"
    # The sixth call of the step is the one whose states are taken.
    gym = gym_of(cells).inner
    original = gym.simulate
    gym.simulate = lambda sim: (original(sim), gym.broken.add(1))[0]  # type: ignore[method-assign]
    try:
        cells.control_step(ALL, *goal)
    finally:
        gym.simulate = original  # type: ignore[method-assign]
    gym.broken.clear()
    states = cells.observe(ALL)
    assert states["finite"].tolist() == [True, False, True]
    assert all(np.isfinite(values).all() for values in states.values())
    cells.reset(ALL[1:2], *reset_inputs(starts(1)))
    cells.control_step(ALL, *goal)
    assert cells.observe(ALL)["finite"].all()


def test_a_reset_that_does_not_help_ends_the_worker(cells: IsaacCells) -> None:
    gym_of(cells).inner.broken.update({0})
    with pytest.raises(SimulatorError, match=r"cells \[0\] are not finite even after a reset"):
        cells.reset(ALL, *reset_inputs(starts(3)))


def test_every_tensor_is_made_on_the_device_of_the_simulator() -> None:
    # Whatever is made without naming a device ends up where it cannot be mixed with the others.
    with torch.device("meta"):
        cells = make_cells(2)
        cells.reset(ALL[:2], *reset_inputs(starts(2, "pushed")))
        goal = goals(cells.observe(ALL[:2]), 0)
        wrenches = np.ones((2, len(TASK.parts), 6)) * 1e-3
        cells.control_step(ALL[:2], *goal, wrenches)
        cells.place(ALL[:1], 3, cells.observe(ALL[:1])["present_poses"][:, 3])
        cells.control_step(ALL[1:2], *(value[1:] for value in goal))
        assert cells.observe(ALL[:2])["finite"].all()
        cells.close()


def test_nobody_moves_when_nobody_is_meant(cells: IsaacCells) -> None:
    calls = len(gym_of(cells).calls)
    none = np.zeros(0, dtype=np.int64)
    cells.control_step(none, np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros(0))
    cells.reset(none, np.zeros((0, 7)), np.zeros((0, 6, 7)), np.zeros((0, 5, 6)))
    assert len(gym_of(cells).calls) == calls


def test_it_does_not_matter_what_positions_in_tensors_count_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    for shown in (False, True):
        monkeypatch.setattr(
            "sim_training.isaac_stand_in.mujoco_gym.MujocoGym.positions_are_global", shown
        )
        cells = make_cells(2)
        cells.reset(ALL[:2], *reset_inputs(starts(2)))
        cells.control_step(ALL[:2], *goals(cells.observe(ALL[:2]), 0))
        seen.append(cells.observe(ALL[:2]))
        assert bool(cells._gym.origins.abs().max() > 1.0) == shown
        cells.close()
    for name, values in seen[0].items():
        np.testing.assert_allclose(seen[1][name], values, atol=2e-5, err_msg=name)


def test_cells_are_set_up_as_the_reference_does() -> None:
    gym_cells = make_gym_cells(2)
    sim = gym_cells._sim
    assert (sim.params.dt, sim.params.substeps) == (1.0 / 60.0, 2)
    physx = sim.params.physx
    assert physx.solver_type == 1, "TGS"
    assert (physx.num_position_iterations, physx.num_velocity_iterations) == (20, 1)
    assert (physx.contact_offset, physx.rest_offset) == (0.002, 0.0)
    robot, table, *objects = sim.envs[1].actors
    assert robot.asset.options.disable_gravity and robot.asset.options.fix_base_link
    assert [actor.name for actor in (robot, table, *objects)] == ["franka", "table", *TASK.objects]
    joints = robot.dof_properties
    assert joints["stiffness"].tolist() == [1000.0] * 7 + [0.0] * 2
    assert joints["damping"].tolist() == [200.0] * 7 + [0.0] * 2
    np.testing.assert_allclose(joints["upper"][7:], TASK.max_gripper_width_m / 2)
    np.testing.assert_allclose(joints["effort"], [87.0] * 4 + [12.0] * 3 + [13.0] * 2)
    friction = {actor.name: {shape.friction for shape in actor.shapes} for actor in objects}
    assert friction["top"] == {0.15} and friction["obstacle"] == {1.0}
    assert gym_cells.actor_ids.dtype == torch.int32


def test_refusals_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = settings()
    lost = replace(cell.objects[0], urdf=cell.objects[0].urdf + ".gone")
    with pytest.raises(SimulatorError, match="cannot load"):
        make_cells(1, replace(cell, objects=[lost, *cell.objects[1:]]))
    short = replace(cell.objects[0], filters=[1, 2])
    with pytest.raises(SimulatorError, match="361 collision shapes in Isaac Gym and 2"):
        make_cells(1, replace(cell, objects=[short, *cell.objects[1:]]))
    gym = "sim_training.isaac_stand_in.mujoco_gym.MujocoGym"
    monkeypatch.setattr(f"{gym}.get_env_origin", lambda *args: Vec3(9.0, 0.0, 0.0))
    monkeypatch.setattr(f"{gym}.positions_are_global", True)
    with pytest.raises(SimulatorError, match="does not hold what it should"):
        make_cells(4)
    monkeypatch.setattr(f"{gym}.find_actor_rigid_body_index", lambda *args: 7)
    with pytest.raises(SimulatorError, match="ordered unlike"):
        make_cells(2)
    monkeypatch.setattr(f"{gym}.get_actor_index", lambda *args: 3)
    with pytest.raises(SimulatorError, match="have indices"):
        make_cells(1)
    monkeypatch.setattr(f"{gym}.create_sim", lambda *args: None)
    with pytest.raises(SimulatorError, match="NVIDIA driver"):
        make_cells(1)
