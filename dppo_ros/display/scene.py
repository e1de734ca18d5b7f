# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Turns what is known of the cell into marks. Base frame throughout, times in ns. NumPy only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import matrix_from_quaternion
from dppo_ros.display.marks import Colour, Mark
from dppo_ros.display.shapes import BOXES, base_from_tag, place
from dppo_ros.messages import ChunkMessage, Stamped

FloatArray = NDArray[np.float64]
StepState: TypeAlias = Literal["executed", "frozen", "blended", "free"]

STEP_COLOURS: dict[StepState, Colour] = {
    "executed": (0.55, 0.55, 0.55, 0.9),
    "frozen": (0.85, 0.10, 0.10, 1.0),
    "blended": (0.95, 0.75, 0.10, 1.0),
    "free": (0.15, 0.70, 0.25, 1.0),
}
LEVEL_COLOURS: dict[str, Colour] = {
    "ok": (0.85, 1.0, 0.85, 1.0),
    "warn": (1.0, 0.80, 0.2, 1.0),
    "error": (1.0, 0.25, 0.2, 1.0),
    "stale": (0.7, 0.7, 0.7, 1.0),
}
PART_COLOURS: dict[str, Colour] = {
    "top": (0.90, 0.84, 0.70, 0.9),
    "leg1": (0.80, 0.58, 0.34, 0.9),
    "leg2": (0.80, 0.50, 0.34, 0.9),
    "leg3": (0.80, 0.42, 0.34, 0.9),
    "leg4": (0.85, 0.65, 0.20, 1.0),
    "obstacle": (0.46, 0.49, 0.54, 0.9),
}
OLD: Colour = (0.6, 0.6, 0.6, 0.4)
_TRUTH_OPACITY = 0.25
_BOX_COLOUR: Colour = (0.2, 0.6, 1.0, 0.8)
_AXES: tuple[Colour, ...] = ((1.0, 0.0, 0.0, 1.0), (0.0, 0.8, 0.0, 1.0), (0.1, 0.3, 1.0, 1.0))
_GOAL_AXES: tuple[Colour, ...] = tuple((0.5 + r / 2, 0.5 + g / 2, 0.5 + b / 2, 1.0)
                                       for r, g, b, _ in _AXES)  # fmt: skip
_TEXT_POSE = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass
class Known:
    """What the display knows at one time.

    Attributes:
        now_ns: Time of the picture.
        max_age_ns: A pose older than this is drawn grey.
        tracked: Tracked part poses (7,) in the tag frame, by part.
        truth: True part poses (7,) in the tag frame, by part.
        tool: Measured tool pose (7,); None before the first.
        goal: Commanded tool pose (7,); None before the first.
        trail: Past tool positions (n, 3), oldest first.
        chunk: Newest chunk; None before the first.
        frozen_steps: First actions of the chunk that were committed already.
        blended_steps: Actions after them that were guided towards the chunk before.
        workspace: Lower and upper corner of the box that is guarded; None when unknown.
        level: ``ok``, ``warn``, ``error`` or ``stale``.
        text: State of the command node and why.
    """

    now_ns: int
    max_age_ns: int
    tracked: Mapping[str, Stamped] = field(default_factory=dict)
    truth: Mapping[str, Stamped] = field(default_factory=dict)
    tool: Sequence[float] | None = None
    goal: Sequence[float] | None = None
    trail: Sequence[Sequence[float]] = ()
    chunk: ChunkMessage | None = None
    frozen_steps: int = 0
    blended_steps: int = 0
    workspace: tuple[Sequence[float], Sequence[float]] | None = None
    level: str = "stale"
    text: str = "no command node"


