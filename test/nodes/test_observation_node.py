# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The observation node as a process: joints in any order, refusals with a reason, clock jumps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dppo_ros import messages, topics
from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.kinematics import tool_pose, tool_twist
from dppo_ros.core.observation import furniture_observation_spec

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

PERIOD_NS = 100_000_000
SPEC = furniture_observation_spec()
ARM = np.array([0.0, 0.3, 0.1, -2.1, -0.1, 2.4, 0.02])
RATES = np.array([0.1, -0.2, 0.3, -0.1, 0.2, 0.1, -0.3])
JOINTS = tuple(f"panda_joint{index}" for index in range(1, 8))
FINGERS = ("panda_finger_joint1", "panda_finger_joint2")
PART_POSE = [0.1, 0.2, -0.015, 1.0, 0.0, 0.0, 0.0]


class Cell:
    """Publishes joints and part poses, with faults on demand."""

    def __init__(self, harness: Harness, prefix: str = "parts") -> None:
        self.harness = harness
        self._joints = harness.publisher("joint_states")
        self._parts = {part: harness.publisher(f"{prefix}/{part}/pose") for part in topics.TRACKED}
        self.vectors = harness.listen("policy/observation")
        self.diagnostics = harness.listen("diagnostics")
        # Two reports later both ends of every topic have met.
        harness.until(lambda: len(self.diagnostics) >= 2, "two reports of the node")

    def joints(self, stamp_ns: int, names: tuple[str, ...] = (*JOINTS, *FINGERS)) -> None:
        known = dict(zip((*JOINTS, *FINGERS), [*ARM, 0.01, 0.02], strict=True))
        rates = dict(zip((*JOINTS, *FINGERS), [*RATES, 0.0, 0.0], strict=True))
        self._joints.publish(
            messages.encode_vector(
                stamp_ns,
                names,
                [known.get(name, 0.0) for name in names],
                velocities=[rates.get(name, 0.0) for name in names],
            )
        )

    def parts(self, stamp_ns: int, skip: str = "", spoil: str = "", frame: str = "tag") -> None:
        for part, publisher in self._parts.items():
            if part != skip:
                pose = [np.nan] * 7 if part == spoil else PART_POSE
                publisher.publish(messages.encode_pose(stamp_ns, frame, pose))

    def stamps(self) -> list[int]:
        return [messages.decode_vector(message)[0] for message in self.vectors]

    def said(self, text: str) -> None:
        node = self.harness.nodes["observation"]
        self.harness.until(lambda: node.said(text), f"the words {text!r}")


@pytest.fixture
def cell(harness: Harness, gentle_bundle: Path) -> Cell:
    """Return a cell in front of a running observation node."""
    harness.bring_up(
        "observation", bundle=str(gentle_bundle), part_source="parts", max_observation_age_s=10.0
    )
    return Cell(harness)


def test_vector_has_the_tool_from_the_joints_whatever_their_order(cell: Cell) -> None:
    stamp_ns = cell.harness.now_ns()
    cell.joints(stamp_ns, (*FINGERS, *JOINTS[::-1], "another_joint"))
    cell.parts(stamp_ns)
    cell.harness.until(lambda: cell.vectors, "an observation")
    got_ns, names, vector = messages.decode_vector(cell.vectors[0])
    assert (got_ns, names) == (stamp_ns, SPEC.component_names)
    position, _ = tool_pose(ARM)
    twist = tool_twist(ARM, RATES)
    np.testing.assert_allclose(vector[SPEC.slice("tool_position")], position, atol=1e-6)
    np.testing.assert_allclose(vector[SPEC.slice("tool_linear_velocity")], twist[:3], atol=1e-6)
    np.testing.assert_allclose(vector[SPEC.slice("tool_angular_velocity")], twist[3:], atol=1e-6)
    assert vector[SPEC.slice("gripper_width")] == pytest.approx(0.03)
    np.testing.assert_allclose(vector[SPEC.slice("leg2_pose")], PART_POSE, atol=1e-6)


def test_joints_before_and_after_the_picture_are_enough(cell: Cell) -> None:
    stamp_ns = cell.harness.now_ns()
    cell.joints(stamp_ns - 4_000_000)
    cell.parts(stamp_ns)
    cell.joints(stamp_ns + 6_000_000)
    cell.harness.until(lambda: cell.stamps() == [stamp_ns], "an observation at the picture")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"spoil": "leg4"}, "leg4_pose: unusable sample"),
        ({"skip": "leg1"}, "leg1_pose: no sample for the instant"),
        ({"frame": "camera"}, "unusable sample"),
    ],
)
def test_bad_part_pose_gives_no_observation_and_the_next_good_one_does(
    cell: Cell, fault: dict[str, str], reason: str
) -> None:
    start_ns = cell.harness.now_ns()
    for tick, given in enumerate((fault, {})):
        cell.joints(start_ns + tick * PERIOD_NS)
        cell.parts(start_ns + tick * PERIOD_NS, **given)
    cell.harness.until(lambda: cell.vectors, "an observation")
    assert cell.stamps() == [start_ns + PERIOD_NS]
    cell.said(reason)


def test_missing_joint_future_stamp_and_old_sample_are_refused_with_reasons(cell: Cell) -> None:
    now_ns = cell.harness.now_ns()
    cell.joints(now_ns, JOINTS[:6])
    cell.said("lack panda_joint7")
    cell.joints(now_ns + 60 * messages.NS)
    cell.said("from now")
    old_ns = now_ns - 20 * messages.NS
    cell.joints(old_ns)
    cell.parts(old_ns)
    cell.said("too old to act on")
    now_ns = cell.harness.now_ns()
    cell.joints(now_ns)
    cell.parts(now_ns)
    cell.harness.until(lambda: cell.stamps() == [now_ns], "an observation after all that")


def test_clock_that_jumped_back_does_not_silence_the_node(cell: Cell) -> None:
    later_ns = cell.harness.now_ns()
    earlier_ns = later_ns - 5 * messages.NS
    for stamp_ns in (later_ns, earlier_ns):
        cell.joints(stamp_ns)
        cell.parts(stamp_ns)
        # One after the other, so that no message of the first is taken for a jump back again.
        cell.harness.until(lambda ns=stamp_ns: ns in cell.stamps(), "an observation at a stamp")
    cell.said("starting anew")


def test_constant_parts_need_no_topic_and_settings_are_announced(
    harness: Harness, gentle_bundle: Path
) -> None:
    harness.bring_up(
        "observation", bundle=str(gentle_bundle), constant_parts="obstacle", part_source="truth"
    )
    status = harness.listen("observation/status")
    harness.until(lambda: status, "the settings")
    settings = AlignmentSettings.from_text(messages.decode_status(status[0])[1]["alignment"])
    assert settings.constants == {"obstacle": (0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0)}
    assert (settings.part_source, settings.from_joints) == ("truth", True)


def test_constants_that_do_not_fit_are_refused_in_one_sentence(
    harness: Harness, gentle_bundle: Path
) -> None:
    node = harness.start("observation", bundle=str(gentle_bundle), constant_parts="top,obstacle")
    assert not harness.transition("observation", "configure")
    node.finish()
    assert node.said("constant_poses has 7 numbers for 2 parts (top, obstacle); give 7 for each")
    assert not node.said("Traceback")
