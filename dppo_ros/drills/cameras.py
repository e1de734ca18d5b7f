# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drills in which the whole loop runs through pictures: cameras fail, tags are covered or forged.

The twin draws its cameras; what the tag node sees of them is spoiled here, picture by picture.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.observation import ONE_LEG_PARTS
from dppo_ros.drills.injector import Change, drop
from dppo_ros.drills.outcome import Outcome
from dppo_ros.drills.scene import Scene, Setup
from dppo_ros.messages import RosObject, decode_pose
from dppo_ros.perception.detector import TagDetector
from dppo_ros.perception.tag_layout import shipped_layout

PICTURES = tuple(camera.image_topic for camera in shipped_cameras())
PART = ONE_LEG_PARTS[-1]
CAMERAS = Setup(
    "cameras",
    arguments={"poses": "cameras"},
    relays=dict.fromkeys(PICTURES, ("tag",)),
)
Paint = Callable[[NDArray[np.uint8], NDArray[np.float64]], None]
_GREY = 90
_REACT_S = 25.0
"""Longer than the tracker may vouch for a part that it does not see."""
_BRIEF_S, _LONGER_S = 0.5, 2.0
_FORGED_SHIFT_PX = 160
_FLASH_S = 0.15
_REPORT_S = 0.5


def all_cameras_lost(scene: Scene) -> Outcome:
    """Every camera stops sending, then all are back."""
    return _until_held(scene, "all cameras unplugged and back", PICTURES, drop)


def one_camera_lost(scene: Scene) -> Outcome:
    """One of the cameras stops sending for two seconds."""
    return _for_a_while(scene, "one camera unplugged for 2 s", PICTURES[:1], drop, _LONGER_S)


def tags_covered_briefly(scene: Scene) -> Outcome:
    """No camera sees a tag for half a second."""
    return _for_a_while(scene, "all tags covered 0.5 s", PICTURES, _blank, _BRIEF_S)


def tags_covered_longer(scene: Scene) -> Outcome:
    """No camera sees a tag for two seconds."""
    return _for_a_while(scene, "all tags covered 2 s", PICTURES, _blank, _LONGER_S)


def tags_covered(scene: Scene) -> Outcome:
    """No camera sees a tag until the robot holds; then they are seen again."""
    return _until_held(scene, "all tags covered for good, then seen", PICTURES, _blank)


def part_covered(scene: Scene) -> Outcome:
    """The tags of one part are covered until the robot holds; then they are seen again."""
    return _until_held(scene, f"tags of {PART} covered, then seen", PICTURES, PartPainter(cover))


def forged_briefly(scene: Scene) -> Outcome:
    """The tags of one part appear elsewhere for a single set of pictures or two."""
    return _forged(scene, f"tags of {PART} elsewhere for {_FLASH_S:g} s", _FLASH_S)


def forged_tags(scene: Scene) -> Outcome:
    """The tags of one part appear elsewhere for two seconds."""
    return _forged(scene, f"tags of {PART} elsewhere for {_LONGER_S:g} s", _LONGER_S)


def _forged(scene: Scene, drill: str, seconds: float) -> Outcome:
    error = PartError(scene)
    outcome = _for_a_while(scene, drill, PICTURES, PartPainter(forge), seconds)
    time.sleep(_REPORT_S)
    told = f"reported pose at most {error.largest_m * 1e3:.0f} mm off"
    return replace(outcome, reason="; ".join(filter(None, (outcome.reason, told))))


class PartError:
    """How far the reported pose of the part is from the true one, from now on.

    Attributes:
        largest_m: The largest distance so far (m).
    """

    def __init__(self, scene: Scene) -> None:
        """Listen to both poses.

        Args:
            scene: The running graph.
        """
        self.largest_m = 0.0
        self._true: dict[int, NDArray[np.float64]] = {}
        scene.stage.listen(f"truth/{PART}/pose", self._on_truth)
        scene.stage.listen(f"parts/{PART}/pose", self._on_report)

    def _on_truth(self, message: RosObject) -> None:
        pose = decode_pose(message)
        self._true[pose.stamp_ns] = pose.values[:3]

    def _on_report(self, message: RosObject) -> None:
        pose = decode_pose(message)
        nearest = min(self._true, key=lambda stamp: abs(stamp - pose.stamp_ns), default=None)
        if nearest is not None:
            distance = float(np.linalg.norm(pose.values[:3] - self._true[nearest]))
            self.largest_m = max(self.largest_m, distance)


