# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The display node as a process: draws what it hears, and only while somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from dppo_ros import messages
from dppo_ros.core.observation import furniture_action_spec

if TYPE_CHECKING:
    from ros_harness import Harness

pytestmark = pytest.mark.ros
RESET = [-0.0263, 0.3759, 0.1249, -2.1383, -0.0943, 2.4965, 0.0192]


def by_group(message: messages.RosObject) -> dict[str, list[messages.RosObject]]:
    found: dict[str, list[messages.RosObject]] = {}
    for marker in message.markers:
        found.setdefault(marker.ns, []).append(marker)
    return found


def test_display_draws_what_it_hears_while_somebody_looks(harness: Harness) -> None:
    harness.start("display", rate_hz=20.0, wait_for="")
    assert harness.transition("display", "configure")
    assert harness.transition("display", "activate")
    diagnostics = harness.listen("diagnostics")
    harness.until(lambda: diagnostics, "diagnostics")
    assert messages.decode_status(diagnostics[-1])[1]["drawn"] == "0"

    pictures = harness.listen("markers")
    now_ns = harness.now_ns()
    joints, part, chunk, goal, status = (
        harness.publisher(name)
        for name in (
            "joint_states", "parts/leg4/pose", "policy/chunk", "target_pose", "command/status"
        )
    )  # fmt: skip
    names = [f"panda_joint{index}" for index in range(1, 8)]
    joints.publish(messages.encode_vector(now_ns, names, RESET))
    part.publish(messages.encode_pose(now_ns, "tag", (0.1, 0.2, -0.015, 0.0, 0.0, 0.0, 1.0)))
    goal.publish(messages.encode_pose(now_ns, "panda_link0", (0.5, 0, 0.2, 1.0, 0, 0, 0)))
    actions = np.tile([0.5, 0.0, 0.2, 1, 0, 0, 0, 1, 0, -1], (4, 1))
    components = furniture_action_spec().component_names
    chunk.publish(messages.encode_chunk(now_ns, "panda_link0", components, actions, 10**8))
    status.publish(
        messages.encode_status(now_ns, "command", "warn", "holding",
                               {"mode": "holding", "reason": "no action in time"})
    )  # fmt: skip
    wanted = {"parts", "names", "tool", "goal", "chunk", "state", "trail"}

    def complete() -> bool:
        marks = by_group(pictures[-1]) if pictures else {}
        # Each topic arrives in its own time; without a status the state is drawn as unknown.
        return wanted <= set(marks) and "no command node" not in marks["state"][0].text

    harness.until(complete, "a full picture")

    marks = by_group(pictures[-1])
    assert {marker.header.frame_id for marker in pictures[-1].markers} == {"panda_link0"}
    body = marks["parts"][0]
    assert (body.scale.x, body.scale.y, body.scale.z) == (0.03, 0.0625, 0.03)
    assert (body.pose.position.x, body.pose.position.y) == pytest.approx((0.5015, 0.1))
    assert marks["state"][0].text == "holding: no action in time"
    assert len(marks["chunk"][1].points) == len(marks["chunk"][1].colors) == 4
    # The tool drawn from the joints is where the documentation puts it at the reset joints.
    corner = marks["tool"][0].points[0]
    assert (corner.x, corner.y, corner.z) == pytest.approx((0.567, 0.055, 0.124), abs=1e-3)
    keys = set(messages.decode_status(diagnostics[-1])[1])
    assert {"rate_hz", "viewers", "draw_p99_ms", "drawn", "unusable"} <= keys
    assert harness.nodes["display"].finish() == 0
