# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command node as a process: executes chunks in time, holds on everything that is wrong.

The test plays robot and policy. The command node runs on wall time here, as on a real robot.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gentle_policy import ACT_STEPS, CENTRE_M

from dppo_ros import messages
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.messages import RosObject

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

PERIOD_NS = 100_000_000
NAMES = furniture_action_spec().component_names
POSE = [*CENTRE_M, 1.0, 0.0, 0.0, 0.0]


def unchanged(actions: np.ndarray) -> None:
    pass


class Cell:
    """Robot and policy of the test: a steady tool pose, chunks on demand."""

    def __init__(self, harness: Harness, bundle: Path, **parameters: object) -> None:
        self.harness = harness
        self.node = harness.bring_up("command", bundle=str(bundle), **parameters)
        self.goals = harness.listen("target_pose")
        self.grippers = harness.listen("gripper/command")
        self.statuses = harness.listen("command/status")
        self._chunks = harness.publisher("policy/chunk")
        self._poses = harness.publisher("tool_pose")
        self.pose = POSE
        self._timer = harness.node.create_timer(0.02, self._send_pose)

    def _send_pose(self) -> None:
        now_ns = self.harness.now_ns()
        self._poses.publish(messages.encode_pose(now_ns, "panda_link0", self.pose))

    def silence_robot(self) -> None:
        self.harness.node.destroy_timer(self._timer)

    def chunk(
        self,
        change: Callable[[np.ndarray], None] = unchanged,
        age_s: float = 0.0,
        names: tuple[str, ...] = NAMES,
    ) -> int:
        """Send a chunk around the tool pose and return its stamp."""
        actions = np.zeros((ACT_STEPS, 10))
        actions[:, :3] = np.array(CENTRE_M) + 0.005 * np.arange(ACT_STEPS)[:, None]
        actions[:, 3], actions[:, 7] = 1.0, -1.0  # pointing down, as the pose above
        actions[:, 9] = 1.0
        change(actions)
        stamp_ns = self.harness.now_ns() - messages.seconds_to_ns(age_s)
        self._chunks.publish(
            messages.encode_chunk(stamp_ns, "panda_link0", names, actions, PERIOD_NS)
        )
        return stamp_ns

    @property
    def last(self) -> dict[str, str]:
        """Return the newest status."""
        return messages.decode_status(self.statuses[-1])[1] if self.statuses else {}

    def is_in(self, mode: str, reason: str = "") -> bool:
        return self.last.get("mode") == mode and reason in self.last.get("reason", "")

    def until_mode(self, mode: str, reason: str = "") -> None:
        self.harness.until(lambda: self.is_in(mode, reason), f"mode {mode}, reason {reason!r}")

    def feed_until(
        self, mode: str, reason: str = "", change: Callable[[np.ndarray], None] = unchanged
    ) -> list[int]:
        """Send a chunk every chunk length until a mode is reached; return the stamps sent.

        On a starved machine a single chunk may come too late to be executed, rightly so.
        """
        sent: list[int] = []

        def reached() -> bool:
            if not sent or self.harness.now_ns() > sent[-1] + ACT_STEPS * PERIOD_NS:
                sent.append(self.chunk(change))
            return self.is_in(mode, reason)

        self.harness.until(reached, f"mode {mode}, reason {reason!r}")
        return sent


@pytest.fixture
def cell(harness: Harness, gentle_bundle: Path) -> Cell:
    """Return a running command node with a robot that reports its pose."""
    made = Cell(harness, gentle_bundle, measured_wait_s=0.05, max_measured_age_s=0.5)
    made.until_mode("waiting")
    return made


def test_chunk_is_executed_in_time_then_silence_holds(cell: Cell) -> None:
    sent = cell.feed_until("running")
    cell.until_mode("holding", "silence")
    allowed = [stamp + index * PERIOD_NS for stamp in sent for index in range(ACT_STEPS)]
    actions = [s for s in map(_values, cell.statuses) if s.get("sent") == "action"]
    executed = [int(entry["goal_stamp_ns"]) for entry in actions]
    assert executed
    assert executed == sorted(set(executed))
    assert set(executed) <= set(allowed)
    assert all(0.0 <= float(entry["start_delay_ms"]) < 100.0 for entry in actions)
    assert all(messages.decode_vector(latch)[2].tolist() == [1.0] for latch in cell.grippers)
    count = len(cell.goals)
    cell.harness.until(lambda: len(cell.goals) > count, "a hold goal")
    np.testing.assert_allclose(messages.decode_pose(cell.goals[-1]).values[:3], CENTRE_M, atol=1e-6)
    cell.feed_until("running")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_chunk_that_is_not_finite_holds(cell: Cell, bad: float) -> None:
    cell.feed_until("running")

    def spoil(actions: np.ndarray) -> None:
        actions[1, 2] = bad

    cell.chunk(spoil)
    cell.until_mode("holding", "malformed")
    assert all(np.isfinite(messages.decode_pose(goal).values).all() for goal in cell.goals)
    cell.harness.until(lambda: cell.node.said("holding, chunk refused"), "a reason in the log")


def test_stale_chunk_moves_nothing(cell: Cell) -> None:
    cell.chunk(age_s=5.0)
    cell.chunk(names=tuple(reversed(NAMES)))  # the answer to this one proves the other was seen
    cell.until_mode("holding", "malformed")
    assert all(entry.get("sent") != "action" for entry in map(_values, cell.statuses))


def test_robot_that_stops_reporting_is_held(cell: Cell) -> None:
    cell.feed_until("running")
    cell.silence_robot()
    cell.feed_until("holding", "measured tool pose is missing or stale")


def test_goal_outside_the_box_is_limited_and_reported(cell: Cell) -> None:
    def below_table(actions: np.ndarray) -> None:
        actions[:, 2] = -0.05

    cell.feed_until("running", change=below_table)
    cell.until_mode("holding", "silence")
    heights = [messages.decode_pose(goal).values[2] for goal in cell.goals]
    assert min(heights) >= 0.005
    seen = ",".join(_values(status).get("interventions", "") for status in cell.statuses)
    assert "limited_workspace" in seen


def test_stop_latches_until_clear_and_disable_is_silent(cell: Cell) -> None:
    call = cell.harness.call
    cell.feed_until("running")
    assert call("/command/stop", "std_srvs/srv/Trigger").success
    cell.until_mode("stopped")
    cell.chunk()
    assert not call("/command/enable", "std_srvs/srv/SetBool", data=True).success
    assert cell.last["mode"] == "stopped"
    assert call("/command/clear", "std_srvs/srv/Trigger").success
    cell.feed_until("running")
    assert call("/command/enable", "std_srvs/srv/SetBool", data=False).success
    cell.until_mode("disabled")


def test_lifecycle_round_trip_and_clean_exit(harness: Harness, gentle_bundle: Path) -> None:
    node = harness.start("command", bundle=str(gentle_bundle))
    assert harness.state("command") == "unconfigured"
    for _ in range(2):
        for transition, state in (
            ("configure", "inactive"), ("activate", "active"),
            ("deactivate", "inactive"), ("cleanup", "unconfigured"),
        ):  # fmt: skip
            assert harness.transition("command", transition)
            assert harness.state("command") == state
    assert harness.node.count_publishers("/target_pose") == 0
    assert node.finish() == 0


def _values(status: RosObject) -> dict[str, str]:
    return messages.decode_status(status)[1]
