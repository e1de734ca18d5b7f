# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The aligner: complete sets only, no dependence on how streams interleave, refusals counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.core.aligner import ObservationAligner, interpolate, required_streams
from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.errors import ConfigError, ObservationError
from dppo_ros.core.kinematics import tool_pose, tool_twist
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.spec import Field, VectorSpec

SPEC = furniture_observation_spec()
STREAMS = required_streams(SPEC)
TICK_NS = 100_000_000


def sample(stream: str, tick: int) -> np.ndarray:
    values = np.full(STREAMS[stream], 0.01 * tick + 0.1)
    if STREAMS[stream] == 7:
        values[3:] = (0.0, 0.0, 0.0, 1.0)
    return values


def feed_tick(aligner: ObservationAligner, tick: int, streams: list[str] | None = None) -> list:
    done = []
    for stream in streams or list(STREAMS):
        done += aligner.add(stream, tick * TICK_NS, sample(stream, tick))
    return done


def test_every_field_of_the_layout_has_a_stream() -> None:
    assert set(STREAMS) == {
        "tool_pose", "tool_twist", "gripper_width", "top_pose", "leg1_pose", "leg2_pose",
        "leg3_pose", "leg4_pose", "obstacle_pose",
    }  # fmt: skip


def test_unknown_field_is_refused_with_the_known_ones() -> None:
    spec = VectorSpec((Field("wrench", 1, "N", "tool", ("x",)),))
    with pytest.raises(ConfigError, match=r"wrench.*tool_position"):
        ObservationAligner(spec)


def test_observation_comes_with_the_last_stream_and_only_then() -> None:
    aligner = ObservationAligner(SPEC)
    *first, last = STREAMS
    assert feed_tick(aligner, 0, first) == []
    assert aligner.missing() == (last,)
    (observation,) = aligner.add(last, 0, sample(last, 0))
    assert observation.stamp_ns == 0
    assert observation.vector.shape == (58,)
    assert observation.vector.dtype == np.float32


@given(st.permutations([(stream, tick) for stream in STREAMS for tick in range(3)]))
def test_result_does_not_depend_on_how_streams_interleave(order: list[tuple[str, int]]) -> None:
    # Within a stream the order is kept, as one publisher guarantees; across streams it is free.
    reference = ObservationAligner(SPEC)
    expected = [entry for tick in range(3) for entry in feed_tick(reference, tick)]
    aligner = ObservationAligner(SPEC)
    position = dict.fromkeys(STREAMS, 0)
    got = []
    for stream, _ in order:
        tick = position[stream]
        position[stream] += 1
        got += aligner.add(stream, tick * TICK_NS, sample(stream, tick))
    assert [entry.stamp_ns for entry in got] == [entry.stamp_ns for entry in expected]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours.vector, theirs.vector)


def test_lost_sample_refuses_its_instant_and_not_the_next() -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 0, [name for name in STREAMS if name != "leg4_pose"])
    (observation,) = feed_tick(aligner, 1)
    assert observation.stamp_ns == TICK_NS
    assert aligner.counts["refused"] == 1
    assert aligner.last_refusal == "leg4_pose: no sample for the instant"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("stream", ["tool_pose", "tool_twist", "leg2_pose", "gripper_width"])
def test_number_that_is_not_finite_refuses_the_instant(stream: str, bad: float) -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 0, [name for name in STREAMS if name != stream])
    values = sample(stream, 0)
    values[0] = bad
    assert aligner.add(stream, 0, values) == []
    assert aligner.counts[f"{stream}: not finite"] == 1
    assert [entry.stamp_ns for entry in feed_tick(aligner, 1)] == [TICK_NS]


def test_repeated_and_older_stamps_are_ignored_and_counted() -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 1)
    assert feed_tick(aligner, 1) == []
    assert feed_tick(aligner, 0) == []
    assert aligner.counts["tool_pose: stamp does not advance"] == 2


