# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Setpoints follow training's first-order response, within limits, at any rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dppo_ros.control.clearance import ClearanceModel, segment_distance
from dppo_ros.control.generator import SetpointGenerator
from dppo_ros.control.recovery import ActiveControllers, recover
from dppo_ros.core.errors import ConfigError, SafetyError
from dppo_ros.robots import find_robot, read_robot

ROBOT = find_robot("panda")
HOME = np.array(ROBOT.home_rad)
LIMITS = ROBOT.policy


def stream(generator: SetpointGenerator, step_s: float, duration_s: float) -> np.ndarray:
    rows = []
    for _ in range(round(duration_s / step_s)):
        state = generator.advance(step_s)
        generator.accept(state)
        rows.append([state.position, state.velocity])
    return np.array(rows)


@pytest.mark.parametrize("step_s", [0.001, 0.005, 0.01])
def test_small_step_becomes_the_drive_response(step_s: float) -> None:
    generator = SetpointGenerator(LIMITS)
    generator.begin(HOME)
    gap = np.array([0.05, -0.02, 0.03, 0.02, -0.05, 0.04, 0.06])
    generator.follow(HOME + gap)
    rows = stream(generator, step_s, 0.3)
    # q(t) = target - gap exp(-5 t), once the path has joined it.
    expected = HOME + gap * (1.0 - np.exp(-5.0 * 0.3))
    np.testing.assert_allclose(rows[-1, 0], expected, atol=1e-6)
    np.testing.assert_allclose(rows[-1, 1], 5.0 * gap * np.exp(-1.5), atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_limits_hold_for_targets_that_jump_about(seed: int) -> None:
    rng, step_s = np.random.default_rng(seed), 0.005
    generator = SetpointGenerator(LIMITS)
    generator.begin(HOME)
    rows = []
    for _ in range(20):
        generator.follow(HOME + rng.uniform(-1.0, 1.0, 7))
        rows.append(stream(generator, step_s, 0.1))
    positions = np.concatenate(rows)[:, 0]
    derivative = positions
    for limit in (
        LIMITS.joints.velocity_rad_s, LIMITS.joints.acceleration_rad_s2, LIMITS.joints.jerk_rad_s3
    ):  # fmt: skip
        derivative = np.diff(derivative, axis=0) / step_s
        assert (np.abs(derivative) <= np.array(limit) * (1.0 + 1e-6)).all()


def test_homing_is_slow_straight_and_ends_there() -> None:
    generator = SetpointGenerator(LIMITS)
    generator.begin(HOME + 0.3)
    assert generator.go_to(HOME)
    rows = stream(generator, 0.01, 4.0)
    assert generator.arrived
    np.testing.assert_allclose(rows[-1, 0], HOME, atol=1e-9)
    fastest = np.abs(rows[:, 1]).max(axis=0)
    assert (fastest <= LIMITS.homing_speed * np.array(LIMITS.joints.velocity_rad_s) + 1e-9).all()


def test_segment_distances_of_known_cases() -> None:
    base = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    cases = [
        ([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], 1.0),  # parallel
        ([[0.5, -1.0, 0.3], [0.5, 1.0, 0.3]], 0.3),  # crossing above
        ([[2.0, 0.0, 0.0], [3.0, 0.0, 0.0]], 1.0),  # in line
        ([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]], 1.0),  # nearest at two ends
        ([[0.4, 0.0, 0.0], [0.6, 0.0, 0.0]], 0.0),  # one inside the other
    ]
    for other, expected in cases:
        seen = segment_distance(base, np.array(other))
        np.testing.assert_allclose(seen, expected, atol=1e-9)


def test_segment_distance_is_never_above_sampled_ones() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(50, 2, 3)), rng.normal(size=(50, 2, 3))
    exact = segment_distance(first, second)
    part = np.linspace(0.0, 1.0, 60)[:, None]
    for index in range(50):
        a = first[index, 0] + part * (first[index, 1] - first[index, 0])
        b = second[index, 0] + part * (second[index, 1] - second[index, 0])
        sampled = np.linalg.norm(a[:, None] - b[None], axis=-1).min()
        assert exact[index] <= sampled + 1e-9
        assert exact[index] >= sampled - 0.1


