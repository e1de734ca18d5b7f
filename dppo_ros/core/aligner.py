# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Separate measured streams -> one observation vector for one instant.

The live policy node and the bag replay feed the same class, and its decisions depend only on the
order of samples *within* each stream, never on how the streams interleave. So the same streams
give the same vectors, whenever and wherever they are processed.

Rule: the stamps of one stream, the anchor, define the instants. An instant is decided as soon as
every other stream has a sample at that stamp or a later one. A robot stream may be interpolated
between its two neighbours; a part pose is taken as it is, no more than ``max_skew_ns`` older than
the instant. If one is missing the observation is refused and counted. Nothing is filled in but the
poses that the settings declare as constant.

With cameras the anchor is a part pose, whose stamp is that of the picture: the policy then sees
robot and parts as they were when the picture was taken, as in training.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ConfigError, ObservationError, unknown_name_message
from dppo_ros.core.kinematics import tool_pose, tool_twist
from dppo_ros.core.observation import POSE_SUFFIX, RobotState, assemble_observation, spec_parts
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion, slerp
from dppo_ros.core.spec import VectorSpec

TOOL_POSE = "tool_pose"
ARM = "arm_joints"
ROBOT_STREAMS: dict[str, int] = {TOOL_POSE: 7, "tool_twist": 6, "gripper_width": 1, ARM: 14}
"""Streams about the robot and how many numbers a sample has: the arm's are 7 rad, 7 rad/s."""

FIELD_STREAMS: dict[str, str] = {
    "tool_position": "tool_pose",
    "tool_rotation_6d": "tool_pose",
    "tool_linear_velocity": "tool_twist",
    "tool_angular_velocity": "tool_twist",
    "gripper_width": "gripper_width",
}
"""Which stream feeds which observation field; ``<part>_pose`` fields are streams themselves."""

PART_POSE_SIZE = 7
_MAX_WAITING = 64
_MAX_SAMPLES = 1024
_QUATERNION_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class AlignedObservation:
    """One complete observation.

    Attributes:
        stamp_ns: The instant it describes (ns).
        vector: (obs_dim,) float32, raw units.
    """

    stamp_ns: int
    vector: NDArray[np.float32]


@dataclass
class _Stream:
    """Samples of one stream that may still be needed; None marks an unusable sample."""

    size: int
    frame: str
    samples: deque[tuple[int, FloatArray | None]] = field(
        default_factory=lambda: deque(maxlen=_MAX_SAMPLES)
    )
    newest_ns: int | None = None

    def drop_before(self, stamp_ns: int) -> None:
        while len(self.samples) > 1 and self.samples[1][0] <= stamp_ns:
            self.samples.popleft()


def required_streams(spec: VectorSpec, settings: AlignmentSettings | None = None) -> dict[str, int]:
    """Return the streams that the fields of a layout need, and the size of their samples.

    Raises:
        ConfigError: A field has no stream behind it, or a constant is not the pose of a part.
    """
    chosen = settings or AlignmentSettings()
    parts = spec_parts(spec)
    for name, pose in chosen.constants.items():
        values = np.asarray(pose, dtype=np.float64)
        bad = values.size != PART_POSE_SIZE or _sample_problem(values, "", "")
        if name not in parts or bad:
            raise ConfigError(
                f"constant pose {tuple(pose)} of {name!r}: it must be position (m) and unit "
                f"quaternion xyzw of one of {', '.join(parts) or 'no part'}"
            )
    tool = {name: ROBOT_STREAMS[name] for name in ((ARM,) if chosen.from_joints else (TOOL_POSE,))}
    streams: dict[str, int] = dict(tool)
    known = {f"{name}{POSE_SUFFIX}" for name in parts}
    for name in spec.names:
        if name in FIELD_STREAMS:
            stream = FIELD_STREAMS[name]
            if stream == "gripper_width" or not chosen.from_joints:
                streams[stream] = ROBOT_STREAMS[stream]
        elif name not in known:
            message = unknown_name_message("observation field", name, [*FIELD_STREAMS, *known])
            raise ConfigError(f"no topic can provide it: {message}")
        elif name.removesuffix(POSE_SUFFIX) not in chosen.constants:
            streams[name] = PART_POSE_SIZE
    return streams