class PartPainter:
    """A change that paints over, or copies, the tags of one part wherever they are found."""

    def __init__(self, paint: Paint) -> None:
        """Find the numbers of the part's tags.

        Args:
            paint: What to do with the corners of a tag in a picture.
        """
        self._paint = paint
        self._ids = {placement.tag_id for placement in shipped_layout().of(PART)}
        self._detector = TagDetector()
        self._lock = threading.Lock()

    def __call__(self, message: RosObject) -> Sequence[tuple[float, RosObject]]:
        """Paint a picture."""
        picture = pixels(message).copy()
        with self._lock:
            found = self._detector.detect(np.ascontiguousarray(picture[..., 1]))
        for tag in found:
            if tag.tag_id in self._ids:
                self._paint(picture, tag.corners_px)
        pixels(message)[...] = picture
        return ((0.0, message),)


def pixels(message: RosObject) -> NDArray[np.uint8]:
    """Return the (height, width, 3) pixels of an rgb8 picture, sharing its memory."""
    flat = np.frombuffer(message.data, dtype=np.uint8)
    return flat.reshape(message.height, message.step // 3, 3)[:, : message.width]


def cover(picture: NDArray[np.uint8], corners_px: NDArray[np.float64]) -> None:
    """Paint a tag grey, its white border included."""
    low, high = _box(picture, corners_px)
    picture[low[1] : high[1], low[0] : high[0]] = _GREY


def forge(picture: NDArray[np.uint8], corners_px: NDArray[np.float64]) -> None:
    """Copy a tag to another place of the picture and cover the true one."""
    low, high = _box(picture, corners_px)
    patch = picture[low[1] : high[1], low[0] : high[0]].copy()
    cover(picture, corners_px)
    left = low[0] - _FORGED_SHIFT_PX if low[0] >= _FORGED_SHIFT_PX else low[0] + _FORGED_SHIFT_PX
    place = picture[low[1] : high[1], left : left + patch.shape[1]]
    place[...] = patch[:, : place.shape[1]]


def _box(
    picture: NDArray[np.uint8], corners_px: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the corners of a box around a tag with its border, inside the picture."""
    low, high = corners_px.min(axis=0), corners_px.max(axis=0)
    margin = 0.35 * (high - low) + 2.0
    size = np.array([picture.shape[1], picture.shape[0]])
    return (
        np.clip(np.floor(low - margin), 0, size).astype(np.int64),
        np.clip(np.ceil(high + margin), 0, size).astype(np.int64),
    )


def _blank(message: RosObject) -> Sequence[tuple[float, RosObject]]:
    pixels(message)[...] = _GREY
    return ((0.0, message),)


def _until_held(scene: Scene, drill: str, topics: Sequence[str], change: Change) -> Outcome:
    def make() -> None:
        _set(scene, topics, change)

    def mend() -> None:
        _set(scene, topics, None)

    try:
        return scene.fault_that_holds(drill, make, mend, react_s=_REACT_S)
    finally:
        mend()


def _for_a_while(
    scene: Scene, drill: str, topics: Sequence[str], change: Change, seconds: float
) -> Outcome:
    def make() -> None:
        _set(scene, topics, change)

    def mend() -> None:
        _set(scene, topics, None)

    try:
        return scene.fault_to_survive(drill, make, mend, seconds, may_hold=True)
    finally:
        mend()


def _set(scene: Scene, topics: Sequence[str], change: Change | None) -> None:
    for name in topics:
        scene.relays[name].change = change
