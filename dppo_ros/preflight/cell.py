# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges part poses, calibration and the state of the command node. No rclpy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dppo_ros import messages, topics
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.observation import BASE_FROM_TAG_ROTATION, TAG_ORIGIN_IN_BASE
from dppo_ros.preflight.expectation import Expectation
from dppo_ros.preflight.snapshot import Snapshot
from dppo_ros.preflight.step import Step, judged

SECTION, COMMAND, DIAGNOSTICS = "parts", "command node", "diagnostics"
TABLE_X_M, TABLE_Y_M, HEIGHT_M = (0.0, 0.95), 0.42, (-0.02, 0.45)
"""Where a part can be, in the base frame: on the table or in the hand."""

_TRAINED_MARGIN_M = 0.03
_STOPPED = ("fault", "estop")
_WAITING = ("holding", "recovering")
_ERROR = 2


def part_steps(expected: Expectation, seen: Snapshot, manifest: BundleManifest) -> Iterator[Step]:
    """Yield whether every part that the bundle asks for is there, and where it can be."""
    prefix = "truth" if expected.settings["part_source"] == "truth" else "parts"
    fixed = str(expected.parameter("observation", "constant_parts", "")).split(",")
    wanted = [
        part
        for part in topics.TRACKED
        if f"{part}_pose" in manifest.observation.names and part not in fixed
    ]
    for part in wanted:
        name = f"{prefix}/{part}/pose"
        if not seen.facts(name).publishers:
            continue
        samples = seen.facts(name).samples
        if not samples:
            yield Step(
                SECTION, part, "fail", "no pose", "a pose of every part the policy looks at",
                "put it where a camera sees at least one of its tags",
            )  # fmt: skip
        else:
            yield _place_step(part, messages.decode_pose(samples[-1].message).values, manifest)


def _place_step(part: str, pose: np.ndarray, manifest: BundleManifest) -> Step:
    """Return whether a pose (7,) in the tag frame is believable, and was seen in training."""
    length = float(np.linalg.norm(pose[3:]))
    if not np.isfinite(pose).all() or abs(length - 1.0) > 1e-2:
        return Step(
            SECTION, part, "fail", f"{_shown(pose[:3])}, quaternion of length {length:.3f}",
            "finite numbers, quaternion of length 1", "restart the tracker",
        )  # fmt: skip
    base = TAG_ORIGIN_IN_BASE + BASE_FROM_TAG_ROTATION @ pose[:3]
    possible = (
        TABLE_X_M[0] <= base[0] <= TABLE_X_M[1]
        and abs(base[1]) <= TABLE_Y_M
        and HEIGHT_M[0] <= base[2] <= HEIGHT_M[1]
    )
    text = f"{_shown(base)} m in the base frame"
    if not possible:
        return Step(
            SECTION, part, "fail", text,
            f"x {TABLE_X_M[0]:g} to {TABLE_X_M[1]:g}, |y| to {TABLE_Y_M:g}, z {HEIGHT_M[0]:g} to "
            f"{HEIGHT_M[1]:g} m",
            "wrong tag size, wrong frame, or a calibration that no longer holds",
        )  # fmt: skip
    place = manifest.observation.slice(f"{part}_pose")
    low = manifest.observation_normalizer.minimum[place][:3] - _TRAINED_MARGIN_M
    high = manifest.observation_normalizer.maximum[place][:3] + _TRAINED_MARGIN_M
    inside = bool(((pose[:3] >= low) & (pose[:3] <= high)).all())
    return judged(
        SECTION, part, inside, text,
        f"{_shown(low)} to {_shown(high)} m in the tag frame, as in training",
        "the policy never saw it there: move it, or expect failure", "warn",
    )  # fmt: skip


def _shown(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values) + ")"


def command_steps(seen: Snapshot) -> Iterator[Step]:
    """Yield whether the command node is in a state from which it can move."""
    samples = seen.facts("command/status").samples
    if not samples:
        return
    values = messages.decode_status(samples[-1].message)[1]
    mode = values.get("state") or values.get("mode") or values.get("message", "")
    reason = values.get("reason", "")
    text = f"{mode}: {reason}" if reason else mode
    if mode in _STOPPED:
        yield Step(
            COMMAND, "state", "fail", text, "idle, homing or running",
            "remove the cause, then call the service /command/clear",
        )  # fmt: skip
    else:
        yield judged(
            COMMAND, "state", mode not in _WAITING, text, "idle, homing or running",
            "it holds the arm; the reason says what is missing", "warn",
        )  # fmt: skip


def diagnostics_steps(expected: Expectation, seen: Snapshot) -> Iterator[Step]:
    """Yield what the running nodes say about themselves on ``diagnostics``."""
    newest: dict[str, tuple[int, str]] = {}
    for sample in seen.facts("diagnostics").samples:
        for status in sample.message.status:
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            newest[str(status.name).rsplit(" ", 1)[-1]] = (level, str(status.message))
    for node in expected.nodes:
        if node in newest:
            level, text = newest[node]
            yield judged(
                DIAGNOSTICS, node, level < _ERROR, text, "ok or warn",
                "the key-values of this node on /diagnostics say more (docs/deploy.md)", "warn",
            )  # fmt: skip
