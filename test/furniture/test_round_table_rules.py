# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets, rewards, phases and start states of round_table, against worked values."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.observation import (
    OBSTACLE,
    RobotState,
    base_pose_from_tag,
    canonical_pose,
    furniture_observation_spec,
    tag_pose_from_base,
)
from dppo_ros.core.rotations import rotation_x, rotation_z
from sim_training.envs.furniture.round_table.task import BASE, LEG, ROUND_TABLE, TOP
from sim_training.envs.furniture.starts import sample_start
from sim_training.envs.furniture.task import CellStates, Progress, relative_pose

ONLY = np.array([0])
TOP_HEIGHT = 0.00125
"""Origin of the top over the table (m)."""


def pose(position: tuple[float, float, float], rotation: np.ndarray) -> np.ndarray:
    """Tag-frame pose (1, 7) from base-frame values."""
    return tag_pose_from_base(np.array(position), rotation)[None]


def layout(
    leg_height: float = 0.0, leg_yaw_deg: float = 0.0, base_height: float = 0.0
) -> dict[str, np.ndarray]:
    """The finished table; leg and base so much too high (m), the leg turned back so far."""
    # Worked by hand in the base frame: the top's axes are the base's. The leg stands upright,
    # its x axis at 185 deg; the base's x axis then points along the leg's -z.
    yaw = np.radians(185.0 + leg_yaw_deg)
    leg_z = TOP_HEIGHT + 0.044375 + leg_height
    base_yaw = yaw + np.pi / 2
    return {
        TOP: pose((0.57, 0.0, TOP_HEIGHT), np.eye(3)),
        LEG: pose((0.57, 0.0, leg_z), rotation_z(yaw) @ rotation_x(np.pi / 2)),
        BASE: pose((0.57, 0.0, leg_z + 0.053125 + base_height), rotation_z(base_yaw)),
        OBSTACLE: ROUND_TABLE.nominal_poses[OBSTACLE][None],
    }


def states(
    poses: dict[str, np.ndarray],
    tool: tuple[float, float, float] = (0.5, 0.0, 0.3),
    width: float = 0.065,
) -> CellStates:
    """One cell with parts at the given poses."""
    zero = np.zeros((1, 3))
    robot = RobotState(np.array([tool]), rotation_x(np.pi)[None], zero, zero, np.array([width]))
    return CellStates(robot, poses, np.array([True]))


def nominal() -> dict[str, np.ndarray]:
    """The start layout."""
    return {name: value[None].copy() for name, value in ROUND_TABLE.nominal_poses.items()}


def phase_of(cell: CellStates) -> str:
    """Name of the stage a state belongs to."""
    return ROUND_TABLE.phase_names[int(ROUND_TABLE.phase_rule(cell)[0])]


def test_sizes_are_those_of_the_reference() -> None:
    """44 numbers, three parts, two pairs, 1000 steps, 65 mm."""
    assert furniture_observation_spec(ROUND_TABLE.parts).dim == 44
    assert [(pair.base, pair.part) for pair in ROUND_TABLE.pairs] == [(TOP, LEG), (LEG, BASE)]
    assert ROUND_TABLE.max_episode_steps == 1000
    assert ROUND_TABLE.max_gripper_width_m == 0.065
    assert ROUND_TABLE.push_scales[TOP].force == 30.0
    assert ROUND_TABLE.push_scales[LEG].torque == 4.0


def test_targets_of_the_finished_table() -> None:
    """Leg 44.375 mm above the top's origin at 185 deg, base 53.125 mm up the leg's axis."""
    poses = layout()
    position, rotation = relative_pose(poses[TOP], poses[LEG])
    np.testing.assert_allclose(position[0], [0, 0, 0.044375], atol=1e-9)
    np.testing.assert_allclose(
        rotation[0], np.asarray(ROUND_TABLE.pairs[0].targets[0].rotation), atol=1e-9
    )
    np.testing.assert_allclose(rotation[0] @ [0, 1, 0], [0, 0, 1], atol=1e-9)
    position, rotation = relative_pose(poses[LEG], poses[BASE])
    np.testing.assert_allclose(position[0], [0, 0.053125, 0], atol=1e-9)
    np.testing.assert_allclose(
        rotation[0], np.asarray(ROUND_TABLE.pairs[1].targets[0].rotation), atol=1e-9
    )
    np.testing.assert_allclose(rotation[0] @ [1, 0, 0], [0, 0, -1], atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "reward"),
    [
        ({}, 2.0),
        ({"leg_height": 0.0049}, 2.0),
        ({"leg_height": 0.0051}, 1.0),
        ({"leg_yaw_deg": 19.0}, 2.0),
        ({"leg_yaw_deg": 20.5}, 1.0),
        ({"base_height": 0.0051}, 1.0),
        ({"base_height": 0.0051, "leg_height": 0.0051}, 0.0),
    ],
)
def test_every_pair_is_rewarded_once(changes: dict[str, float], reward: float) -> None:
    """Within 5 mm and 19.9 deg; the second look at the same state is worth nothing."""
    progress = Progress(ROUND_TABLE, 1)
    cell = states(layout(**changes))
    assert progress.update(ONLY, cell)[0] == reward
    assert progress.update(ONLY, cell)[0] == 0.0
    assert bool(progress.success[0]) is (reward == 2.0)


