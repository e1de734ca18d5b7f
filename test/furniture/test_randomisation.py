# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Friction, masses, gains, height of the robot, offsets, pushes: each acts, but only when on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import OBSTACLE
from sim_training.config_file import load_config, merge, to_plain
from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.properties import NOMINAL, CellProperties, sample_properties
from sim_training.envs.furniture.pushes import PassingPushes
from sim_training.envs.furniture.randomisation import SWITCHES, RandomisationConfig
from sim_training.envs.furniture.sensing import SensedEnv
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.starts import START_RANGES, sample_start
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.make import make_step_env

SEED = 5
START = sample_start(ONE_LEG, "low", SEED)
PARTS = ONE_LEG.parts


def push(force_n: float) -> np.ndarray:
    """Return wrenches (1, 5, 6) that push the tray towards the robot."""
    wrenches = np.zeros((1, len(PARTS), 6))
    wrenches[0, 0, 0] = -force_n
    return wrenches


def drive(
    properties: CellProperties,
    lift_m: float = 0.0,
    force_n: float = 0.0,
    steps: int = 4,
    simulation: MujocoSimulation | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return tool position (steps, 3) and tray position (steps, 3) with a goal 50 mm ahead."""
    cell = simulation or MujocoSimulation(ONE_LEG, 1)
    ids = np.arange(1)
    cell.reset(ids, [replace(START, properties=properties)])
    robot = cell.observe(ids).robot
    goal = robot.tool_position + np.array([0.05, 0.0, lift_m])
    tool, tray = [], []
    for step in range(steps):
        wrenches = push(force_n) if step == 1 and force_n else None
        cell.control_step(ids, goal, robot.base_from_tool, np.ones(1), wrenches)
        states = cell.observe(ids)
        tool.append(states.robot.tool_position[0])
        tray.append(states.tag_from_part["top"][0, :3])
    return np.array(tool), np.array(tray)


@pytest.fixture(scope="module")
def nominal() -> tuple[np.ndarray, np.ndarray]:
    return drive(NOMINAL, force_n=2.0)


def test_nominal_properties_leave_a_cell_as_it_is(nominal: tuple[np.ndarray, np.ndarray]) -> None:
    cell = MujocoSimulation(ONE_LEG, 1)
    changed = drive(CellProperties(drive_stiffness=1.3, base_height_m=0.01), simulation=cell)[0]
    assert not np.allclose(changed, nominal[0], atol=1e-4)
    # Back to nominal, in a batch whose model fields are per cell by now.
    again = drive(NOMINAL, force_n=2.0, simulation=cell)
    for one, other in zip(again, nominal, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_a_push_moves_the_part_and_only_as_far_as_mass_and_friction_let_it(
    nominal: tuple[np.ndarray, np.ndarray],
) -> None:
    """Distance = speed^2 / (2 mu g), speed = impulse / mass: all three factors are checked."""

    def slid(properties: CellProperties, force_n: float = 2.0) -> float:
        tray = drive(properties, force_n=force_n)[1]
        return float(np.linalg.norm(tray[-1] - tray[0]))

    plain = float(np.linalg.norm(nominal[1][-1] - nominal[1][0]))
    speed = 2.0 / 120.0 / 0.151
    assert plain == pytest.approx(speed**2 / (2 * 0.125 * 9.8), rel=0.2)
    assert slid(NOMINAL, 0.0) < 1e-5
    assert slid(CellProperties(part_mass={"top": 2.0})) == pytest.approx(plain / 4, rel=0.25)
    assert slid(CellProperties(surface_friction=2.0)) == pytest.approx(plain / 2, rel=0.2)
    assert slid(CellProperties(surface_friction=0.5)) == pytest.approx(plain * 2, rel=0.2)
    assert slid(CellProperties(part_mass={"leg1": 2.0}, finger_friction=2.0)) == pytest.approx(
        plain, rel=1e-3
    )


def test_gains_make_the_arm_quicker_or_slower(nominal: tuple[np.ndarray, np.ndarray]) -> None:
    """Stiffness over damping is how fast the drives close in on their target."""
    way = nominal[0][0, 0]
    assert drive(CellProperties(drive_stiffness=1.5))[0][0, 0] > way + 1e-3
    assert drive(CellProperties(drive_stiffness=0.7))[0][0, 0] < way - 1e-3
    assert drive(CellProperties(drive_damping=1.5))[0][0, 0] < way - 1e-3
    same = drive(CellProperties(drive_stiffness=1.5, drive_damping=1.5))[0][0, 0]
    assert same == pytest.approx(way, abs=2e-3)


def test_every_property_reaches_the_model_of_its_cell_only() -> None:
    cell = MujocoSimulation(ONE_LEG, 2)
    changed = CellProperties(1.5, 0.8, {"leg4": 1.2}, 1.1, 0.9, 0.7, 0.01)
    starts = [START, replace(START, properties=changed)]
    cell.reset(np.arange(2), starts)
    shared, model = cell._batch.get_model(0), cell._batch.get_model(1)
    for name, geom_factor in (("top", 1.5), ("panda_leftfinger", 0.8), ("obstacle", 1.5)):
        of = shared.geom_bodyid == shared.body(name).id
        ratio = model.geom_friction[of, 0] / cell.model.geom_friction[of, 0]
        np.testing.assert_allclose(ratio, geom_factor)
        np.testing.assert_array_equal(shared.geom_friction[of], cell.model.geom_friction[of])
        np.testing.assert_array_equal(model.geom_friction[of, 1:], shared.geom_friction[of, 1:])
    leg, top = model.body("leg4").id, model.body("top").id
    assert model.body_mass[leg] == pytest.approx(1.2 * shared.body_mass[leg])
    np.testing.assert_allclose(model.body_inertia[leg], 1.2 * shared.body_inertia[leg])
    assert model.body_mass[top] == shared.body_mass[top]
    drive_id = model.actuator("panda_joint1_drive").id
    assert model.actuator_gainprm[drive_id, 0] == pytest.approx(1100.0)
    np.testing.assert_allclose(model.actuator_biasprm[drive_id, 1:3], (-1100.0, -180.0))
    assert model.actuator_gainprm[model.actuator("panda_finger_joint1_motor").id, 0] == 0.7
    assert model.body_pos[model.body("panda_link0").id, 2] == pytest.approx(0.01)


def test_a_higher_robot_does_the_same_in_its_own_frame_and_ends_higher_above_the_table() -> None:
    flat = drive(NOMINAL)[0]
    cell = MujocoSimulation(ONE_LEG, 1)
    raised = drive(CellProperties(base_height_m=0.015), simulation=cell)[0]
    np.testing.assert_allclose(raised, flat, atol=1e-6)
    over_table = cell._site_pos[0, cell._tool, 2]
    assert over_table == pytest.approx(raised[-1, 2] + 0.015)
    # Lowered to where a robot on the table would touch it, the raised one still hangs above.
    low = drive(NOMINAL, lift_m=-0.2, steps=25)[0][-1, 2]
    high = drive(CellProperties(base_height_m=0.015), lift_m=-0.2, steps=25)[0][-1, 2]
    assert high < low - 0.005


def test_the_environment_judges_progress_above_the_table() -> None:
    config = FurnitureConfig(randomisation=RandomisationConfig(base_height_m=0.03))
    env = make_mujoco_env(config, 1)
    seen = env.reset(np.arange(1), np.array([SEED]))[0]
    height = sample_properties(PARTS, config.randomisation, SEED).base_height_m
    assert 0.0 < height < 0.03
    assert env._tool_position[0, 2] == pytest.approx(seen[2] + height, abs=1e-6)
    nominal_seen = make_mujoco_env(FurnitureConfig(), 1).reset(np.arange(1), np.array([SEED]))[0]
    np.testing.assert_allclose(seen, nominal_seen, atol=1e-6)


def test_properties_depend_on_the_seed_and_grow_with_the_spread() -> None:
    small, large = (
        RandomisationConfig(part_mass_spread=0.2),
        RandomisationConfig(part_mass_spread=0.44, drive_damping_spread=0.5),
    )
    one, again = (sample_properties(PARTS, small, 7) for _ in range(2))
    other, wider = sample_properties(PARTS, small, 8), sample_properties(PARTS, large, 7)
    assert one == again and one != other
    assert sample_properties(PARTS, RandomisationConfig(part_noise_m=0.01), 7) is NOMINAL
    for name in PARTS:
        assert 1 / 1.2 <= one.part_mass[name] <= 1.2
        # 1.44 = 1.2 squared: the same power of a base twice as far from one.
        assert wider.part_mass[name] == pytest.approx(one.part_mass[name] ** 2)
    assert one.drive_damping == 1.0 and wider.drive_damping != 1.0
    factors = [sample_properties(PARTS, large, seed).drive_damping for seed in range(2000)]
    assert np.mean(np.log(factors)) == pytest.approx(0.0, abs=0.02)
    assert min(factors) >= 1 / 1.5 and max(factors) <= 1.5
    assert len({round(value, 9) for value in one.part_mass.values()}) == len(PARTS)


def test_offsets_widen_the_start_and_nothing_else() -> None:
    wide = RandomisationConfig(obstacle_offset_m=0.02, joint_offset_rad=0.1)
    level = START_RANGES["low"]
    fence = []
    for seed in range(60):
        plain, wider = (
            sample_start(ONE_LEG, "low", seed),
            sample_start(ONE_LEG, "low", seed, randomisation=wide),
        )
        shift = plain.tag_from_part[OBSTACLE][:2] - ONE_LEG.nominal_poses[OBSTACLE][:2]
        more = wider.tag_from_part[OBSTACLE][:2] - ONE_LEG.nominal_poses[OBSTACLE][:2]
        np.testing.assert_allclose(more, shift * (level.obstacle_xy_m + 0.02) / level.obstacle_xy_m)
        fence.append(np.abs(more).max())
        assert wider.properties is NOMINAL
    assert max(fence) > level.obstacle_xy_m
    off = sample_start(ONE_LEG, "low", 3, randomisation=RandomisationConfig(part_noise_m=0.01))
    same = sample_start(ONE_LEG, "low", 3)
    np.testing.assert_array_equal(off.arm_joints, same.arm_joints)


def test_passing_pushes_have_the_rate_and_strength_asked_for() -> None:
    level = START_RANGES["low"]
    pushes = PassingPushes(ONE_LEG, level, RandomisationConfig(push_rate=0.1, push_strength=2.0), 2)
    pushes.restart(np.arange(2), np.array([3, 4]))
    drawn = [pushes.draw(np.arange(2)) for _ in range(600)]
    wrenches = np.stack([np.zeros((2, 5, 6)) if one is None else one for one in drawn])
    force = np.linalg.norm(wrenches[..., :2], axis=-1)
    assert (force > 0).mean() == pytest.approx(0.1, rel=0.15)
    greatest = 2.0 * level.push_force_n * ONE_LEG.push_scales["top"].force
    assert 0.9 * greatest < force[..., 0].max() <= greatest
    assert force[..., 1:].max() <= 2.0 * level.push_force_n * ONE_LEG.push_scales["leg1"].force
    np.testing.assert_array_equal(wrenches[..., 2:5], 0.0)
    assert abs(wrenches[..., 5].sum()) > 0
    # The second cell alone, from the start of its episode.
    pushes.restart(np.array([0]), np.array([4]))
    alone = [pushes.draw(np.array([0])) for _ in range(600)]
    for ours, theirs in zip(alone, wrenches[:, 1], strict=True):
        np.testing.assert_array_equal(np.zeros((5, 6)) if ours is None else ours[0], theirs)
    assert PassingPushes(ONE_LEG, level, RandomisationConfig(), 1).draw(np.arange(1)) is None


def rollout(config: FurnitureConfig, seeds: list[int], steps: int = 12) -> np.ndarray:
    """Return observations (steps + 1, n, 58) with the gripper closing above the table."""
    env = make_step_env(config, len(seeds))
    seen = [env.reset(np.arange(len(seeds)), np.array(seeds))]
    actions = np.tile(np.array([0.6, 0, 0.1, 1, 0, 0, 0, -1, 0, 1], np.float32), (len(seeds), 1))
    active = np.ones(len(seeds), dtype=bool)
    seen += [env.step(actions, active).observation for _ in range(steps)]
    env.close()
    return np.stack(seen)


def test_everything_off_is_bit_for_bit_the_plain_task() -> None:
    plain = rollout(FurnitureConfig(), [SEED])
    silent = RandomisationConfig(preset="wide", without=tuple(SWITCHES))
    np.testing.assert_array_equal(rollout(FurnitureConfig(randomisation=silent), [SEED]), plain)
    env = make_mujoco_env(FurnitureConfig(), 1)
    assert env.simulator._batch.expanded("body_mass") is None
    assert not isinstance(make_step_env(FurnitureConfig(), 1), SensedEnv)


def test_a_randomised_episode_does_not_depend_on_its_batch() -> None:
    config = FurnitureConfig(randomisation=RandomisationConfig(preset="wide", push_rate=0.2))
    among, alone = rollout(config, [3, SEED]), rollout(config, [SEED])
    np.testing.assert_array_equal(among[:, 1], alone[:, 0])
    assert not np.allclose(alone, rollout(FurnitureConfig(), [SEED]), atol=1e-4)


def test_control_rate_keeps_the_time_limit_and_changes_the_period() -> None:
    half = FurnitureConfig(control_rate_hz=5.0, max_episode_steps=30)
    assert half.episode_steps == 15
    slow, plain = make_mujoco_env(half, 1), make_mujoco_env(FurnitureConfig(), 1)
    assert (slow.simulator.physics_steps, plain.simulator.physics_steps) == (100, 50)
    assert (slow.max_episode_steps, slow.control_rate_hz) == (15, 5.0)
    for wrong in (0.0, 1.0, 7.0, 100.0):
        with pytest.raises(ConfigError, match=r"control_rate_hz is .*\[2, 50\]"):
            FurnitureConfig(control_rate_hz=wrong)


def test_settings_come_from_files_and_are_kept_with_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "env.yaml"
    path.write_text("randomisation: {preset: measured, part_noise_m: 0.001, without: [pushes]}\n")
    config = load_config(path, FurnitureConfig())
    assert config.randomisation.resolved().part_noise_m == 0.001
    assert merge(FurnitureConfig(), to_plain(config)) == config
    path.write_text("randomisation: {part_noise_m: 1}\n")
    with pytest.raises(ConfigError, match=r"part_noise_m is 1.0; it must be in \[0, 0.02\]"):
        load_config(path, FurnitureConfig())


def test_a_simulator_that_cannot_follow_is_refused() -> None:
    class Rigid(MujocoSimulation):
        randomises_physics = False

    config = FurnitureConfig(randomisation=RandomisationConfig(part_mass_spread=0.1))
    with pytest.raises(ConfigError, match="cannot change friction"):
        FurnitureEnv(config, Rigid(ONE_LEG, 1))
    with pytest.raises(ConfigError, match="control_rate_hz is 20"):
        FurnitureEnv(FurnitureConfig(control_rate_hz=20.0), MujocoSimulation(ONE_LEG, 1))
