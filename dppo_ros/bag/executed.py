# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which actions were executed, from what the command side published.

Legend: D_a action numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dppo_ros.core.observation import join_action
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion

if TYPE_CHECKING:
    from dppo_ros.bag.episodes import Episode


def executed_actions(episode: Episode) -> dict[int, tuple[int, FloatArray]]:
    """Return receive time and action (D_a,) by control tick.

    The command node tells the action that its gate let through. Bags from before it did have the
    same as pairs of tool goal and gripper value; where those are missing too, what the policy
    asked for stands in, unless the gate changed it.
    """
    reports = [
        status
        for status in episode.statuses.get("command/status", [])
        if status.values.get("sent") == "action" and status.values.get("goal_stamp_ns")
    ]
    told = {
        int(status.values["goal_stamp_ns"]): (
            status.receive_ns, np.array([float(x) for x in status.values["goal"].split(",")])
        )
        for status in reports
        if status.values.get("goal")
    }  # fmt: skip
    if told:
        return told
    pairs = {
        stamp: (receive_ns, _action(pose, episode.grippers[stamp]))
        for stamp, (receive_ns, pose) in episode.goals.items()
        if stamp in episode.grippers
    }
    if pairs:
        return pairs
    return {
        int(status.values["goal_stamp_ns"]): (status.receive_ns, action)
        for status in reports
        if not status.values.get("interventions")
        and (action := _asked_for(episode, status.values)) is not None
    }


def _action(pose: FloatArray, gripper: float) -> FloatArray:
    return join_action(pose[:3], matrix_from_quaternion(pose[3:]), np.array(gripper))


def _asked_for(episode: Episode, values: Mapping[str, str]) -> FloatArray | None:
    chunk = episode.chunks.get(int(values.get("chunk_stamp_ns", "-1")))
    index = int(values.get("index", "-1"))
    return chunk.actions[index] if chunk is not None and 0 <= index < len(chunk.actions) else None