class ObservationAligner:
    """Collects samples by stream and returns observations once they are complete."""

    def __init__(
        self,
        spec: VectorSpec,
        frames: Mapping[str, str] | None = None,
        settings: AlignmentSettings | None = None,
    ) -> None:
        """Start without samples.

        Args:
            spec: Observation layout of the policy bundle.
            frames: frame_id that samples of a stream must carry; streams left out are not checked.
            settings: How streams become observations.

        Raises:
            ConfigError: The layout has a field without a stream, or the settings do not fit it.
        """
        self._spec = spec
        self._settings = settings or AlignmentSettings()
        expected = frames or {}
        self._streams = {
            name: _Stream(size, expected.get(name, ""))
            for name, size in required_streams(spec, self._settings).items()
        }
        self.anchor = self._settings.anchor or self._default_anchor()
        if self.anchor not in self._streams:
            raise ConfigError(unknown_name_message("anchor stream", self.anchor, self._streams))
        self._instants: deque[int] = deque()
        self._newest_instant_ns: int | None = None
        self.counts = EventCounts("observations", "refused")
        self.last_refusal = ""

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the names of the streams that are needed."""
        return tuple(self._streams)

    def reset(self) -> None:
        """Forget every sample, as after a restart of the clock; counters stay."""
        self._instants.clear()
        self._newest_instant_ns = None
        for stream in self._streams.values():
            stream.samples.clear()
            stream.newest_ns = None

    def add(
        self, name: str, stamp_ns: int, values: ArrayLike, frame: str = ""
    ) -> list[AlignedObservation]:
        """Take one sample and return the observations that it completes, oldest first.

        An unusable sample (not finite, wrong frame, not a unit quaternion) is not an exception:
        the instant it belongs to is refused and counted, with the reason in ``last_refusal``.

        Args:
            name: Stream name, one of ``streams``.
            stamp_ns: Time of the sample (ns).
            values: The numbers of the sample.
            frame: frame_id of the message.

        Raises:
            ObservationError: Unknown stream or a sample of the wrong size.
        """
        if name not in self._streams:
            raise ObservationError(unknown_name_message("stream", name, self._streams))
        stream = self._streams[name]
        sample = np.array(values, dtype=np.float64)
        if sample.shape != (stream.size,):
            raise ObservationError(
                f"sample of stream {name!r} has shape {sample.shape}; it must be ({stream.size},)"
            )
        if stream.newest_ns is not None and stamp_ns <= stream.newest_ns:
            self._refuse(f"{name}: stamp does not advance", whole=False)
            return []
        problem = _sample_problem(sample, frame, stream.frame)
        if problem:
            self._refuse(f"{name}: {problem}", whole=False)
        stream.newest_ns = stamp_ns
        stream.samples.append((stamp_ns, None if problem else sample))
        if name == self.anchor:
            self._add_instant(stamp_ns)
        return self._decide()

    def missing(self) -> tuple[str, ...]:
        """Return the streams that the oldest undecided instant still waits for."""
        if not self._instants:
            return ()
        instant = self._instants[0]
        return tuple(
            name
            for name, stream in self._streams.items()
            if stream.newest_ns is None or stream.newest_ns < instant
        )

    def _default_anchor(self) -> str:
        parts = [name for name, stream in self._streams.items() if name not in ROBOT_STREAMS]
        return parts[0] if self._settings.from_joints and parts else next(iter(self._streams))

    def _add_instant(self, stamp_ns: int) -> None:
        newest_ns = self._newest_instant_ns
        if newest_ns is not None and stamp_ns - newest_ns < self._settings.min_interval_ns:
            return
        self._newest_instant_ns = stamp_ns
        self._instants.append(stamp_ns)
        if len(self._instants) > _MAX_WAITING:
            self._instants.popleft()
            self._refuse("never completed: a stream is silent")

    def _decide(self) -> list[AlignedObservation]:
        complete: list[AlignedObservation] = []
        while self._instants and not self.missing():
            instant = self._instants.popleft()
            chosen: dict[str, FloatArray] = {}
            for name, stream in self._streams.items():
                sample = self._choose(name, stream, instant)
                if sample is not None:
                    chosen[name] = sample
            if len(chosen) == len(self._streams):
                complete.append(AlignedObservation(instant, self._assemble(chosen)))
                self.counts.add("observations")
        return complete

    def _choose(self, name: str, stream: _Stream, instant: int) -> FloatArray | None:
        """Return the sample of a stream for the instant, None if there is none."""
        stream.drop_before(instant)
        stamp_ns, sample = stream.samples[0]
        if stamp_ns < instant and name in ROBOT_STREAMS and len(stream.samples) > 1:
            after_ns, after = stream.samples[1]
            if after_ns - stamp_ns <= self._settings.max_gap_ns:
                if sample is None or after is None:
                    self._refuse(f"{name}: unusable sample")
                    return None
                return interpolate(sample, after, (instant - stamp_ns) / (after_ns - stamp_ns))
        if not instant - self._settings.max_skew_ns <= stamp_ns <= instant:
            self._refuse(f"{name}: no sample for the instant")
            return None
        if sample is None:
            self._refuse(f"{name}: unusable sample")
        return sample

    def _assemble(self, samples: Mapping[str, FloatArray]) -> NDArray[np.float32]:
        constants = self._settings.constants
        parts = {
            name: constants[name] if name in constants else samples[name + POSE_SUFFIX]
            for name in spec_parts(self._spec)
        }
        return assemble_observation(self._spec, _robot_state(samples), parts)

    def _refuse(self, reason: str, whole: bool = True) -> None:
        if whole:
            self.counts.add("refused")
        self.counts.add(reason)
        self.last_refusal = reason


def interpolate(before: FloatArray, after: FloatArray, share: float) -> FloatArray:
    """Return the robot sample between two others: linear, rotations along the shortest way.

    Args:
        before: Sample (n,); seven numbers are a pose (m, xyzw).
        after: Sample (n,).
        share: 0 gives ``before``, 1 gives ``after``.
    """
    mixed = before + share * (after - before)
    if before.size == PART_POSE_SIZE:
        mixed[3:] = slerp(before[3:], after[3:], share)
    return mixed


def _robot_state(samples: Mapping[str, FloatArray]) -> RobotState:
    width = samples.get("gripper_width", np.zeros(1))[0]
    if ARM in samples:
        joints, velocities = samples[ARM][:7], samples[ARM][7:]
        position, matrix = tool_pose(joints)
        twist = tool_twist(joints, velocities)
    else:
        position, matrix = (
            samples[TOOL_POSE][:3],
            matrix_from_quaternion(samples[TOOL_POSE][3:]),
        )
        twist = samples.get("tool_twist", np.zeros(6))
    return RobotState(
        tool_position=position,
        base_from_tool=matrix,
        tool_linear_velocity=twist[:3],
        tool_angular_velocity=twist[3:],
        gripper_width=width,
    )


def _sample_problem(sample: FloatArray, frame: str, expected_frame: str) -> str:
    """Return why a sample cannot be used, empty when it can."""
    if not np.isfinite(sample).all():
        return "not finite"
    if expected_frame and frame != expected_frame:
        return f"frame {frame!r} instead of {expected_frame!r}"
    if sample.size == PART_POSE_SIZE:
        norm = float(np.linalg.norm(sample[3:]))
        if abs(norm - 1.0) > _QUATERNION_TOLERANCE:
            return f"quaternion of length {norm:.3f}"
    return ""
