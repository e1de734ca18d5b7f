# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One part over time: quiet at rest, no lag in motion, outliers, occlusion with declared ages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_z
from dppo_ros.perception.grasp import GraspOptions, ToolState
from dppo_ros.perception.pose_fit import PoseFit, Refusal
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.track import State, TrackerOptions
from dppo_ros.perception.tracker import PartTracker

TICK = 100_000_000
SIGMA_M, SIGMA_RAD = 0.0005, 0.004
BOX = np.array([[-0.015, -0.056, -0.015], [0.015, 0.031, 0.015]])


def _at(x: float, y: float = 0.2, z: float = -0.015, yaw: float = 0.0) -> Rigid:
    return Rigid(rotation_z(yaw), np.array([x, y, z]))


def _fit(pose: Rigid) -> PoseFit:
    covariance = np.diag(np.repeat([SIGMA_M**2, SIGMA_RAD**2], 3))
    return PoseFit(pose, covariance, 0.2, 1.0, (("front", 8),), (), "")


def _noisy(pose: Rigid, rng: np.random.Generator) -> PoseFit:
    shift, turn = rng.normal(0, SIGMA_M, 3), rng.normal(0, SIGMA_RAD, 3)
    turned = matrix_from_rotation_vector(turn) @ pose.rotation
    return _fit(Rigid(turned, pose.position + shift))


def _tracker(**changes: object) -> PartTracker:
    return PartTracker(TrackerOptions(**changes), BOX, GraspOptions())  # type: ignore[arg-type]


def test_rest_is_smoothed_and_covariance_knows_it() -> None:
    rng = np.random.default_rng(0)
    tracker = _tracker(floor_m=0.0, floor_rad=0.0)
    tail = []
    for tick in range(400):
        track = tracker.update(tick * TICK, _noisy(_at(0.0), rng))
        assert track.state is State.FRESH
        if tick > 50:
            assert track.frame_from_part is not None
            tail.append(_at(0.0).difference(track.frame_from_part))
    scatter = np.std(tail, axis=0)
    assert (scatter[:3] < 0.6 * SIGMA_M).all()
    assert track.covariance is not None
    # It allows for a drift that this part does not have, so it is the larger one.
    claimed = np.sqrt(np.diag(track.covariance))
    assert (claimed > 0.8 * scatter).all()
    assert (claimed < 2.0 * scatter).all()


def test_a_moving_part_has_no_lag() -> None:
    rng = np.random.default_rng(1)
    tracker = _tracker()
    for tick in range(60):
        x = 0.0 if tick < 30 else 0.02 * (tick - 30)
        track = tracker.update(tick * TICK, _noisy(_at(x), rng))
        assert track.frame_from_part is not None
        # From the very first frame of the motion on: nothing but the noise of one measurement.
        assert np.abs(track.frame_from_part.position - _at(x).position).max() < 5 * SIGMA_M


def test_one_wrong_pose_is_ignored_and_a_real_jump_believed_after_three() -> None:
    tracker = _tracker()
    for tick in range(5):
        tracker.update(tick * TICK, _fit(_at(0.0)))
    track = tracker.update(5 * TICK, _fit(_at(0.3)))
    assert (track.state, track.reason) == (State.HELD, "jump not confirmed yet")
    assert track.frame_from_part is not None
    assert track.frame_from_part.position[0] == pytest.approx(0.0, abs=1e-9)
    assert tracker.update(6 * TICK, _fit(_at(0.0))).state is State.FRESH
    states = []
    for tick in range(7, 10):
        track = tracker.update(tick * TICK, _fit(_at(0.3)))
        states.append(track.state)
    assert states == [State.HELD, State.HELD, State.FRESH]
    assert track.frame_from_part is not None
    assert track.frame_from_part.position[0] == pytest.approx(0.3)
    assert (tracker.outliers, tracker.jumps) == (4, 1)


def test_wrong_poses_that_contradict_each_other_are_never_believed() -> None:
    tracker = _tracker()
    tracker.update(0, _fit(_at(0.0)))
    for tick in range(1, 40):
        track = tracker.update(tick * TICK, _fit(_at(0.3 if tick % 2 else -0.3)))
        assert track.state is State.HELD


def test_hidden_at_rest_is_held_for_the_declared_time_and_grows_less_certain() -> None:
    tracker = _tracker(hold_rest_s=2.0)
    for tick in range(10):
        last = tracker.update(tick * TICK, _fit(_at(0.0)))
    traces = []
    for tick in range(10, 30):
        track = tracker.update(tick * TICK, Refusal.NO_TAG)
        assert (track.state, track.reason) == (State.HELD, "no tag seen")
        assert track.age_s == pytest.approx((tick - 9) * 0.1)
        assert track.covariance is not None
        traces.append(np.trace(track.covariance))
    assert (np.diff(traces) > 0).all()
    assert last.frame_from_part is not None
    assert track.frame_from_part is not None
    np.testing.assert_array_equal(track.frame_from_part.position, last.frame_from_part.position)
    gone = tracker.update(30 * TICK, Refusal.NO_TAG)
    assert (gone.state, gone.frame_from_part) == (State.LOST, None)
    assert "2.10 s" in gone.reason
    assert tracker.update(31 * TICK, _fit(_at(0.25))).state is State.FRESH


