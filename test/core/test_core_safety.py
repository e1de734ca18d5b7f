# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The safety gate: each rule by hand, then its guarantee for arbitrary input.

The guarantee is checked with independent arithmetic (arccos of the trace), not with the gate's
own geometry functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from dppo_ros.core import safety
from dppo_ros.core.errors import SafetyError
from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_x, rotation_z
from dppo_ros.core.safety import SafetyGate, Verdict
from dppo_ros.core.safety_limits import SafetyLimits

# An overflow inside the gate would be a number that it does not control.
pytestmark = pytest.mark.filterwarnings("error")

LIMITS = SafetyLimits()
PERIOD_NS = 100_000_000
DOWN = rotation_x(math.pi)
HOME = np.array([0.55, 0.0, 0.15])


def _check(
    gate: SafetyGate,
    position: NDArray[np.float64] = HOME,
    matrix: NDArray[np.float64] = DOWN,
    gripper: float = 0.0,
    measured: tuple[NDArray[np.float64], NDArray[np.float64]] = (HOME, DOWN),
    now_ns: int = 10 * PERIOD_NS,
    age_ns: int = 0,
) -> Verdict:
    return gate.check(
        position, matrix, gripper, *measured, observation_stamp_ns=now_ns - age_ns, now_ns=now_ns
    )


def _moved(x_m: float, y_m: float, z_m: float) -> NDArray[np.float64]:
    return HOME + np.array([x_m, y_m, z_m])


