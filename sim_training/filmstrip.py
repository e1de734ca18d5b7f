# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a recorded episode: the states in the bag, drawn with the simulator's scene.

Nothing is simulated again: joints and parts are put where the topics said they were. Needs
off-screen OpenGL, neither torch nor rclpy.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from dppo_ros import messages
from dppo_ros.bag.writer import typestore
from dppo_ros.core.errors import BagError, EnvironmentUnavailableError
from dppo_ros.core.observation import OBSTACLE, ONE_LEG_PARTS
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.scene import build_model
from sim_training.envs.furniture.view import CellView, place_objects
from sim_training.pictures import Image, is_blank, join_pictures, to_png

FloatArray = NDArray[np.float64]
_PARTS = (*ONE_LEG_PARTS, OBSTACLE)


@dataclass(frozen=True)
class RecordedState:
    """The cell at one control tick.

    Attributes:
        stamp_ns: Time (ns).
        joints: Positions by joint name (rad, m).
        tag_from_part: (7,) per object, m and xyzw, tag frame.
        phase: Furthest phase so far.
        phase_name: Its name.
    """

    stamp_ns: int
    joints: Mapping[str, float]
    tag_from_part: Mapping[str, FloatArray]
    phase: int
    phase_name: str


def read_states(bag: Path) -> list[RecordedState]:
    """Returns the state of the cell at every control tick of a bag.

    Raises:
        BagError: The bag cannot be read, or lacks the topics of the simulated cell.
    """
    joints: dict[int, dict[str, float]] = {}
    poses: dict[int, dict[str, FloatArray]] = {}
    phases: dict[int, tuple[int, str]] = {}
    part_of_topic = {f"/parts/{part}/pose": part for part in _PARTS}
    wanted = {"/joint_states", "/task/status", *part_of_topic}
    try:
        with AnyReader([bag], default_typestore=typestore()) as reader:
            chosen = [c for c in reader.connections if c.topic in wanted]
            for connection, _, raw in reader.messages(connections=chosen):
                message = reader.deserialize(raw, connection.msgtype)
                if connection.topic == "/joint_states":
                    stamp, names, values = messages.decode_vector(message)
                    joints[stamp] = dict(zip(names, values.tolist(), strict=True))
                elif connection.topic == "/task/status":
                    stamp, status = messages.decode_status(message)
                    phases[stamp] = int(status["phase"]), status["phase_name"]
                else:
                    pose = messages.decode_pose(message)
                    part = part_of_topic[connection.topic]
                    poses.setdefault(pose.stamp_ns, {})[part] = pose.values
    except Exception as error:  # rosbags raises many kinds on damaged files
        raise BagError(f"cannot read the states in {bag}: {error}") from error
    complete = sorted(
        stamp
        for stamp, parts in poses.items()
        if len(parts) == len(_PARTS) and stamp in joints and stamp in phases
    )
    if not complete:
        raise BagError(
            f"bag {bag} holds no complete state of the simulated cell; it needs the topics "
            f"{', '.join(sorted(wanted))}"
        )
    return [RecordedState(s, joints[s], poses[s], *phases[s]) for s in complete]


def key_states(states: Sequence[RecordedState], count: int) -> list[RecordedState]:
    """Returns up to `count` states: start, end, and where each new phase began; then filled up.

    Raises:
        BagError: There are no states.
    """
    if not states:
        raise BagError("no states to choose from; the recording is empty")
    chosen = {0, len(states) - 1}
    for index in range(1, len(states)):
        if states[index].phase > states[index - 1].phase and len(chosen) < count:
            chosen.add(index)
    while len(chosen) < min(count, len(states)):
        # Halve the longest gap, so that the pictures spread over the episode.
        gaps = [(b - a, a, b) for a, b in itertools.pairwise(sorted(chosen))]
        _, start, end = max(gaps)
        if end - start < 2:
            break
        chosen.add((start + end) // 2)
    return [states[index] for index in sorted(chosen)]


def draw_states(
    states: Sequence[RecordedState], height: int = 300, width: int = 400
) -> list[Image]:
    """Returns one picture (height, width, 3) of each state, seen from the front left.

    Raises:
        EnvironmentUnavailableError: There is no off-screen OpenGL.
    """
    model = build_model(ONE_LEG.name)
    data = mujoco.MjData(model)
    view = CellView(model, height, width, fine=True)
    pictures: list[Image] = []
    for state in states:
        for name, value in state.joints.items():
            data.joint(name).qpos = value
        place_objects(data, state.tag_from_part)
        mujoco.mj_forward(model, data)
        pictures.append(view.draw(data))
    view.close()
    if any(map(is_blank, pictures)):
        raise EnvironmentUnavailableError(
            "the graphics driver draws empty pictures; dppo doctor says what to install"
        )
    return pictures


def film_strip(bag: Path, count: int = 8, columns: int = 4) -> tuple[bytes, str]:
    """Returns a PNG sheet of the key moments of a recorded episode, and its caption.

    Raises:
        BagError: The bag does not hold the states.
        EnvironmentUnavailableError: There is no off-screen OpenGL.
    """
    states = read_states(bag)
    shown = key_states(states, count)
    start_ns = states[0].stamp_ns
    times = ", ".join(f"{(s.stamp_ns - start_ns) / 1e9:.1f} s {s.phase_name}" for s in shown)
    return to_png(join_pictures(draw_states(shown), columns)), f"Left to right, top down: {times}"