def test_clearance_sees_table_and_the_arm_itself() -> None:
    model = ClearanceModel(ROBOT.surroundings)
    assert model.closest(HOME).margin_m > 0.0
    low = HOME.copy()
    low[1] += 0.4
    closest = model.closest(low)
    assert closest.what == "table"
    assert closest.margin_m < 0.0
    folded = np.array([0.0, -1.2, 0.0, -3.0, 0.0, 0.2, 0.0])
    assert model.closest(folded).what == "self"
    assert model.closest(np.stack([HOME, low])).margin_m == closest.margin_m


def test_recovery_keeps_the_documented_order_and_stops_at_the_first_problem() -> None:
    class Client:
        def __init__(self, failing: str = "") -> None:
            self.calls: list[str] = []
            self._failing = failing

        def _do(self, name: str) -> str:
            self.calls.append(name)
            return "no answer" if name == self._failing else ""

        def recover_errors(self) -> str:
            return self._do("recover_errors")

        def activate_hardware(self) -> str:
            return self._do("activate_hardware")

        def switch_controllers(self) -> str:
            return self._do("switch_controllers")

    client = Client()
    assert recover(client) == ""
    assert client.calls == ["recover_errors", "activate_hardware", "switch_controllers"]
    client = Client("activate_hardware")
    assert recover(client) == "hardware activation failed: no answer"
    assert client.calls == ["recover_errors", "activate_hardware"]


def test_recovery_switches_on_what_was_on_and_nothing_else() -> None:
    controllers = ActiveControllers()
    assert not controllers.known
    states = {"arm": "active", "broadcaster": "active", "impedance": "inactive"}
    assert controllers.to_switch_on(states) == []
    controllers.note(states)
    assert controllers.known
    controllers.note({**states, "arm": "inactive"})  # the moment of the reflex itself
    off = dict.fromkeys(states, "inactive")
    assert controllers.to_switch_on(off) == ["arm", "broadcaster"]
    assert controllers.to_switch_on({**off, "broadcaster": "active"}) == ["arm"]
    controllers.note({**off, "impedance": "active"})
    controllers.note({**off, "impedance": "active"})  # somebody has changed over
    assert controllers.to_switch_on(off) == ["impedance"]


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_shipped_robots_load(name: str) -> None:
    robot = find_robot(name)
    assert robot.name == name
    assert robot.joint_names[0] == f"{name}_joint1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("homing_speed: 0.15", "homing_speed: 1.5", "homing_speed is 1.5"),
        ("homing_speed", "homeing_speed", "did you mean 'homing_speed'"),
        ("velocity_rad_s: [2.1,", "velocity_rad_s: [9.9,", "must stay inside it"),
        ("[base, wrist]", "[base, wirst]", "'wirst' is named but not defined"),
        ("home_rad: [-0.02630888,", "home_rad: [yes,", "must be a number"),
        ("link: link1", "link: link9", "'link9' is unknown"),
    ],
)
def test_mistakes_in_a_robot_file_are_named(
    tmp_path: object, old: str, new: str, message: str
) -> None:
    from pathlib import Path

    source = Path(__file__).parents[2] / "config" / "robots" / "panda.yaml"
    text = source.read_text()
    assert old in text
    changed = Path(str(tmp_path)) / "panda.yaml"
    changed.write_text(text.replace(old, new, 1))
    with pytest.raises((ConfigError, SafetyError), match=message):
        read_robot(changed)
    with pytest.raises(ConfigError, match="unknown robot 'pnada'"):
        find_robot("pnada")


def test_policy_limits_may_not_exceed_the_robots_own() -> None:
    joints = replace(ROBOT.policy.joints, jerk_rad_s3=(1e6,) * 7)
    with pytest.raises(SafetyError, match="jerk_rad_s3"):
        replace(ROBOT, policy=replace(ROBOT.policy, joints=joints))