def draw(known: Known) -> list[Mark]:
    """Return everything there is to draw."""
    marks = [*_parts("truth", known.truth, known), *_parts("parts", known.tracked, known)]
    if known.tool is not None:
        marks.append(_axes("tool", known.tool, 0.05, _AXES))
    if known.goal is not None:
        marks.append(_axes("goal", known.goal, 0.08, _GOAL_AXES))
    if len(known.trail) > 1:
        points = np.array(known.trail, dtype=np.float64)
        marks.append(Mark("trail", 0, "path", (0.002,), (0.1, 0.3, 1.0, 0.6), points=points))
    if known.chunk is not None:
        marks += _chunk(known, known.chunk)
    if known.workspace is not None:
        edges = box_edges(*known.workspace)
        marks.append(Mark("workspace", 0, "segments", (0.002,), _BOX_COLOUR, points=edges))
    colour = LEVEL_COLOURS.get(known.level, LEVEL_COLOURS["stale"])
    marks.append(Mark("state", 0, "text", (0.05,), colour, _TEXT_POSE, text=known.text))
    return marks


def step_states(
    count: int, stamp_ns: int, period_ns: int, now_ns: int, frozen: int, blended: int
) -> list[StepState]:
    """Return what has become of every action of a chunk.

    Args:
        count: Number of actions.
        stamp_ns: Time of action 0.
        period_ns: Time between actions.
        now_ns: Time of the picture; an action is executed once the next one is due.
        frozen: First actions that were committed when the chunk was computed.
        blended: Actions after them that were guided towards the chunk before.
    """
    states: list[StepState] = []
    for index in range(count):
        if now_ns >= stamp_ns + (index + 1) * period_ns:
            states.append("executed")
        elif index < frozen:
            states.append("frozen")
        else:
            states.append("blended" if index < frozen + blended else "free")
    return states


def box_edges(low: Sequence[float], high: Sequence[float]) -> FloatArray:
    """Return the ends of the twelve edges of a box (24, 3), two after two."""
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))), dtype=np.float64)
    pairs = [
        (a, b)
        for a, b in itertools.combinations(range(8), 2)
        if (a ^ b).bit_count() == 1
    ]  # fmt: skip
    return corners[np.array(pairs).ravel()]


def _parts(group: str, poses: Mapping[str, Stamped], known: Known) -> Iterator[Mark]:
    """Yield the boxes and the name of every part whose pose is a pose."""
    index = 0
    for part, sample in poses.items():
        if not np.isfinite(sample.values).all() or np.linalg.norm(sample.values[3:]) < 0.5:
            continue
        pose = base_from_tag(sample.values)
        red, green, blue, opacity = PART_COLOURS[part]
        colour = (red, green, blue, _TRUTH_OPACITY if group == "truth" else opacity)
        old = known.now_ns - sample.stamp_ns > known.max_age_ns
        for box in BOXES[part]:
            yield Mark(
                group, index, "box", box.size_m, OLD if old else colour, place(pose, box).tolist()
            )
            index += 1
        if group == "parts":
            above = (pose[0], pose[1], pose[2] + 0.05, 0.0, 0.0, 0.0, 1.0)
            text = f"{part}{' (old)' if old else ''}"
            yield Mark("names", index, "text", (0.02,), (1.0, 1.0, 1.0, 1.0), above, text=text)


def _axes(group: str, pose: Sequence[float], length_m: float, colours: Sequence[Colour]) -> Mark:
    """Return three coloured segments along the axes of a pose (7,)."""
    values = np.asarray(pose, dtype=np.float64)
    rotation = matrix_from_quaternion(values[3:])
    ends = [values[:3] + length_m * axis for axis in rotation.T]
    points = np.array([point for end in ends for point in (values[:3], end)])
    each = [colour for colour in colours for _ in range(2)]
    return Mark(group, 0, "segments", (0.004,), colours[0], points=points, colours=each)


def _chunk(known: Known, chunk: ChunkMessage) -> Iterator[Mark]:
    """Yield the predicted tool positions as a line with coloured dots."""
    points = chunk.actions[:, :3]
    if not np.isfinite(points).all():
        return
    states = step_states(
        len(points), chunk.stamp_ns, chunk.period_ns, known.now_ns,
        known.frozen_steps, known.blended_steps,
    )  # fmt: skip
    colours = [STEP_COLOURS[state] for state in states]
    if len(points) > 1:
        yield Mark(
            "chunk", 0, "path", (0.003,), colours[-1], points=points, colours=colours
        )  # fmt: skip
    yield Mark("chunk", 1, "dots", (0.008,), colours[-1], points=points, colours=colours)
