# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every installed simulator of the furniture cells against MuJoCo on the CPU.

The same start states and actions go through both; observations, contacts and success have to
agree within the bounds stated here. A simulator joins by its name in ``tasks.SIMULATORS``; one
that is not installed is skipped. Isaac Gym is represented by its MuJoCo stand-in where it is
missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.core.observation import base_pose_from_tag, tag_pose_from_base
from dppo_ros.core.rotations import FloatArray, rotation_y
from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.experts import EXPERTS
from sim_training.envs.furniture.isaac_config import IsaacGymSettings
from sim_training.envs.furniture.make import make_furniture_env, make_mujoco_env
from sim_training.envs.furniture.one_leg import geometry as one_leg_geometry
from sim_training.envs.furniture.scene import PhysicsOptions
from sim_training.envs.furniture.simulator import CellSimulator
from sim_training.envs.furniture.starts import sample_start
from sim_training.envs.furniture.task import Progress, relative_pose
from sim_training.envs.furniture.tasks import SIMULATORS, TASKS, FurnitureConfig

pytestmark = pytest.mark.timeout(900)  # the first test may have to compile
N = 4
ALL = np.arange(N)
MILLIMETRE = 1e-3
OTHERS = [name for name in SIMULATORS if name != "mujoco"]
ONE_LEG = TASKS["one_leg"]


@dataclass(frozen=True)
class Both:
    """The same task on MuJoCo and on another simulator."""

    reference: FurnitureEnv[Any]
    other: FurnitureEnv[Any]

    def simulators(self) -> tuple[CellSimulator, CellSimulator]:
        return self.reference.simulator, self.other.simulator


@cache
def environments(task: str, simulator: str) -> Both:
    """Kept for all tests: to build them costs more than to run them."""
    isaac = IsaacGymSettings(stand_in="DPPO_ISAAC_GYM_PYTHON" not in os.environ)
    config = FurnitureConfig(name=task, simulator=simulator, isaac=isaac)  # type: ignore[arg-type]
    try:
        other = make_furniture_env(config, N)
    except (ImportError, EnvironmentUnavailableError) as error:
        pytest.skip(f"{simulator} is not installed: {error}")
    return Both(make_mujoco_env(config, N, options=PhysicsOptions(sleep=False)), other)