def _turn(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the angle between rotations from the trace of their difference."""
    return math.acos(min(1.0, max(-1.0, (np.trace(first @ second.T) - 1.0) / 2.0)))


def test_harmless_goal_passes_untouched() -> None:
    gate = SafetyGate(LIMITS)
    goal = _moved(0.01, -0.01, 0.005)
    verdict = _check(gate, goal, DOWN @ rotation_z(0.05), -1.0)
    assert verdict.accepted and verdict.interventions == ()
    np.testing.assert_array_equal(verdict.position, goal)
    np.testing.assert_allclose(verdict.base_from_tool, DOWN @ rotation_z(0.05), atol=1e-12)
    assert verdict.gripper == -1.0
    assert gate.counts["accepted"] == 1 and gate.counts["rejected"] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["position", "matrix", "gripper", "measured", "measured_matrix"])
def test_every_number_must_be_finite(where: str, bad: float) -> None:
    position, matrix, gripper, here, here_matrix = HOME.copy(), DOWN.copy(), 0.0, HOME.copy(), DOWN
    if where == "position":
        position[1] = bad
    elif where == "matrix":
        matrix[2, 0] = bad
    elif where == "gripper":
        gripper = bad
    elif where == "measured":
        here[0] = bad
    else:
        here_matrix = DOWN + bad
    verdict = _check(SafetyGate(LIMITS), position, matrix, gripper, (here, here_matrix))
    assert not verdict.accepted and verdict.interventions == (safety.NOT_FINITE,)


def test_rejected_verdict_has_nothing_to_send() -> None:
    verdict = _check(SafetyGate(LIMITS), gripper=np.nan)
    for read in ("position", "base_from_tool", "gripper"):
        with pytest.raises(SafetyError, match=r"rejected \(not_finite\): there is nothing to send"):
            getattr(verdict, read)


@pytest.mark.parametrize("age_ns", [1_000_000_001, -1_000_000_001, 2**62])
def test_stale_or_future_observation_is_rejected(age_ns: int) -> None:
    gate = SafetyGate(LIMITS)
    assert _check(gate, age_ns=age_ns).interventions == (safety.STALE,)
    assert _check(gate, age_ns=1_000_000_000).accepted
    assert gate.counts[safety.STALE] == 1


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((3, 3)), np.diag([1.0, 1.0, -1.0]), 1.01 * np.eye(3), np.full((3, 3), 5e-324),
     np.full((3, 3), 1e308), np.ones((3, 3))],
)  # fmt: skip
def test_what_is_not_a_rotation_is_rejected(matrix: NDArray[np.float64]) -> None:
    assert _check(SafetyGate(LIMITS), matrix=matrix).interventions == (safety.NOT_A_ROTATION,)


def test_slightly_skewed_rotation_is_repaired() -> None:
    verdict = _check(SafetyGate(LIMITS), matrix=DOWN + 1e-4)
    product = verdict.base_from_tool @ verdict.base_from_tool.T
    np.testing.assert_allclose(product, np.eye(3), atol=1e-12)


def test_gross_jump_is_rejected_not_limited() -> None:
    gate = SafetyGate(LIMITS)
    assert _check(gate, _moved(0.0, 0.31, 0.0)).interventions == (safety.JUMP,)
    assert _check(gate, matrix=DOWN @ rotation_z(2.1)).interventions == (safety.JUMP,)
    assert _check(gate, _moved(0.0, 0.29, 0.0)).accepted


def test_goal_outside_the_box_is_clamped() -> None:
    here = np.array([0.31, 0.0, 0.02])
    verdict = _check(SafetyGate(LIMITS), np.array([0.29, 0.0, -0.01]), measured=(here, DOWN))
    np.testing.assert_allclose(verdict.position, [0.3, 0.0, 0.005])
    assert verdict.interventions == (safety.LIMITED_WORKSPACE,)


def test_translation_is_scaled_along_its_direction() -> None:
    verdict = _check(SafetyGate(LIMITS), _moved(0.12, 0.16, 0.0))
    np.testing.assert_allclose(verdict.position, _moved(0.03, 0.04, 0.0))
    assert verdict.interventions == (safety.LIMITED_TRANSLATION,)


def test_rotation_is_limited_along_the_shortest_way() -> None:
    verdict = _check(SafetyGate(LIMITS), matrix=rotation_z(1.2) @ DOWN)
    np.testing.assert_allclose(verdict.base_from_tool, rotation_z(0.2) @ DOWN, atol=1e-7)
    assert verdict.interventions == (safety.LIMITED_ROTATION,)


def test_gripper_is_clamped() -> None:
    verdict = _check(SafetyGate(LIMITS), gripper=1e300)
    assert verdict.gripper == 1.0 and verdict.interventions == (safety.LIMITED_GRIPPER,)


def test_two_commands_at_once_do_not_earn_two_steps() -> None:
    gate = SafetyGate(LIMITS)
    first = _check(gate, _moved(0.03, 0.0, 0.0))
    second = _check(gate, _moved(0.06, 0.0, 0.0))
    np.testing.assert_array_equal(first.position, second.position)
    half = _check(gate, _moved(0.09, 0.0, 0.0), now_ns=10 * PERIOD_NS + PERIOD_NS // 2)
    np.testing.assert_allclose(half.position, _moved(0.055, 0.0, 0.0))


def test_a_pause_earns_no_larger_step() -> None:
    gate = SafetyGate(LIMITS)
    _check(gate)
    later = _check(gate, _moved(0.1, 0.0, 0.0), now_ns=10_000 * PERIOD_NS)
    np.testing.assert_allclose(later.position, _moved(0.05, 0.0, 0.0))


def test_clock_going_back_is_rejected_until_reset() -> None:
    gate = SafetyGate(LIMITS)
    _check(gate)
    assert _check(gate, now_ns=5).interventions == (safety.CLOCK_BACKWARDS,)
    gate.reset()
    assert _check(gate, now_ns=5).accepted


def test_goals_return_towards_a_robot_that_was_pushed_away() -> None:
    gate = SafetyGate(replace(LIMITS, max_step_translation_m=0.05))
    _check(gate)
    pushed = _moved(0.0, 0.08, 0.0)
    verdict = _check(gate, HOME, measured=(pushed, DOWN), now_ns=11 * PERIOD_NS)
    np.testing.assert_allclose(verdict.position, _moved(0.0, 0.03, 0.0))


def test_goals_turn_back_towards_a_robot_that_was_turned_away() -> None:
    gate = SafetyGate(replace(LIMITS, max_step_rotation_rad=0.1))
    _check(gate)
    turned = rotation_z(0.25) @ DOWN
    verdict = _check(gate, measured=(HOME, turned), now_ns=11 * PERIOD_NS)
    np.testing.assert_allclose(verdict.base_from_tool, rotation_z(0.15) @ DOWN, atol=1e-7)


def test_robot_far_from_the_last_command_or_the_box_holds() -> None:
    gate = SafetyGate(LIMITS)
    _check(gate)
    away = _moved(0.0, 0.2, 0.0)
    verdict = _check(gate, away, measured=(away, DOWN), now_ns=11 * PERIOD_NS)
    assert verdict.interventions == (safety.OUT_OF_REACH,)
    outside = np.array([0.15, 0.0, 0.1])
    verdict = _check(SafetyGate(LIMITS), outside, measured=(outside, DOWN))
    assert verdict.interventions == (safety.OUT_OF_REACH,)


def test_wrong_shapes_are_programming_errors() -> None:
    with pytest.raises(SafetyError, match=r"goal position has shape \(2,\); it must be \(3,\)"):
        _check(SafetyGate(LIMITS), np.zeros(2))
    with pytest.raises(SafetyError, match="goal rotation has shape"):
        _check(SafetyGate(LIMITS), matrix=np.zeros(9))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workspace_minimum_m": (0.9, 0.0, 0.0)}, "not below its maximum"),
        ({"workspace_maximum_m": (0.9, np.nan, 1.0)}, "three finite metres"),
        ({"workspace_maximum_m": (0.9, 1.0)}, "three finite metres"),
        ({"max_step_translation_m": 0.0}, "max_step_translation_m is 0.0; it must be a positive"),
        ({"max_linear_velocity_m_s": np.inf}, "max_linear_velocity_m_s is inf"),
        ({"control_period_s": np.nan}, "control_period_s is nan"),
        ({"max_step_rotation_rad": 1.6}, "it must be below pi/2"),
        ({"reject_translation_m": 0.01}, r"below max_step_translation_m = 0\.11"),
        ({"gripper_minimum": 2.0}, "is not an interval"),
    ],
)
def test_contradictory_limits_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(SafetyError, match=message):
        replace(LIMITS, **changes)  # type: ignore[arg-type]


SPECIAL = [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 1e-160, 0.0, -0.0, 1.0, -1.0]
WILD = st.one_of(st.sampled_from(SPECIAL), st.floats())
OFFSET = hnp.arrays(np.float64, 3, elements=st.floats(-0.15, 0.15))
TURN = hnp.arrays(np.float64, 3, elements=st.floats(-1.0, 1.0)).map(matrix_from_rotation_vector)
NUDGE = hnp.arrays(np.float64, 3, elements=st.floats(-0.04, 0.04))
TWIST = hnp.arrays(np.float64, 3, elements=st.floats(-0.3, 0.3)).map(matrix_from_rotation_vector)


@dataclass
class Step:
    """One call of the gate: a goal and a measurement around the last command, then damage.

    ``damage`` puts one wild number at one place of (goal, rotation, measured, rotation, gripper).
    """

    goal: NDArray[np.float64]
    turn: NDArray[np.float64]
    nudge: NDArray[np.float64]
    twist: NDArray[np.float64]
    gripper: float
    elapsed_ns: int
    age_ns: int
    damage: tuple[int, float] | None


STEP = st.builds(
    Step,
    goal=OFFSET,
    turn=TURN,
    nudge=NUDGE,
    twist=TWIST,
    gripper=st.floats(-3.0, 3.0),
    elapsed_ns=st.one_of(st.just(PERIOD_NS), st.integers(-PERIOD_NS // 4, 3 * PERIOD_NS)),
    age_ns=st.one_of(st.just(0), st.integers(0, 12 * PERIOD_NS), st.integers(-(2**70), 2**70)),
    damage=st.one_of(st.none(), st.none(), st.tuples(st.integers(0, 24), WILD)),
)


def _assert_inside_limits(
    verdict: Verdict, here: NDArray[np.float64], here_matrix: NDArray[np.float64]
) -> None:
    sent, turned = verdict.position, verdict.base_from_tool
    assert (sent >= LIMITS.workspace_minimum_m).all()
    assert (sent <= LIMITS.workspace_maximum_m).all()
    assert math.dist(sent, here) <= LIMITS.max_step_translation_m + 1e-8
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turned) > 0.0
    # The measured rotation may itself be skewed by the tolerated 1e-3.
    assert _turn(turned, here_matrix) <= LIMITS.max_step_rotation_rad + 2e-3
    assert LIMITS.gripper_minimum <= verdict.gripper <= LIMITS.gripper_maximum


@given(st.lists(STEP, min_size=1, max_size=10))
@settings(max_examples=200)
def test_whatever_goes_in_what_comes_out_is_inside_the_limits(steps: list[Step]) -> None:
    gate = SafetyGate(LIMITS)
    now_ns, last_ns = 10**12, 0
    last: Verdict | None = None
    for step in steps:
        now_ns += step.elapsed_ns
        anchor, anchor_matrix = (HOME, DOWN) if last is None else (
            last.position, last.base_from_tool)  # fmt: skip
        numbers = np.concatenate([
            anchor + step.goal, (step.turn @ anchor_matrix).ravel(),
            anchor + step.nudge, (step.twist @ anchor_matrix).ravel(), [step.gripper],
        ])  # fmt: skip
        if step.damage is not None:
            numbers[step.damage[0]] = step.damage[1]
        here, here_matrix = numbers[12:15], numbers[15:24].reshape(3, 3)
        verdict = _check(
            gate, numbers[:3], numbers[3:12].reshape(3, 3), float(numbers[24]),
            (here, here_matrix), now_ns, step.age_ns,
        )  # fmt: skip
        if not verdict.accepted:
            assert verdict.interventions[0] in safety.REJECTIONS
            continue
        assert abs(step.age_ns) <= LIMITS.max_observation_age_s * 1e9
        _assert_inside_limits(verdict, here, here_matrix)
        if last is not None:
            step_s = min((now_ns - last_ns) / 1e9, LIMITS.control_period_s)
            moved_m = math.dist(verdict.position, last.position)
            assert moved_m <= LIMITS.max_linear_velocity_m_s * step_s + 1e-8
            turned_rad = _turn(verdict.base_from_tool, last.base_from_tool)
            assert turned_rad <= LIMITS.max_angular_velocity_rad_s * step_s + 1e-7
        last, last_ns = verdict, now_ns
    assert gate.counts["accepted"] + gate.counts["rejected"] == len(steps)


@given(st.lists(st.tuples(OFFSET, TURN), min_size=1, max_size=8))
def test_finite_fresh_goals_near_the_robot_are_never_refused(
    goals: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> None:
    """The gate must limit, not stall: a robot that follows its goals is always led on."""
    gate = SafetyGate(LIMITS)
    here, here_matrix = HOME, DOWN
    for index, (offset, turn) in enumerate(goals):
        verdict = _check(
            gate, here + offset, turn @ here_matrix, 0.0, (here, here_matrix), index * PERIOD_NS
        )
        assert verdict.accepted
        goal = np.clip(here + offset, LIMITS.workspace_minimum_m, LIMITS.workspace_maximum_m)
        was_to_go_m, to_go_m = math.dist(goal, here), math.dist(goal, verdict.position)
        assert to_go_m <= max(was_to_go_m - 0.0499, 1e-9), "did not use the permitted step"
        here, here_matrix = verdict.position, verdict.base_from_tool
