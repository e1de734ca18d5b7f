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
from gentle_policy import ACT_STEPS

from dppo_ros import messages
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.messages import RosObject
from dppo_ros.robots import find_robot

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

PERIOD_NS = 100_000_000
NAMES = furniture_action_spec().component_names
ROBOT = find_robot("panda")
HOME = np.array(ROBOT.home_rad)
TOOL, BASE_FROM_TOOL = tool_pose(HOME)


def unchanged(actions: np.ndarray) -> None:
    pass


class Cell:
    """Robot and policy of the test: an arm that follows at once, chunks on demand."""

    def __init__(
        self, harness: Harness, bundle: Path, program: Path | None = None, **parameters: object
    ) -> None:
        self.harness = harness
        self.node = harness.bring_up("command", program, bundle=str(bundle), **parameters)
        self.setpoints = harness.listen("joint_command")
        self.grippers = harness.listen("gripper/command")
        self.statuses = harness.listen("command/status")
        self.diagnostics = harness.listen("diagnostics")
        self._chunks = harness.publisher("policy/chunk")
        self._states = harness.publisher("joint_states")
        self.names = [*ROBOT.finger_names, *reversed(ROBOT.joint_names)]  # any order will do
        self._timer = harness.node.create_timer(0.01, self._report_joints)

    def _report_joints(self) -> None:
        joints = self.setpoints[-1].position if self.setpoints else HOME
        values = [0.03, 0.03, *reversed(joints)]
        self._states.publish(
            messages.encode_vector(
                self.harness.now_ns(), self.names, values, velocities=np.zeros(9)
            )
        )

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
        actions[:, :3] = TOOL + 0.005 * np.arange(ACT_STEPS)[:, None]
        actions[:, 3:9] = BASE_FROM_TOOL[:2].reshape(-1)
        actions[:, 9] = 1.0
        change(actions)
        stamp_ns = self.harness.now_ns() - messages.seconds_to_ns(age_s)
        self._chunks.publish(
            messages.encode_chunk(stamp_ns, "panda_link0", names, actions, PERIOD_NS)
        )
        return stamp_ns

    @property
    def refused_chunks(self) -> int:
        """Return the count in the newest diagnostics."""
        values = self.diagnostics[-1].status[0].values if self.diagnostics else []
        return int(next((v.value for v in values if v.key == "refused_chunks"), 0))

    @property
    def last(self) -> dict[str, str]:
        """Return the newest status."""
        return messages.decode_status(self.statuses[-1])[1] if self.statuses else {}

    def is_in(self, state: str, reason: str = "") -> bool:
        return self.last.get("state") == state and reason in self.last.get("reason", "")

    def until_state(self, state: str, reason: str = "") -> None:
        self.harness.until(lambda: self.is_in(state, reason), f"state {state}, reason {reason!r}")

    def feed_until(
        self, state: str, reason: str = "", change: Callable[[np.ndarray], None] = unchanged
    ) -> list[int]:
        """Send a chunk every chunk length until a state is reached; return the stamps sent.

        On a starved machine a single chunk may come too late to be executed, rightly so.
        """
        sent: list[int] = []

        def reached() -> bool:
            if not sent or self.harness.now_ns() > sent[-1] + ACT_STEPS * PERIOD_NS:
                sent.append(self.chunk(change))
            return self.is_in(state, reason)

        self.harness.until(reached, f"state {state}, reason {reason!r}")
        return sent

    def run(self) -> list[int]:
        """Feed chunks until one is executed."""
        sent: list[int] = []
        first = len(self.statuses)

        def executing() -> bool:
            if not sent or self.harness.now_ns() > sent[-1] + ACT_STEPS * PERIOD_NS:
                sent.append(self.chunk())
            return any(_values(s).get("sent") == "action" for s in self.statuses[first:])

        self.harness.until(executing, "an action to be executed")
        return sent

    def call(self, name: str) -> bool:
        return bool(self.harness.call(f"/command/{name}", "std_srvs/srv/Trigger").success)


@pytest.fixture
def cell(harness: Harness, gentle_bundle: Path) -> Cell:
    """Return a running command node with a robot that reports its joints."""
    made = Cell(harness, gentle_bundle, measured_wait_s=0.05, max_measured_age_s=0.5)
    made.until_state("running", "no chunk yet")
    return made