@pytest.fixture(scope="module", params=OTHERS)
def simulator(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "warp":
        request.getfixturevalue("warp_compiled")
    yield request.param
    environments.cache_clear()


@pytest.fixture(params=["one_leg", "lamp"])
def both(request: pytest.FixtureRequest, simulator: str) -> Both:
    return environments(request.param, simulator)


@pytest.fixture
def both_one_leg(simulator: str) -> Both:
    return environments("one_leg", simulator)


@pytest.mark.parametrize("starts", ["uniform", "pushed"])
def test_the_same_actions_give_the_same_observations(both: Both, starts: str) -> None:
    """Six control steps of the expert, driven by what MuJoCo shows.

    The tool agrees within 0.5 mm and 0.02 m/s or rad/s. Parts agree within 2 mm and 0.002 in a
    quaternion, pushed ones within 10 mm and 0.01. A pushed bulb rolls wherever the last bit of
    its contact sends it, and is left out.
    """
    if both.other.config.simulator == "isaac_gym" and starts == "pushed":
        pytest.skip("shows parts 1/120 s later, while they slide; where they stop is tested below")
    bound = 1e-2 if starts == "pushed" else 2e-3
    task = both.reference.task
    for env in (both.reference, both.other):
        env.config = replace(env.config, starts=starts)  # type: ignore[arg-type]
    observation, active = both.reference.reset(ALL, ALL), np.ones(N, dtype=bool)
    np.testing.assert_allclose(both.other.reset(ALL, ALL), observation, atol=3e-3)
    parts = columns_of_parts(both.reference, without_held=starts == "pushed")
    for _ in range(6):
        actions = EXPERTS[task.name](observation)
        outcome, seen = both.reference.step(actions, active), both.other.step(actions, active)
        observation = outcome.observation
        np.testing.assert_allclose(seen.observation[:, :9], observation[:, :9], atol=5e-4)
        np.testing.assert_allclose(seen.observation[:, 9:15], observation[:, 9:15], atol=0.02)
        np.testing.assert_allclose(seen.observation[:, 15], observation[:, 15], atol=5e-4)
        np.testing.assert_allclose(seen.observation[:, parts], observation[:, parts], atol=bound)
        assert seen.info["phase"].tolist() == outcome.info["phase"].tolist()


def test_pushed_parts_come_to_rest_at_the_same_places(both: Both) -> None:
    """Sliding friction; they end within 1 mm and 3 deg of each other (not a bulb, which rolls).

    Isaac Gym's states are single precision: a hood that the bulb rolls into ends within 4 mm.
    """
    task = both.reference.task
    bound = MILLIMETRE
    if (task.name, both.other.config.simulator) == ("lamp", "isaac_gym"):
        bound = 4 * MILLIMETRE
    states = [sample_start(task, "low", seed, "pushed") for seed in range(N)]
    ends = []
    for cells in both.simulators():
        cells.reset(ALL, states)
        stay(cells, 5)
        ends.append(cells.observe(ALL).tag_from_part)
    moved = 0.0
    for name in task.parts:
        moved = max(moved, np.abs(ends[0][name][:, :3] - task.nominal_poses[name][:3]).max())
        position, rotation = relative_pose(ends[0][name], ends[1][name])
        if task.held is not None and name == task.held.name:
            continue
        assert np.abs(position).max() < bound, name
        least = 1 + 2 * np.cos(np.radians(3.0))
        assert np.trace(rotation, axis1=1, axis2=2).min() > least, name
    assert moved > 5 * MILLIMETRE


def test_a_grasp_holds(both_one_leg: Both) -> None:
    """A leg put between the fingers stays there when the hand goes up; 0.5 mm between them."""
    heights, widths = [], []
    for cells in both_one_leg.simulators():
        cells.reset(ALL, [sample_start(ONE_LEG, "low", seed) for seed in range(N)])
        robot = cells.observe(ALL).robot
        goal, rotation = robot.tool_position.copy(), robot.base_from_tool.copy()
        up = np.tile([0.0, 0.0, 1.0], (N, 1))
        across = rotation[:, :, 1] - up * rotation[:, 2:, 1]
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        leg = np.stack([across, up, np.cross(across, up)], axis=-1)
        for _ in range(4):
            place = tag_pose_from_base(cells.observe(ALL).robot.tool_position - 0.01 * up, leg)
            cells.place_part(ALL, "leg4", place)
            cells.control_step(ALL, goal, rotation, np.ones(N))
        goal[:, 2] += 0.05
        for _ in range(6):
            cells.control_step(ALL, goal, rotation, np.ones(N))
        states = cells.observe(ALL)
        position, _ = base_pose_from_tag(states.tag_from_part["leg4"])
        heights.append(position[:, 2] - states.robot.tool_position[:, 2])
        widths.append(states.robot.gripper_width)
        assert (position[:, 2] > 0.12).all()
    np.testing.assert_allclose(heights[0], -0.01, atol=2 * MILLIMETRE)
    np.testing.assert_allclose(heights[1], heights[0], atol=0.5 * MILLIMETRE)
    np.testing.assert_allclose(widths[0], 2 * one_leg_geometry.LEG_HALF_WIDTH_M, atol=MILLIMETRE)
    np.testing.assert_allclose(widths[1], widths[0], atol=0.2 * MILLIMETRE)


def test_a_leg_dropped_into_a_hole_is_caught_by_the_thread(both_one_leg: Both) -> None:
    """It rests 53 to 62 mm above the tray's centre, depending on its yaw; not seated (46.9)."""
    hole_x, hole_z = one_leg_geometry.HOLES_IN_TRAY[0]
    heights = []
    for cells in both_one_leg.simulators():
        cells.reset(ALL, [sample_start(ONE_LEG, "low", seed) for seed in range(N)])
        tray = cells.observe(ALL).tag_from_part["top"]
        for index, yaw in enumerate((0.5, 1.5, 3.0, 4.5)):
            one = slice(index, index + 1)
            above = np.array([hole_x, 0.065, hole_z])
            cells.place_part(ALL[one], "leg4", joined(tray[one], above, rotation_y(yaw)))
        stay(cells, 6)
        states = cells.observe(ALL).tag_from_part
        heights.append(relative_pose(states["top"], states["leg4"])[0][:, 1])
    assert (heights[0] > 0.0525).all()
    assert (heights[0] < 0.0625).all()
    assert np.ptp(heights[0]) > MILLIMETRE
    np.testing.assert_allclose(heights[1], heights[0], atol=0.5 * MILLIMETRE)


def test_assembled_parts_are_seen_as_assembled(both: Both) -> None:
    """Every pair put together where its first target is, then one control step of physics."""
    task = both.reference.task
    for cells in both.simulators():
        cells.reset(ALL, [sample_start(task, "low", seed) for seed in range(N)])
        for pair in task.pairs:
            target = pair.targets[0]
            base = cells.observe(ALL).tag_from_part[pair.base]
            cells.place_part(ALL, pair.part, joined(base, target.position, target.rotation))
        stay(cells, 1)
        progress = Progress(task, N)
        assert progress.update(ALL, cells.observe(ALL)).tolist() == [len(task.pairs)] * N
        assert progress.success.all()


@pytest.mark.slow
def test_the_expert_assembles_on_both(both_one_leg: Both) -> None:
    """A whole episode: corner, grasp, insertion and three turns of the thread."""
    for env in (both_one_leg.reference, both_one_leg.other):
        observation, active = env.reset(ALL, ALL), np.arange(N) < 1
        for _ in range(env.max_episode_steps):
            outcome = env.step(EXPERTS["one_leg"](observation), active)
            observation = outcome.observation
            if outcome.terminated[0]:
                break
        assert outcome.info["success"][0]


def columns_of_parts(env: FurnitureEnv[Any], without_held: bool) -> list[int]:
    """Columns of the observation that hold poses of parts."""
    held = env.task.held.name if env.task.held is not None and without_held else None
    start = 16  # after the 16 numbers of the robot, 7 for each part
    return [
        start + 7 * index + k
        for index, name in enumerate(env.task.parts)
        if name != held
        for k in range(7)
    ]


def stay(cells: CellSimulator, steps: int) -> None:
    """Let time pass, the arm where it is."""
    robot = cells.observe(ALL).robot
    for _ in range(steps):
        cells.control_step(ALL, robot.tool_position, robot.base_from_tool, -np.ones(N))


def joined(
    tag_from_base: FloatArray, position: FloatArray, rotation: FloatArray | None
) -> FloatArray:
    """Tag-frame poses (n, 7) of a part at a pose in the frame of its base part."""
    base, base_from_part = base_pose_from_tag(tag_from_base)
    turn = np.eye(3) if rotation is None else rotation
    return tag_pose_from_base(base + base_from_part @ position, base_from_part @ turn)