def test_a_joined_pair_stays_joined() -> None:
    """The leg may be turned on by the base's screw: what has been joined counts."""
    progress = Progress(ROUND_TABLE, 1)
    progress.update(ONLY, states(layout(base_height=0.05)))
    assert progress.update(ONLY, states(layout(leg_height=0.006)))[0] == 1.0
    assert progress.success[0]


def test_phases_follow_the_work() -> None:
    """Each stage from a worked state; the last one is decided by the pairs."""
    poses = nominal()
    assert phase_of(states(poses)) == "start"
    poses[TOP] = pose((0.3015 + 0.37 - 0.1 - 0.005, 0.0, TOP_HEIGHT), np.eye(3))
    assert phase_of(states(poses)) == "pushed"
    lifted = pose((0.5, 0.0, 0.10), rotation_x(np.pi / 2))
    assert phase_of(states({**poses, LEG: lifted}, (0.5, 0.0, 0.13), 0.0425)) == "leg grasped"
    assert phase_of(states({**poses, LEG: lifted}, tool=(0.5, 0.0, 0.13))) == "pushed"
    aside = {BASE: poses[BASE]}
    assert phase_of(states({**layout(leg_height=0.015), **aside})) == "leg inserted"
    assert phase_of(states({**layout(leg_yaw_deg=90.0, leg_height=0.003), **aside})) == (
        "leg threaded"
    )
    assert phase_of(states({**layout(), **aside})) == "leg assembled"
    carried = {BASE: pose((0.5, 0.0, 0.15), np.eye(3))}
    assert phase_of(states({**layout(), **carried}, (0.5, 0.0, 0.152), 0.047)) == "base grasped"
    assert phase_of(states(layout(base_height=0.012))) == "base inserted"
    assert phase_of(states(layout(base_height=0.0052))) == "base threaded"
    progress = Progress(ROUND_TABLE, 1)
    progress.update(ONLY, states(layout()))
    assert ROUND_TABLE.phase_names[progress.phase[0]] == "assembled"


@pytest.mark.parametrize("level", ["low", "med"])
def test_uniform_starts_keep_the_parts_apart(level: str) -> None:
    """The dish clears the leg by its true, round outline, and the base's peg and the fence."""
    for seed in range(20):
        start = sample_start(ROUND_TABLE, level, seed)
        again = sample_start(ROUND_TABLE, level, seed)
        top, leg, base = (base_pose_from_tag(start.tag_from_part[n])[0] for n in (TOP, LEG, BASE))
        np.testing.assert_array_equal(start.tag_from_part[LEG], again.tag_from_part[LEG])
        assert np.hypot(*(top - base)[:2]) > 0.1 + 0.012
        assert np.hypot(*(top - leg)[:2]) > 0.1 + 0.02125
        assert start.tag_from_part[OBSTACLE][1] - 0.01 - start.tag_from_part[TOP][1] > 0.1


@pytest.mark.parametrize("yaw_deg", [-60.0, 0.0, 60.0])
def test_no_quaternion_flips_in_the_usual_range(yaw_deg: float) -> None:
    """Turned about the vertical by up to 60 degrees, poses stay near their nominal quaternion."""
    for name in ROUND_TABLE.parts:
        start = ROUND_TABLE.nominal_poses[name]
        position, rotation = base_pose_from_tag(start)
        turned = tag_pose_from_base(position, rotation_z(np.radians(yaw_deg)) @ rotation)
        here, there = canonical_pose(name, start)[3:], canonical_pose(name, turned)[3:]
        assert here @ there > 0.8
