# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command state machine on a fake clock: what is sent, when it holds, what latches.

Every goal must come from the gate; holds are at the measured pose; a stop needs an explicit clear.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.commander import Commander, CommanderSettings, Goal, Measured, Mode
from dppo_ros.core.errors import ActionError
from dppo_ros.core.safety import SafetyGate
from dppo_ros.core.safety_limits import SafetyLimits

MS = 1_000_000
PERIOD = 100 * MS
HERE = np.array([0.55, 0.0, 0.2])
LIMITS = SafetyLimits()


def commander() -> Commander:
    settings = CommanderSettings(
        control_period_ns=PERIOD,
        silence_timeout_ns=250 * MS,
        max_measured_age_ns=250 * MS,
        measured_wait_ns=20 * MS,
    )
    made = Commander(ChunkSchedule(4, PERIOD, 1000 * MS), SafetyGate(LIMITS), settings)
    made.enable()
    return made


def chunk(stamp_ns: int, offset_m: float = 0.01, steps: int = 4) -> ActionChunk:
    actions = np.zeros((steps, 10))
    actions[:, :3] = HERE + np.arange(1, steps + 1)[:, None] * [offset_m, 0.0, 0.0]
    actions[:, 3] = actions[:, 7] = 1.0
    actions[:, 9] = -1.0
    return ActionChunk(stamp_ns, actions)


def see(machine: Commander, now_ns: int, position: np.ndarray = HERE) -> None:
    machine.measure(Measured(now_ns, np.array(position), np.eye(3)))


def run(machine: Commander, start_ns: int, end_ns: int, measure: bool = True) -> list[Goal]:
    goals = []
    for now in range(start_ns, end_ns, 5 * MS):
        if measure and now % PERIOD == 0:
            see(machine, now)
        goal = machine.tick(now)
        if goal is not None:
            goals.append(goal)
    return goals


def test_actions_are_sent_once_each_at_their_tick() -> None:
    machine = commander()
    machine.push(chunk(0))
    goals = run(machine, 0, 4 * PERIOD)
    assert [goal.stamp_ns for goal in goals] == [0, PERIOD, 2 * PERIOD, 3 * PERIOD]
    np.testing.assert_allclose([goal.position[0] for goal in goals], [0.56, 0.57, 0.58, 0.59])
    assert machine.mode is Mode.RUNNING
    assert {goal.gripper for goal in goals} == {-1.0}


def test_silence_holds_at_the_measured_pose_after_the_timeout() -> None:
    machine = commander()
    machine.push(chunk(0))
    run(machine, 0, 6 * PERIOD)
    assert machine.mode is Mode.RUNNING  # 0.2 s after the last action ended
    held = run(machine, 6 * PERIOD, 9 * PERIOD)
    assert machine.mode is Mode.HOLDING
    assert "silence" in machine.reason
    assert [goal.action for goal in held] == [None] * 3
    np.testing.assert_allclose(held[-1].position, HERE)


def test_next_chunk_ends_a_hold() -> None:
    machine = commander()
    machine.push(chunk(0))
    run(machine, 0, 8 * PERIOD)
    assert machine.mode is Mode.HOLDING
    machine.push(chunk(8 * PERIOD))
    (goal,) = run(machine, 8 * PERIOD, 9 * PERIOD)
    assert goal.action is not None
    assert machine.mode is Mode.RUNNING


def test_nothing_is_sent_before_the_first_chunk() -> None:
    machine = commander()
    assert run(machine, 0, 10 * PERIOD) == []
    assert machine.mode is Mode.WAITING


def test_chunk_with_a_nan_holds_at_once_and_drops_the_good_one() -> None:
    machine = commander()
    machine.push(chunk(0))
    run(machine, 0, PERIOD)
    bad = chunk(PERIOD)
    bad.actions[2, 1] = np.nan
    with pytest.raises(ActionError, match="nan"):
        machine.push(bad)
    held = run(machine, PERIOD, 4 * PERIOD)
    assert machine.mode is Mode.HOLDING
    assert [goal.action for goal in held] == [None] * 3


