# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is drawn is where it is: real part sizes, the chunk's colours, grey for what is old."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.observation import ONE_LEG_PARTS
from dppo_ros.display.marks import Mark
from dppo_ros.display.scene import (
    OLD,
    STEP_COLOURS,
    Known,
    box_edges,
    draw,
    step_states,
)
from dppo_ros.display.shapes import BOXES, Box, base_from_tag, place
from dppo_ros.messages import ChunkMessage, Stamped
from sim_training.envs.furniture import geometry as cell_geo
from sim_training.envs.furniture.one_leg import geometry as geo

S = 1_000_000_000
LYING = (0.1, 0.2, -0.015, 0.0, 0.0, 0.0, 1.0)


def sample(pose: tuple[float, ...], stamp_ns: int = 0) -> Stamped:
    return Stamped(stamp_ns, "tag", np.array(pose, dtype=np.float64))


def group(marks: list[Mark], name: str) -> list[Mark]:
    return [mark for mark in marks if mark.group == name]


def reach(boxes: tuple[Box, ...], axis: int) -> tuple[float, float]:
    low = min(box.centre_m[axis] - box.size_m[axis] / 2 for box in boxes)
    high = max(box.centre_m[axis] + box.size_m[axis] / 2 for box in boxes)
    return low, high


def test_boxes_have_the_size_of_the_simulated_parts() -> None:
    tray = BOXES["top"][0].size_m
    width = 2 * geo.TRAY_HALF_WIDTH_M
    assert tray == pytest.approx((width, 2 * geo.TRAY_HALF_HEIGHT_M, width))
    for leg in ONE_LEG_PARTS[1:]:
        assert reach(BOXES[leg], 1) == pytest.approx((geo.LEG_TIP_Y_M, geo.LEG_HALF_BODY_M))
        assert reach(BOXES[leg], 0) == pytest.approx((-geo.LEG_HALF_WIDTH_M, geo.LEG_HALF_WIDTH_M))
    front, *sides = BOXES["obstacle"]
    # In the fence's own frame x runs along the front piece and y towards the robot.
    depth, length, height = (2 * half for half in cell_geo.FENCE_FRONT_HALF_M)
    assert front.size_m == pytest.approx((length, depth, height))
    for side in sides:
        assert abs(side.centre_m[0]) == pytest.approx(cell_geo.FENCE_SIDE_OFFSET_M[1])
        assert side.centre_m[1] == pytest.approx(-cell_geo.FENCE_SIDE_OFFSET_M[0])


def test_fence_at_its_nominal_pose_opens_towards_the_robot() -> None:
    pose = base_from_tag((0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0))
    front, left, right = (place(pose, box)[:3] for box in BOXES["obstacle"])
    np.testing.assert_allclose(front, (0.6815, 0.0, 0.015), atol=1e-12)
    np.testing.assert_allclose(sorted([left[1], right[1]]), (-0.175, 0.175), atol=1e-12)
    np.testing.assert_allclose([left[0], right[0]], 0.6065, atol=1e-12)


def test_tag_frame_becomes_the_base_frame() -> None:
    # tag x is robot left, tag y robot forward, tag z down.
    np.testing.assert_allclose(base_from_tag(LYING)[:3], (0.5015, 0.1, 0.015), atol=1e-12)


def test_old_parts_are_grey_and_say_so() -> None:
    known = Known(5 * S, S, tracked={"leg1": sample(LYING), "leg2": sample(LYING, 5 * S)})
    marks = draw(known)
    assert [mark.colour == OLD for mark in group(marks, "parts")] == [True, True, False, False]
    assert [mark.text for mark in group(marks, "names")] == ["leg1 (old)", "leg2"]
    indices = [mark.index for mark in group(marks, "parts")]
    assert len(set(indices)) == len(indices)


def test_pose_that_is_none_is_not_drawn() -> None:
    bad = {"leg1": sample((np.nan,) * 7), "leg2": sample((0.0,) * 7)}
    assert not group(draw(Known(0, S, tracked=bad, truth=bad)), "parts")


def test_states_of_a_chunk_follow_the_clock_then_the_commitments() -> None:
    # Actions at 10.0, 10.1, ... s; at 10.25 s the first two are over.
    states = step_states(8, 10 * S, S // 10, 10 * S + S // 4, frozen=3, blended=2)
    assert states == ["executed"] * 2 + ["frozen"] + ["blended"] * 2 + ["free"] * 3
    assert step_states(2, 0, S, 100 * S, 5, 5) == ["executed"] * 2
    assert step_states(2, 10 * S, S, 0, 0, 0) == ["free"] * 2


def test_chunk_is_drawn_in_the_colours_of_its_states() -> None:
    actions = np.zeros((3, 10))
    actions[:, 0] = (0.4, 0.5, 0.6)
    chunk = ChunkMessage(0, ("x",) * 10, actions, S)
    marks = draw(Known(S, S, chunk=chunk, frozen_steps=2))
    line, dots = group(marks, "chunk")
    assert line.points is not None
    np.testing.assert_array_equal(line.points[:, 0], (0.4, 0.5, 0.6))
    expected = [STEP_COLOURS[state] for state in ("executed", "frozen", "free")]
    assert list(dots.colours) == list(line.colours) == expected
    actions[1, 1] = np.inf
    assert not group(draw(Known(S, S, chunk=chunk)), "chunk")


def test_box_has_twelve_edges_along_its_axes() -> None:
    edges = box_edges((0.0, 0.0, 0.0), (1.0, 2.0, 3.0)).reshape(12, 2, 3)
    lengths = np.abs(edges[:, 1] - edges[:, 0])
    assert (np.count_nonzero(lengths, axis=1) == 1).all()
    np.testing.assert_allclose(sorted(lengths.sum(axis=1)), [1] * 4 + [2] * 4 + [3] * 4)


def test_axes_of_the_tool_point_where_it_points() -> None:
    turned = (0.5, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0)  # half a turn about x: z looks down
    (axes,) = group(draw(Known(0, S, tool=turned)), "tool")
    assert axes.points is not None
    np.testing.assert_allclose(axes.points[5] - axes.points[4], (0.0, 0.0, -0.05), atol=1e-12)


def test_nothing_known_draws_the_state_alone() -> None:
    (mark,) = draw(Known(0, S))
    assert (mark.group, mark.text) == ("state", "no command node")
