# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes a bag as a recorder would, without ROS: message objects come from rosbags.

The policy side is played by the planner, the robot obeys perfectly, nothing is late.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from dppo_ros import graph
from dppo_ros.bag.identity import bundle_digest
from dppo_ros.bag.writer import BagWriter, typestore
from dppo_ros.core.aligner import ObservationAligner
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.observation import split_action
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.rotations import quaternion_from_matrix
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.messages import RosObject

PERIOD_NS = 100_000_000
SEED = 6
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


def joints(stamp_ns: int, names: Collection[str], values: np.ndarray) -> RosObject:
    """Return a JointState."""
    none = np.zeros(0)
    positions = np.asarray(values, dtype=np.float64)
    return TYPES["sensor_msgs/msg/JointState"](
        _header(stamp_ns), list(names), positions, none, none
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


def write_episode(
    path: Path,
    bundle_folder: Path,
    ticks: int = 12,
    leave_out: Collection[str] = (),
    **faults: object,
) -> Path:
    """Write a bag and return its folder.

    Args:
        path: The folder.
        bundle_folder: The policy that "ran".
        ticks: Control ticks.
        leave_out: Topics of which nothing is recorded.
        faults: ``nan_at``: a tick whose leg4 pose is NaN; ``digest``: hash to note instead.
    """
    bundle = load_bundle(bundle_folder)
    manifest = bundle.manifest
    aligner = ObservationAligner(manifest.observation)
    planner = ChunkPlanner(manifest, PolicyRuntime(bundle), SEED)
    topics = {f"/{entry.name}": entry for entry in graph.TOPICS}
    writer = BagWriter(path, topics, queue_size=100_000)
    generator = np.random.default_rng(1)
    actions, chunk_stamp, first = np.zeros((0, 10)), 0, 0

    def put(name: str, delay_ns: int, message: RosObject) -> None:
        if name not in leave_out:
            raw = bytes(STORE.serialize_cdr(message, graph.topic(name).type))
            writer.write(f"/{name}", START_WALL_NS + stamp + delay_ns, raw)

    for tick in range(ticks):
        stamp = tick * PERIOD_NS
        for stream, entry in graph.stream_topics().items():
            size = {"gripper_width": 1, "tool_twist": 6}.get(stream, 7)
            values = generator.uniform(0.0, 0.3, size)
            if size == 7:
                values[3:] = (1.0, 0.0, 0.0, 0.0)
            if stream == "leg4_pose" and faults.get("nan_at") == tick:
                values[0] = np.nan
            done = aligner.add(stream, stamp, values)
            if stream == "gripper_width":
                fingers = ("l_finger_joint1", "l_finger_joint2")
                put(entry.name, 0, joints(stamp, fingers, np.array([values[0], 0.0])))
            else:
                put(entry.name, 0, (twist if size == 6 else pose)(stamp, values))
            for observation in done:
                names = manifest.observation.component_names
                put("policy/observation", 1, joints(stamp, names, observation.vector))
                query = planner.observe(observation)
                if query is not None:
                    actions, chunk_stamp, first = planner.infer(query).actions, stamp, tick
                    put("policy/chunk", 2, chunk(stamp, manifest.action.component_names, actions))
                    put("policy/status", 3, status(stamp, latency_ms=0.25))
        index = tick - first
        if index < len(actions):
            position, matrix, gripper = split_action(actions[index])
            goal = np.concatenate([position, quaternion_from_matrix(matrix)])
            put("target_pose", LATENCY_NS, pose(stamp, goal))
            put("gripper/command", LATENCY_NS, joints(stamp, ("gripper",), np.array([gripper])))
            touched = "limited_workspace" if tick == 5 else ""
            put("command/status", LATENCY_NS, status(
                stamp, mode="running", reason="", sent="action", chunk_stamp_ns=chunk_stamp,
                interventions=touched,
            ))  # fmt: skip
    put("task/status", 0, status(stamp, success="true"))
    digest = str(faults.get("digest", bundle_digest(bundle_folder)))
    writer.finish({"seed": str(SEED), "bundle_sha256": digest, "outcome": "succeeded"})
    return path
