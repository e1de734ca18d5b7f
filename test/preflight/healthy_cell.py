# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Facts about a cell in which nothing is wrong, to be spoilt by one fault at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from dppo_ros import topics
from dppo_ros.core.kinematics import tool_pose
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.rotations import quaternion_from_matrix
from dppo_ros.messages import RosObject
from dppo_ros.preflight.expectation import Expectation
from dppo_ros.preflight.snapshot import Endpoint, Sample, Snapshot, TopicFacts
from dppo_ros.qos import quality

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
SECONDS = 3.0
RESET_RAD = (-0.0263, 0.3759, 0.1249, -2.1383, -0.0943, 2.4965, 0.0192)
NAMES = (*(f"panda_joint{i}" for i in range(1, 8)), "panda_finger_joint1", "panda_finger_joint2")


def at(stamp_ns: int, message: RosObject, frame: str = "", late_ms: float = 1.0) -> Sample:
    """Return a message as if it had been received a moment after its stamp."""
    return Sample(stamp_ns + round(late_ms * MS), stamp_ns, frame, message)


def stream(rate_hz: float, make: Callable[[int], RosObject], frame: str = "") -> tuple[Sample, ...]:
    """Return three seconds of messages at a rate."""
    period_ns = round(1e9 / rate_hz)
    stamps = [START_NS + i * period_ns for i in range(int(SECONDS * rate_hz))]
    return tuple(at(stamp_ns, make(stamp_ns), frame) for stamp_ns in stamps)


def joints(
    names: Sequence[str] = NAMES, arm: Sequence[float] = RESET_RAD, fingers: float = 0.0325
) -> RosObject:
    """Return a JointState of an arm at rest, values in the order of ``NAMES``."""
    values = [*arm, fingers, fingers]
    return SimpleNamespace(name=list(names), position=values, velocity=[0.0] * len(values))


def pose(position: Sequence[float], quaternion: Sequence[float]) -> RosObject:
    """Return a PoseStamped; its stamp is taken from the sample."""
    point = SimpleNamespace(**dict(zip("xyz", map(float, position), strict=True)))
    turn = SimpleNamespace(**dict(zip("xyzw", map(float, quaternion), strict=True)))
    header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id="")
    return SimpleNamespace(header=header, pose=SimpleNamespace(position=point, orientation=turn))


def status(**values: str) -> RosObject:
    """Return a DiagnosticArray with these key-values."""
    pairs = [SimpleNamespace(key=key, value=value) for key, value in values.items()]
    entry = SimpleNamespace(name="command", message=values.get("mode", ""), values=pairs)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0))
    return SimpleNamespace(header=header, status=[entry])


def tool() -> RosObject:
    """Return the tool pose that belongs to ``RESET_RAD``."""
    position, rotation = tool_pose(RESET_RAD)
    return pose(position, quaternion_from_matrix(rotation))


def healthy(expected: Expectation, manifest: BundleManifest) -> Snapshot:
    """Return what a probe sees where all is well."""
    facts = {}
    for entry in topics.TOPICS:
        chosen = quality(entry.quality)
        wanted = expected.topics.get(entry.name)
        sender = wanted.own if wanted and wanted.own else "driver"
        if entry.quality == "command":
            sender = entry.publisher
        present = wanted is not None or entry.quality == "command"
        end = Endpoint(f"/{sender}", entry.type, chosen.reliable, chosen.latched)
        readers = [
            replace(end, node=f"/{name}")
            for name in (*expected.nodes, "sim")
            if name in {reader.split(".")[0] for reader in entry.subscribers}
        ]
        facts[entry.name] = TopicFacts((end,) if present else (), readers)
    flows = {
        "joint_states": stream(100.0, lambda ns: joints()),
        "tool_pose": stream(10.0, lambda ns: tool(), "panda_link0"),
        "tool_twist": stream(10.0, lambda ns: SimpleNamespace(), "panda_link0"),
        "policy/observation": stream(10.0, lambda ns: _vector(manifest)),
        "command/status": (at(START_NS, status(mode="waiting")),),
    }
    for part in topics.TRACKED:
        place = manifest.observation.slice(f"{part}_pose")
        low = manifest.observation_normalizer.minimum[place]
        high = manifest.observation_normalizer.maximum[place]
        message = pose((low + high)[:3] / 2, (0.0, 0.0, 0.0, 1.0))
        flows[f"parts/{part}/pose"] = stream(30.0, lambda ns, m=message: m, "tag")
        flows[f"truth/{part}/pose"] = stream(10.0, lambda ns, m=message: m, "tag")
    for name, samples in flows.items():
        if facts[name].publishers:
            facts[name] = replace(facts[name], samples=samples)
    if expected.controller:
        before = facts.get(expected.controller, TopicFacts())
        controller = Endpoint("/controller", "", reliable=True, latched=False)
        facts[expected.controller] = replace(before, subscribers=(controller,))
    return Snapshot(
        topics=facts,
        nodes=frozenset(expected.nodes),
        states=dict.fromkeys(expected.nodes, "active"),
        now_ns=START_NS + round(SECONDS * 1e9),
        seconds=SECONDS,
    )


def _vector(manifest: BundleManifest) -> RosObject:
    return SimpleNamespace(name=list(manifest.observation.component_names), position=[])


def arm_mixed_up() -> RosObject:
    """Return joints whose numbers are in the order of another driver under our names."""
    return joints(arm=np.roll(RESET_RAD, 1).tolist())