def test_hidden_while_moving_is_held_for_less() -> None:
    tracker = _tracker(hold_rest_s=2.0, hold_moving_s=0.3)
    for tick in range(10):
        tracker.update(tick * TICK, _fit(_at(0.01 * tick)))
    states = [tracker.update(tick * TICK, Refusal.NO_TAG).state for tick in range(10, 15)]
    assert states == [State.HELD] * 3 + [State.LOST] * 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["seen", "hidden", "wrong", "ambiguous"]), max_size=60))
def test_no_pose_is_older_than_declared(events: list[str]) -> None:
    tracker = _tracker(hold_rest_s=0.5, hold_moving_s=0.2)
    seen_at: int | None = None
    for tick, event in enumerate(events):
        measured = {
            "seen": _fit(_at(0.0)),
            "wrong": _fit(_at(0.4 * (tick % 3) - 0.4)),
            "hidden": Refusal.NO_TAG,
            "ambiguous": Refusal.AMBIGUOUS,
        }[event]
        track = tracker.update(tick * TICK, measured)
        assert (track.frame_from_part is None) == (track.state in (State.LOST, State.AMBIGUOUS))
        seen_at = tick if track.state is State.FRESH else seen_at
        if track.state is State.HELD:
            assert seen_at is not None
            assert tick - seen_at <= 5
            assert track.age_s == pytest.approx((tick - seen_at) * 0.1)


def test_never_seen_is_lost_or_ambiguous() -> None:
    tracker = _tracker()
    assert tracker.prior(0, None) is None
    assert tracker.update(0, Refusal.NO_TAG).state is State.LOST
    track = tracker.update(TICK, Refusal.AMBIGUOUS)
    assert (track.state, track.reason) == (State.AMBIGUOUS, "two poses fit equally well")


def _tool(x: float, z: float = -0.015, yaw: float = 0.0, width: float = 0.03) -> ToolState:
    return ToolState(_at(x, z=z, yaw=yaw), width)


def test_a_grasped_part_out_of_sight_moves_with_the_tool() -> None:
    tracker = _tracker(hold_moving_s=0.2, follow_s=1.0)
    tracker.update(0, _fit(_at(0.0)), _tool(0.0, width=0.06))
    # The hand covers the tags, then closes, lifts and turns.
    tracker.update(TICK, Refusal.NO_TAG, _tool(0.005, width=0.06))
    tracker.update(2 * TICK, Refusal.NO_TAG, _tool(0.005))
    for step in range(1, 6):
        tool = _tool(0.005 + 0.02 * step, z=-0.015 - 0.02 * step, yaw=0.2 * step)
        track = tracker.update((2 + step) * TICK, Refusal.NO_TAG, tool)
    assert track.state is State.HELD
    assert track.reason == "no tag seen; moves with the tool"
    assert track.frame_from_part is not None
    # Grasped 5 mm beside its origin; that offset has turned with the tool by one radian.
    offset = rotation_z(1.0) @ [-0.005, 0.0, 0.0]
    np.testing.assert_allclose(
        track.frame_from_part.position, np.array([0.105, 0.2, -0.115]) + offset, atol=1e-9
    )
    # Opening the fingers leaves it there.
    for tick in range(8, 11):
        track = tracker.update(tick * TICK, Refusal.NO_TAG, _tool(0.3, width=0.06))
    assert track.frame_from_part is not None
    assert track.frame_from_part.position[2] == pytest.approx(-0.115)
    assert track.reason == "no tag seen; moves with the tool"


@pytest.mark.parametrize(
    "tool",
    [_tool(0.0, width=0.002), _tool(0.0, width=0.06), _tool(0.1), None],
    ids=["closed on nothing", "open", "elsewhere", "unknown"],
)
def test_without_a_grasp_nothing_follows(tool: ToolState | None) -> None:
    tracker = _tracker()
    tracker.update(0, _fit(_at(0.0)), tool)
    away = None if tool is None else ToolState(_at(0.05, z=-0.2), tool.width_m)
    track = tracker.update(TICK, Refusal.NO_TAG, away)
    assert track.frame_from_part is not None
    np.testing.assert_allclose(track.frame_from_part.position, _at(0.0).position, atol=1e-12)


def test_following_ends_after_its_declared_time_and_can_be_switched_off() -> None:
    tracker = _tracker(follow_s=0.5)
    still = _tracker(follow_tool=False)
    for tick in range(3):
        tracker.update(tick * TICK, _fit(_at(0.0)), _tool(0.0))
        still.update(tick * TICK, _fit(_at(0.0)), _tool(0.0))
    states = []
    for tick in range(3, 10):
        states.append(tracker.update(tick * TICK, Refusal.NO_TAG, _tool(0.0)).state)
        track = still.update(tick * TICK, Refusal.NO_TAG, _tool(0.2))
        assert track.frame_from_part is not None
        assert track.frame_from_part.position[0] == pytest.approx(0.0, abs=1e-9)
    assert states == [State.HELD] * 5 + [State.LOST] * 2


def test_reset_forgets() -> None:
    tracker = _tracker()
    tracker.update(0, _fit(_at(0.0)))
    tracker.reset()
    assert tracker.update(TICK, Refusal.NO_TAG).state is State.LOST


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="negative"):
        TrackerOptions(hold_rest_s=-1.0)
    with pytest.raises(ConfigError, match="jump_frames"):
        TrackerOptions(jump_frames=0)
    with pytest.raises(ConfigError, match="increasing"):
        GraspOptions(min_width_m=0.05, max_width_m=0.04)