def test_chunk_is_executed_in_time_then_silence_holds(cell: Cell) -> None:
    sent = cell.run()
    cell.until_state("holding", "silence")
    allowed = [stamp + index * PERIOD_NS for stamp in sent for index in range(ACT_STEPS)]
    actions = [s for s in map(_values, cell.statuses) if s.get("sent") == "action"]
    executed = [int(entry["goal_stamp_ns"]) for entry in actions]
    assert executed == sorted(set(executed))
    assert set(executed) <= set(allowed)
    assert all(messages.decode_vector(latch)[2].tolist() == [1.0] for latch in cell.grippers)
    setpoints = _joints(cell)
    np.testing.assert_allclose(setpoints[0][:7], HOME, atol=1e-3)  # begins where the arm is
    assert np.abs(setpoints[:, 7:]).max() > 0.0
    # The stream goes on, with the same setpoint again and again.
    cell.harness.until(lambda: not _joints(cell)[-10:, 7:].any(), "the setpoints to stand still")
    cell.run()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_chunk_that_is_not_finite_holds(cell: Cell, bad: float) -> None:
    cell.run()

    def spoil(actions: np.ndarray) -> None:
        actions[1, 2] = bad

    cell.chunk(spoil)
    cell.until_state("holding", "malformed")
    assert np.isfinite(_joints(cell)).all()
    cell.harness.until(lambda: cell.node.said("holding, chunk refused"), "a reason in the log")


def test_stale_chunk_moves_nothing(cell: Cell) -> None:
    cell.chunk(age_s=5.0)
    cell.chunk(names=tuple(reversed(NAMES)))  # the answer to this one proves the other was seen
    cell.until_state("holding", "malformed")
    assert all(entry.get("sent") != "action" for entry in map(_values, cell.statuses))


def test_robot_that_stops_reporting_is_held(cell: Cell) -> None:
    cell.run()
    cell.silence_robot()
    cell.feed_until("holding", "stale")


def test_goal_outside_the_box_is_limited_and_reported(cell: Cell) -> None:
    def far_left(actions: np.ndarray) -> None:
        actions[:, 1] = 0.9

    cell.feed_until("holding", change=far_left)
    assert max(tool_pose(row[:7])[0][1] for row in _joints(cell)[::20]) < 0.6

    def a_little_outside(actions: np.ndarray) -> None:
        actions[:, 2] = 0.0

    cell.feed_until("holding", "rejected", change=a_little_outside)


def test_stop_estop_and_enable(cell: Cell) -> None:
    cell.run()
    assert cell.call("stop")
    cell.until_state("holding", "operator")
    cell.chunk()
    assert cell.call("start")
    cell.run()
    assert cell.call("estop")
    cell.until_state("estop")
    assert not cell.call("start")
    assert not cell.call("home")
    assert not cell.call("recover")
    cell.harness.until(lambda: cell.call("clear"), "the arm to stand, then the clear")
    cell.until_state("idle")
    count = len(cell.setpoints)
    assert not cell.call("recover")  # a round trip later nothing more was sent
    assert len(cell.setpoints) == count
    assert cell.call("home")
    cell.until_state("holding", "home reached")
    assert cell.harness.call("/command/enable", "std_srvs/srv/SetBool", data=False).success
    cell.until_state("idle")


def second_source(cell: Cell, name: str) -> RosObject:
    """Return a second node that publishes chunks."""
    node = rclpy.create_node(name, context=cell.harness.node.context)
    node.create_publisher(messages.message_class("trajectory_msgs/msg/JointTrajectory"),
                          "/policy/chunk", 1)  # fmt: skip
    return node


def test_second_source_of_chunks_holds(cell: Cell) -> None:
    cell.run()
    hostile = second_source(cell, "hostile")
    cell.feed_until("holding", "several nodes publish chunks: /hostile, /tester")
    hostile.destroy_node()
    cell.harness.until(
        lambda: len(cell.harness.node.get_publishers_info_by_topic("/policy/chunk")) == 1
    )
    assert cell.call("start")  # an operator has to look at it
    cell.run()


def test_second_source_without_a_name_holds_until_it_is_known(
    harness: Harness, gentle_bundle: Path
) -> None:
    program = Path(__file__).with_name("command_late_names.py")
    cell = Cell(harness, gentle_bundle, program, measured_wait_s=0.05, max_measured_age_s=0.5)
    cell.run()
    late = second_source(cell, "late")
    cell.feed_until("holding", "not known yet")
    held, refused = len(cell.statuses), cell.refused_chunks

    def refusing() -> bool:
        cell.chunk()  # again and again: of chunks that wait together only the newest is read
        return cell.refused_chunks >= refused + 3

    cell.harness.until(refusing, "the chunks to be refused")
    assert not [s for s in map(_values, cell.statuses[held:]) if s.get("sent") == "action"]
    late.destroy_node()
    cell.run()  # goes on by itself


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
    assert harness.node.count_publishers("/joint_command") == 0
    assert node.finish() == 0


def _values(status: RosObject) -> dict[str, str]:
    return messages.decode_status(status)[1]


def _joints(cell: Cell) -> np.ndarray:
    return np.array([messages.decode_arm(m, "panda").values for m in list(cell.setpoints)])