def test_stale_or_missing_measured_pose_holds() -> None:
    machine = commander()
    machine.push(chunk(0))
    assert run(machine, 0, PERIOD, measure=False) == []
    assert "missing or stale" in machine.reason
    machine = commander()
    see(machine, 0)
    machine.push(chunk(3 * PERIOD))
    assert run(machine, 3 * PERIOD, 5 * PERIOD, measure=False) == []
    assert machine.mode is Mode.HOLDING


def test_action_waits_for_the_measured_pose_of_its_tick_but_not_for_long() -> None:
    machine = commander()
    see(machine, 0)
    machine.push(chunk(PERIOD))
    assert machine.tick(PERIOD) is None
    see(machine, PERIOD)
    assert machine.tick(PERIOD) is not None
    assert machine.tick(2 * PERIOD) is None
    assert machine.tick(2 * PERIOD + 20 * MS) is not None


def test_stop_latches_until_cleared() -> None:
    machine = commander()
    machine.push(chunk(0))
    run(machine, 0, PERIOD)
    machine.stop()
    held = run(machine, PERIOD, 3 * PERIOD)
    assert [goal.action for goal in held] == [None, None]
    machine.push(chunk(3 * PERIOD))
    machine.enable()
    assert all(goal.action is None for goal in run(machine, 3 * PERIOD, 5 * PERIOD))
    assert machine.mode is Mode.STOPPED
    machine.clear()
    machine.push(chunk(5 * PERIOD))
    assert run(machine, 5 * PERIOD, 6 * PERIOD)[0].action is not None


def test_disabled_sends_nothing_at_all() -> None:
    machine = commander()
    machine.push(chunk(0))
    run(machine, 0, PERIOD)
    machine.disable()
    machine.push(chunk(PERIOD))
    assert run(machine, PERIOD, 5 * PERIOD) == []


def test_far_goal_is_rejected_and_held() -> None:
    machine = commander()
    machine.push(chunk(0, offset_m=0.5))
    (goal,) = run(machine, 0, PERIOD)
    assert goal.action is None
    assert "jump" in machine.reason


def test_clock_that_goes_back_holds_and_recovers() -> None:
    machine = commander()
    machine.push(chunk(50 * PERIOD))
    run(machine, 50 * PERIOD, 51 * PERIOD)
    run(machine, 0, 2 * PERIOD)
    assert machine.mode is Mode.HOLDING
    machine.push(chunk(2 * PERIOD))
    assert run(machine, 2 * PERIOD, 3 * PERIOD)[0].action is not None


numbers = st.one_of(st.floats(-2.0, 2.0), st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300]))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chunk", "measure", "stop", "clear", "enable", "disable", "tick"]),
            st.lists(numbers, min_size=10, max_size=10),
            st.integers(-200, 400),
        ),
        max_size=60,
    )
)
def test_whatever_happens_goals_are_finite_and_inside_the_box(
    events: list[tuple[str, list[float], int]],
) -> None:
    machine = commander()
    now = 0
    goals = []
    for kind, values, milliseconds in events:
        now += milliseconds * MS
        if kind == "chunk":
            actions = np.array([values, values])
            if np.isfinite(actions).all():
                machine.push(ActionChunk(now, actions))
            else:
                with pytest.raises(ActionError):
                    machine.push(ActionChunk(now, actions))
                    raise ActionError("ignored while disabled or stopped")
        elif kind == "measure":
            see(machine, now, np.clip(values[:3], -1.0, 1.0))
        elif kind != "tick":
            getattr(machine, kind)()
        goals.append(machine.tick(now))
    for goal in filter(None, goals):
        assert np.isfinite(goal.position).all()
        assert (goal.position >= LIMITS.workspace_minimum_m).all()
        assert (goal.position <= LIMITS.workspace_maximum_m).all()
        np.testing.assert_allclose(
            goal.base_from_tool @ goal.base_from_tool.T, np.eye(3), atol=1e-6
        )