def test_wrong_frame_and_wrong_quaternion_are_refused() -> None:
    aligner = ObservationAligner(SPEC, frames={"leg1_pose": "tag"})
    aligner.add("leg1_pose", 0, sample("leg1_pose", 0), "camera")
    assert aligner.last_refusal == "leg1_pose: frame 'camera' instead of 'tag'"
    aligner.add("leg2_pose", 0, np.zeros(7))
    assert aligner.last_refusal == "leg2_pose: quaternion of length 0.000"


def test_faster_stream_and_permitted_skew() -> None:
    exact, lenient = (
        ObservationAligner(SPEC),
        ObservationAligner(SPEC, settings=AlignmentSettings(max_skew_ns=5)),
    )
    for aligner, expected in ((exact, 0), (lenient, 1)):
        done = []
        for stream in STREAMS:
            if stream != "gripper_width":
                done += aligner.add(stream, 1000, sample(stream, 1))
        for stamp in (990, 996, 1002):
            done += aligner.add("gripper_width", stamp, [0.04])
        assert len(done) == expected


def test_wrong_size_and_unknown_stream_raise() -> None:
    aligner = ObservationAligner(SPEC)
    with pytest.raises(ObservationError, match=r"shape \(3,\).*must be \(7,\)"):
        aligner.add("tool_pose", 0, [0.0, 0.0, 0.0])
    with pytest.raises(ObservationError, match="unknown stream 'tool_pos'; did you mean"):
        aligner.add("tool_pos", 0, np.zeros(7))


def test_silent_stream_does_not_grow_memory() -> None:
    aligner = ObservationAligner(SPEC)
    for tick in range(500):
        feed_tick(aligner, tick, ["tool_pose"])
    assert aligner.counts["never completed: a stream is silent"] == 500 - 64


def test_reset_forgets_samples_so_that_time_may_start_again() -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 5)
    aligner.reset()
    assert len(feed_tick(aligner, 0)) == 1


# With the robot's joints and a part as the anchor, as on a robot with cameras.

JOINT_SETTINGS = AlignmentSettings(
    from_joints=True, max_gap_ns=TICK_NS // 2, min_interval_ns=TICK_NS * 3 // 4
)


def joints_at(stamp_ns: int) -> np.ndarray:
    """Arm that moves at constant speed: angles are linear in time."""
    rates = np.array([0.1, -0.2, 0.3, -0.1, 0.2, 0.1, -0.3])
    home = np.array([0.0, 0.3, 0.1, -2.1, -0.1, 2.4, 0.0])
    return np.concatenate([home + rates * stamp_ns * 1e-9, rates])


def feed_joints(aligner: ObservationAligner, stamps: range) -> list:
    done = []
    for stamp in stamps:
        done += aligner.add("arm_joints", stamp, joints_at(stamp))
        done += aligner.add("gripper_width", stamp, np.array([0.04]))
    return done


def feed_parts(aligner: ObservationAligner, stamp_ns: int) -> list:
    parts = [name for name in aligner.streams if name.endswith("_pose")]
    return [entry for name in parts for entry in aligner.add(name, stamp_ns, sample(name, 0))]


def test_joints_replace_tool_pose_and_twist() -> None:
    streams = required_streams(SPEC, JOINT_SETTINGS)
    assert streams["arm_joints"] == 14
    assert not {"tool_pose", "tool_twist"} & set(streams)
    assert ObservationAligner(SPEC, settings=JOINT_SETTINGS).anchor == "top_pose"


