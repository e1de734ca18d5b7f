# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measured start states: pushes obey impulse and friction, statistics see what was done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from sim_training.data.starts import StartsConfig, run_starts
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.one_leg.geometry import LEG_MASS_KG, TRAY_MASS_KG
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.start_statistics import (
    StartSample,
    displacements,
    measure_starts,
    summarise,
)
from sim_training.envs.furniture.starts import PUSH_DURATION_S, StartState
from sim_training.envs.furniture.task import CONTROL_RATE_HZ

GRAVITY = 9.8


def slide_m(force_n: float, mass_kg: float, duration_s: float) -> float:
    """Worked by hand: speed (F - f) t / m, the way under the push plus v^2 / (2 mu g) after it."""
    friction_n = geo.PART_FRICTION * mass_kg * GRAVITY
    speed = (force_n - friction_n) * duration_s / mass_kg
    return 0.5 * speed * duration_s + speed**2 / (2 * geo.PART_FRICTION * GRAVITY)


def pushed_away_m(forces: dict[str, float]) -> np.ndarray:
    """How far parts come from their nominal poses, pushed along x, hand far away; by part."""
    simulator = MujocoSimulation(ONE_LEG, 1)
    joints = geo.RESET_JOINTS_RAD + np.array([0.0, -0.4, 0.0, 0.2, 0.0, 0.0, 0.0])
    wrenches = {name: np.array([force, 0, 0, 0, 0, 0]) for name, force in forces.items()}
    cell = np.array([0])
    simulator.reset(cell, [StartState(joints, ONE_LEG.nominal_poses, wrenches)])
    simulator.advance(cell, 10 * simulator.physics_steps)
    moved = displacements(ONE_LEG, simulator.observe(cell))[0]
    return np.hypot(moved[:, 0], moved[:, 1])


def test_a_pushed_part_slides_as_far_as_impulse_and_friction_say() -> None:
    """The greatest pushes of the two levels; 5 N on the tray and 0.5 N on a leg."""
    away = pushed_away_m({"top": 5.0, "leg1": 0.5, "leg2": 0.2})
    assert away[0] == pytest.approx(slide_m(5.0, TRAY_MASS_KG, PUSH_DURATION_S), rel=0.1)
    assert away[1] == pytest.approx(slide_m(0.5, LEG_MASS_KG, PUSH_DURATION_S), rel=0.15)
    assert away[2] == pytest.approx(slide_m(0.2, LEG_MASS_KG, PUSH_DURATION_S), rel=0.25)
    assert np.all(away[3:] < 1e-4)


def test_displacement_grows_with_the_square_of_the_impulse() -> None:
    """Three times the push, nine times the way (the 4 % that friction takes off are small)."""
    once, thrice = (pushed_away_m({"top": force})[0] for force in (2.0, 6.0))
    hand = slide_m(6.0, TRAY_MASS_KG, PUSH_DURATION_S) / slide_m(2.0, TRAY_MASS_KG, PUSH_DURATION_S)
    assert hand == pytest.approx(9.0, rel=0.2)
    assert thrice / once == pytest.approx(hand, rel=0.1)


def test_uniform_starts_stay_in_their_range_and_pushed_ones_are_still_moving() -> None:
    simulator = MujocoSimulation(ONE_LEG, 8)
    uniform = measure_starts(simulator, "low", "uniform", range(8))
    assert np.abs(uniform.first[..., :2]).max() < 0.0152
    assert np.abs(uniform.first[..., 2]).max() < np.radians(15.1)
    assert not uniform.moving.any() and not uniform.outside.any()
    assert np.abs(uniform.fence_xy).max() < 0.02
    pushed = measure_starts(simulator, "low", "pushed", range(8))
    harder = measure_starts(simulator, "low", "pushed", range(8), push_scale=1.5)
    top = [np.linalg.norm(sample.rest[:, 0, :2], axis=1).mean() for sample in (pushed, harder)]
    assert pushed.moving[:, 0].mean() > 0.5
    # 1.5^2 = 2.25, and a little more because friction takes off less.
    assert 1.8 < top[1] / top[0] < 3.0
    # The first observation is taken 1/60 s after the push, well before the parts are at rest.
    assert np.linalg.norm(pushed.first[:, 0, :2], axis=1).mean() < 0.5 * top[0]
    assert CONTROL_RATE_HZ * PUSH_DURATION_S < 0.1


def test_summary_of_known_displacements() -> None:
    """Two starts by hand: 3-4-5 mm and 0; 10 deg either way; one part outside."""
    parts = len(ONE_LEG.parts)
    rest = np.zeros((2, parts, 3))
    rest[0, 0] = 0.003, 0.004, np.radians(10.0)
    rest[1, 0, 2] = np.radians(-10.0)
    moving = np.zeros((2, parts), dtype=bool)
    outside = moving.copy()
    outside[1, 2] = True
    numbers = summarise(StartSample(ONE_LEG, 0 * rest, rest, moving, outside, np.zeros((2, 2))))
    assert numbers["top"]["rest_mean_mm"] == pytest.approx(2.5)
    assert numbers["top"]["rest_mean_deg"] == pytest.approx(10.0)
    assert numbers["top"]["first_mean_mm"] == 0.0
    assert numbers["any"] == {"moving": 0.0, "outside": 0.5}


def test_command_writes_numbers_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_starts(StartsConfig(episodes=3, n_envs=2, out=tmp_path / "new")) == 0
    content = json.loads((tmp_path / "new" / "one_leg.json").read_text())
    assert [(r["randomness"], r["starts"]) for r in content["results"]] == [
        (level, starts) for level in ("low", "med") for starts in ("uniform", "pushed")
    ]
    assert set(content["results"][0]["parts"]) == {*ONE_LEG.parts, "any"}
    assert (tmp_path / "new" / "one_leg.png").read_bytes().startswith(b"\x89PNG")
    assert "pushed" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="furniture task"):
        StartsConfig(task="chair")
    with pytest.raises(ConfigError, match="episodes is 0"):
        StartsConfig(episodes=0)
