# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for policies that see: which one, and what becomes of it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.errors import ObservationError
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.core.picture_window import PictureWindow, SeenObservation, shrunk
from dppo_ros.core.planner import ChunkPlanner

MS = 1_000_000
MAX_AGE_NS = 40 * MS


def observation(stamp_ms: int) -> AlignedObservation:
    return AlignedObservation(stamp_ms * MS, np.zeros(3, np.float32))


def picture(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, dtype=np.uint8)


def window(cameras: int = 1) -> PictureWindow:
    return PictureWindow(cameras, 2, 2, MAX_AGE_NS)


def values(seen: list[SeenObservation]) -> list[tuple[int, list[int]]]:
    return [(s.observation.stamp_ns // MS, s.rgb[::3, 0, 0].tolist()) for s in seen]


def test_an_observation_waits_for_every_camera() -> None:
    subject = window(cameras=2)
    subject.add_picture(0, 95 * MS, picture(1))
    assert subject.add_observation(observation(100)) == []
    assert subject.add_picture(0, 128 * MS, picture(2)) == []
    assert subject.add_picture(1, 90 * MS, picture(3)) == []
    assert values(subject.add_picture(1, 100 * MS, picture(4))) == [(100, [1, 4])]


def test_old_pictures_and_silent_cameras_are_counted() -> None:
    subject = window()
    subject.add_picture(0, 0, picture(1))
    subject.add_observation(observation(100))
    assert subject.add_picture(0, 101 * MS, picture(2)) == []
    assert subject.counts["without_picture"] == 1
    assert subject.add_picture(0, 101 * MS, picture(2)) == []
    assert subject.counts["pictures_out_of_order"] == 1
    for tick in range(2, 12):
        subject.add_observation(observation(100 * tick))
    assert subject.counts["without_picture"] == 3


@given(st.data())
def test_the_order_in_which_messages_come_does_not_matter(data: st.DataObject) -> None:
    pictures = [(30 * k, k) for k in range(14)]
    observations = [100, 200, 300]
    straight = window()
    expected = [straight.add_picture(0, at * MS, picture(value)) for at, value in pictures]
    expected += [straight.add_observation(observation(at)) for at in observations]
    mixed, seen = window(), []
    left, right = list(pictures), list(observations)
    while left or right:
        if left and (not right or data.draw(st.booleans())):
            at, value = left.pop(0)
            seen += mixed.add_picture(0, at * MS, picture(value))
        else:
            seen += mixed.add_observation(observation(right.pop(0)))
    assert values(seen) == values(list(itertools.chain(*expected)))
    assert values(seen) == [(100, [3]), (200, [6]), (300, [10])]


def test_shrinking_averages_the_middle() -> None:
    rows = np.arange(4, dtype=np.uint8)[:, None, None] * np.array([10, 1, 0], np.uint8)
    wide = np.repeat(rows, 8, axis=1)
    wide[:, :2] = wide[:, 6:] = 255
    small = shrunk(wide, 2, 2)
    assert small.shape == (3, 2, 2)
    assert small[0].tolist() == [[5, 5], [25, 25]]
    assert small[1].tolist() == [[1, 1], [3, 3]]  # halves are rounded up
    same = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(shrunk(same, 5, 5), same.transpose(2, 0, 1))


@given(
    rows=st.integers(3, 40), columns=st.integers(3, 40), height=st.integers(1, 3),
    width=st.integers(1, 3),
)  # fmt: skip
def test_a_picture_of_one_colour_stays_one(
    rows: int, columns: int, height: int, width: int
) -> None:
    picture = np.broadcast_to(np.array([9, 200, 255], np.uint8), (rows, columns, 3))
    if min(rows, columns * height // width) < height:
        return
    small = shrunk(picture, height, width)
    assert (small == np.array([9, 200, 255])[:, None, None]).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((1, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3))]
)
def test_pictures_that_cannot_be_shrunk_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ObservationError, match="at least 2 x 2 pixels around the middle"):
        window().add_picture(0, 0, bad)


def test_planner_stacks_the_newest_images_and_repeats_the_first() -> None:
    manifest = SimpleNamespace(
        name="seeing", act_steps=4, cond_steps=1, control_period_ns=100 * MS,
        image_shape=(3, 3, 2, 2),
    )  # fmt: skip
    asked = []

    class Runtime:
        def infer(self, seen: np.ndarray, noise: np.ndarray, **extra: np.ndarray) -> np.ndarray:
            asked.append(extra)
            return noise

        def sample_noise(self, rng: np.random.Generator) -> np.ndarray:
            return np.zeros((4, 1), np.float32)

    planner = ChunkPlanner(manifest, Runtime(), 0, ExecutionSettings())  # type: ignore[arg-type]
    for tick in range(5):
        planner.observe(observation(100 * tick), np.full((3, 2, 2), tick, np.uint8))
        planner.infer(planner.query_now())
    assert [extra["rgb"][:, 0, 0, 0].tolist() for extra in asked] == [
        [0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4],
    ]  # fmt: skip
    assert planner.query_now().window.shape == (1, 3)