def test_robot_is_interpolated_to_the_stamp_of_the_picture() -> None:
    aligner = ObservationAligner(SPEC, settings=JOINT_SETTINGS)
    picture_ns = 23_400_000
    feed_joints(aligner, range(0, 30_000_000, 10_000_000))
    assert feed_parts(aligner, picture_ns) == []
    (observation,) = feed_joints(aligner, range(30_000_000, 50_000_000, 10_000_000))
    assert observation.stamp_ns == picture_ns
    exact = joints_at(picture_ns)
    position, _ = tool_pose(exact[:7])
    twist = tool_twist(exact[:7], exact[7:])
    got = observation.vector
    np.testing.assert_allclose(got[SPEC.slice("tool_position")], position, atol=1e-7)
    np.testing.assert_allclose(got[SPEC.slice("tool_linear_velocity")], twist[:3], atol=1e-7)
    np.testing.assert_allclose(got[SPEC.slice("tool_angular_velocity")], twist[3:], atol=1e-7)


def test_gap_in_the_joint_states_is_not_bridged() -> None:
    aligner = ObservationAligner(SPEC, settings=JOINT_SETTINGS)
    feed_joints(aligner, range(0, 20_000_000, 10_000_000))
    feed_parts(aligner, 50_000_000)
    assert feed_joints(aligner, range(90_000_000, 110_000_000, 10_000_000)) == []
    assert "no sample for the instant" in aligner.last_refusal


def test_faster_pictures_give_one_observation_each_control_period() -> None:
    aligner = ObservationAligner(SPEC, settings=JOINT_SETTINGS)
    frames = [round(index * 1e9 / 30) for index in range(31)]
    got = []
    for index, stamp in enumerate(frames):
        previous = frames[index - 1] if index else -1
        got += feed_joints(aligner, range(previous + 1, max(stamp, 1), 10_000_000))
        got += feed_parts(aligner, stamp)
    got += feed_joints(aligner, range(frames[-1], frames[-1] + 20_000_000, 10_000_000))
    assert [frames.index(entry.stamp_ns) for entry in got] == list(range(0, 31, 3))


def test_constant_part_is_not_waited_for_and_stands_in_the_vector() -> None:
    pose = (0.0, 0.38, -0.015, 1.0, 0.0, 0.0, 0.0)
    settings = AlignmentSettings(constants={"obstacle": pose})
    aligner = ObservationAligner(SPEC, settings=settings)
    assert "obstacle_pose" not in aligner.streams
    (observation,) = feed_tick(aligner, 1, list(aligner.streams))
    np.testing.assert_allclose(observation.vector[SPEC.slice("obstacle_pose")], pose, atol=1e-7)


@pytest.mark.parametrize(
    "constants", [{"leg9": (0.0,) * 6 + (1.0,)}, {"top": (0.0,) * 7}, {"top": (0.0, 1.0)}]
)
def test_unusable_constants_are_refused(constants: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ConfigError, match="constant pose"):
        ObservationAligner(SPEC, settings=AlignmentSettings(constants=constants))


def test_unknown_anchor_is_refused_with_the_streams() -> None:
    with pytest.raises(ConfigError, match=r"anchor stream.*tool_pose"):
        ObservationAligner(SPEC, settings=AlignmentSettings(anchor="camera"))


def test_interpolated_pose_takes_the_short_way_and_stays_a_rotation() -> None:
    before = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    after = np.array([1.0, 2.0, 3.0, 0.0, 0.0, -np.sin(0.2), -np.cos(0.2)])  # -q of 0.4 rad
    middle = interpolate(before, after, 0.25)
    np.testing.assert_allclose(middle[:3], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(middle[3:], [0.0, 0.0, np.sin(0.05), np.cos(0.05)], atol=1e-12)


def test_settings_survive_as_text_and_nonsense_is_refused() -> None:
    settings = AlignmentSettings(
        from_joints=True, max_gap_ns=7, constants={"obstacle": (0.0, 0.1, 0.2, 0.0, 0.0, 0.0, 1.0)}
    )
    assert AlignmentSettings.from_text(settings.to_text()) == settings
    for text in ("", "{}", '{"constants": {}, "max_gap_ns": "7"}', '{"constants": {}, "speed": 1}'):
        with pytest.raises(ConfigError, match="alignment setting"):
            AlignmentSettings.from_text(text)
