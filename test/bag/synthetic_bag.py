# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes a bag as a recorder would, without ROS: message objects come from rosbags.

The policy side is played by the planner, the robot obeys perfectly, nothing is late.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from dppo_ros import topics
from dppo_ros.bag.identity import EpisodeMark, Identity, bundle_digest
from dppo_ros.bag.writer import BagWriter, typestore
from dppo_ros.core.aligner import (
    ARM,
    ROBOT_STREAMS,
    AlignedObservation,
    ObservationAligner,
    required_streams,
)
from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.observation import furniture_observation_spec, split_action
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.rotations import quaternion_from_matrix
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.messages import RosObject

PERIOD_NS = 100_000_000
SEED = 6
TICKS = 12
START_WALL_NS = 1_700_000_000_000_000_000
LATENCY_NS = 7_000_000
STORE = typestore()
TYPES = STORE.types


def _header(stamp_ns: int, frame: str = "") -> RosObject:
    time = TYPES["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    return TYPES["std_msgs/msg/Header"](time, frame)


def pose(stamp_ns: int, values: np.ndarray) -> RosObject:
    """Return a PoseStamped."""
    x, y, z, qx, qy, qz, qw = map(float, values)
    point = TYPES["geometry_msgs/msg/Point"](x, y, z)
    turn = TYPES["geometry_msgs/msg/Quaternion"](qx, qy, qz, qw)
    body = TYPES["geometry_msgs/msg/Pose"](point, turn)
    return TYPES["geometry_msgs/msg/PoseStamped"](_header(stamp_ns), body)


def twist(stamp_ns: int, values: np.ndarray) -> RosObject:
    """Return a TwistStamped."""
    vector = TYPES["geometry_msgs/msg/Vector3"]
    body = TYPES["geometry_msgs/msg/Twist"](vector(*values[:3]), vector(*values[3:]))
    return TYPES["geometry_msgs/msg/TwistStamped"](_header(stamp_ns), body)


def joints(
    stamp_ns: int,
    names: Collection[str],
    values: np.ndarray,
    velocities: np.ndarray | None = None,
) -> RosObject:
    """Return a JointState."""
    none = np.zeros(0)
    positions = np.asarray(values, dtype=np.float64)
    speeds = none if velocities is None else np.asarray(velocities, dtype=np.float64)
    return TYPES["sensor_msgs/msg/JointState"](
        _header(stamp_ns), list(names), positions, speeds, none
    )


def chunk(stamp_ns: int, names: Collection[str], actions: np.ndarray) -> RosObject:
    """Return a JointTrajectory."""
    none = np.zeros(0)
    duration = TYPES["builtin_interfaces/msg/Duration"]
    points = [
        TYPES["trajectory_msgs/msg/JointTrajectoryPoint"](
            row.astype(np.float64), none, none, none, duration(*divmod(i * PERIOD_NS, 10**9))
        )
        for i, row in enumerate(actions)
    ]
    return TYPES["trajectory_msgs/msg/JointTrajectory"](_header(stamp_ns), list(names), points)


def status(stamp_ns: int, **values: object) -> RosObject:
    """Return a DiagnosticArray."""
    pair = TYPES["diagnostic_msgs/msg/KeyValue"]
    pairs = [pair(key, str(value)) for key, value in values.items()]
    entry = TYPES["diagnostic_msgs/msg/DiagnosticStatus"](0, "test", "", "", pairs)
    return TYPES["diagnostic_msgs/msg/DiagnosticArray"](_header(stamp_ns), [entry])


def picture(stamp_ns: int, level: int, width: int = 32, height: int = 16) -> RosObject:
    """Return an rgb8 Image of one grey."""
    data = np.full(3 * width * height, level, dtype=np.uint8)
    kind = TYPES["sensor_msgs/msg/Image"]
    return kind(_header(stamp_ns, "front"), height, width, "rgb8", 0, 3 * width, data)


class _Scribe:
    """Plays policy and robot while it writes what both would have sent."""

    def __init__(
        self, path: Path, bundle_folder: Path, leave_out: Collection[str], how: AlignmentSettings
    ) -> None:
        manifest = load_bundle(bundle_folder).manifest
        self.how = how
        self.aligner = ObservationAligner(manifest.observation, settings=how)
        runtime = PolicyRuntime(load_bundle(bundle_folder))
        self._planner = ChunkPlanner(manifest, runtime, SEED)
        self._manifest = manifest
        entries = {f"/{entry.name}": entry for entry in topics.TOPICS}
        self.writer = BagWriter(path, entries, queue_size=100_000)
        self._leave_out = leave_out
        self._actions, self._chunk_stamp = np.zeros((0, 10)), 0

    def put(self, name: str, stamp: int, delay_ns: int, message: RosObject) -> None:
        if name not in self._leave_out:
            raw = bytes(STORE.serialize_cdr(message, topics.topic(name).type))
            self.writer.write(f"/{name}", START_WALL_NS + stamp + delay_ns, raw)

    def sample(self, stream: str, stamp: int, values: np.ndarray) -> None:
        """Write a sample, and the policy's answer when it completes an observation."""
        name = topics.stream_topics(truth=self.how.part_source == "truth")[stream].name
        if stream == "gripper_width":
            fingers = ("l_finger_joint1", "l_finger_joint2")
            self.put(name, stamp, 0, joints(stamp, fingers, np.array([values[0], 0.0])))
        elif stream == ARM:
            names = [f"panda_joint{index}" for index in range(1, 8)]
            self.put(name, stamp, 0, joints(stamp, names, values[:7], values[7:]))
        else:
            self.put(name, stamp, 0, (twist if values.size == 6 else pose)(stamp, values))
        true_stamp = stamp - self.how.latency_ns(stream in ROBOT_STREAMS)
        for observation in self.aligner.add(stream, true_stamp, values):
            self._answer(observation)

    def _answer(self, observation: AlignedObservation) -> None:
        stamp, names = observation.stamp_ns, self._manifest.observation.component_names
        self.put("policy/observation", stamp, 1, joints(stamp, names, observation.vector))
        query = self._planner.observe(observation)
        if query is not None:
            self._actions, self._chunk_stamp = self._planner.infer(query).actions, stamp
            names = self._manifest.action.component_names
            self.put("policy/chunk", stamp, 2, chunk(stamp, names, self._actions))
            self.put("policy/status", stamp, 3, status(stamp, latency_ms=0.25))

    def execute(self, stamp: int, interventions: str, tells_goals: bool) -> None:
        """Write the command of a control tick, if the chunk still has one."""
        index = (stamp - self._chunk_stamp) // PERIOD_NS
        if index >= len(self._actions):
            return
        position, matrix, gripper = split_action(self._actions[index])
        goal = np.concatenate([position, quaternion_from_matrix(matrix)])
        self.put("target_pose", stamp, LATENCY_NS, pose(stamp, goal))
        latch = joints(stamp, ("gripper",), np.array([gripper]))
        self.put("gripper/command", stamp, LATENCY_NS, latch)
        told = {"goal": ",".join(map(repr, map(float, self._actions[index])))}
        report = status(
            stamp, mode="running", reason="", sent="action", chunk_stamp_ns=self._chunk_stamp,
            index=index, goal_stamp_ns=stamp, interventions=interventions,
            **(told if tells_goals else {}),
        )  # fmt: skip
        self.put("command/status", stamp, LATENCY_NS, report)


def write_episode(
    path: Path,
    bundle_folder: Path,
    leave_out: Collection[str] = (),
    nan_at: int | None = None,
    digest: str = "",
    how: AlignmentSettings | None = None,
    pictures: bool = False,
    success: bool = True,
    seed: int = 1,
    tells_goals: bool = False,
) -> Path:
    """Write a bag of twelve control ticks and return its folder.

    Args:
        path: The folder.
        bundle_folder: The policy that "ran".
        leave_out: Topics of which nothing is recorded.
        nan_at: A tick whose leg4 pose is NaN.
        digest: Hash to note instead of that of the bundle.
        how: Settings of the live observation node; None writes a bag from before it existed.
        pictures: Record the pictures of a camera, 30 ms older than the control ticks.
        success: How the episode ends.
        seed: Seed of what is observed.
        tells_goals: The command side reports the actions that its gate let through.
    """
    scribe = _Scribe(path, bundle_folder, leave_out, how or AlignmentSettings())
    if how is not None:
        scribe.put("observation/status", 0, 0, status(0, alignment=how.to_text()))
    generator = np.random.default_rng(seed)
    for tick in range(TICKS):
        stamp = tick * PERIOD_NS
        if pictures:
            image = topics.shipped_cameras()[0].image_topic
            scribe.put(image, stamp, 0, picture(stamp - 30_000_000, 20 * tick))
        for stream, size in required_streams(furniture_observation_spec(), how).items():
            values = generator.uniform(0.0, 0.3, size)
            if size == 7:
                values[3:] = (1.0, 0.0, 0.0, 0.0)
            if stream == "leg4_pose" and nan_at == tick:
                values[0] = np.nan
            # The joints of a robot come when they come: before and after the instant.
            times = (stamp - 40_000_000, stamp + 40_000_000) if stream == ARM else (stamp,)
            for index, moment in enumerate(times):
                scribe.sample(stream, moment, values + 0.01 * index)
        scribe.execute(stamp, "limited_workspace" if tick == 5 else "", tells_goals)
        message = "running" if tick + 1 < TICKS else "succeeded" if success else "time limit"
        judged = str(success and message != "running").lower()
        phase = "reach" if tick < TICKS // 2 else "insert"
        scribe.put(
            "task/status", stamp, 0,
            status(stamp, message=message, episode=0, success=judged, phase_name=phase),
        )  # fmt: skip
    hashed = digest or bundle_digest(bundle_folder)
    outcome = "succeeded" if success else "time limit"
    mark = EpisodeMark(0, 0, stamp, outcome, str(success).lower(), "task")
    notes = {"seed": str(SEED), "randomness": "low", "bundle_sha256": hashed}
    scribe.writer.finish(Identity(notes, (mark,)))
    return path
