# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which part the closed gripper holds, so that a hidden part can move with the tool.

A part counts as held while the fingers are apart by less than they can open and by more than
nothing, the tool is inside or next to the part's grasp box, and the opening has not changed since
the part was last seen. As soon as the opening changes, the part is let go of where it then is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.rigid import Rigid


@dataclass(frozen=True, eq=False)
class ToolState:
    """Tool and fingers at the time of a picture.

    Attributes:
        frame_from_tool: The tool in the tag frame.
        width_m: Opening between the fingers.
    """

    frame_from_tool: Rigid
    width_m: float


@dataclass(frozen=True)
class GraspOptions:
    """When a part is in the gripper.

    Attributes:
        min_width_m: Fingers closer than this hold nothing.
        max_width_m: Fingers farther apart than this are open.
        steady_m: By how much the opening may change before the grasp counts as given up.
        reach_m: How far outside its grasp box the tool may be.
    """

    min_width_m: float = 0.004
    max_width_m: float = 0.045
    steady_m: float = 0.002
    reach_m: float = 0.015

    def __post_init__(self) -> None:
        """Refuse contradictory values.

        Raises:
            ConfigError: A value is negative, or the widths are in the wrong order.
        """
        if not 0 <= self.min_width_m < self.max_width_m or min(self.steady_m, self.reach_m) <= 0:
            raise ConfigError(
                f"{self}: widths must be in increasing order, the other values positive"
            )


class Grasp:
    """Whether one part is in the gripper, and where on it."""

    def __init__(self, grasp_box_m: FloatArray | None, options: GraspOptions) -> None:
        """Start with nothing in the gripper.

        Args:
            grasp_box_m: (2, 3) lower and upper corner of the part in its own frame; None for a
                part that is never picked up.
            options: When a part is in the gripper.
        """
        self._box = grasp_box_m
        self._options = options
        self._tool_from_part: Rigid | None = None
        self._width_m = 0.0

    @property
    def holds(self) -> bool:
        """Return whether the part is in the gripper."""
        return self._tool_from_part is not None

    def seen(self, frame_from_part: Rigid, tool: ToolState | None) -> None:
        """Take note of where the part is while it is seen."""
        self._tool_from_part = None
        if tool is not None and self._reaches(frame_from_part, tool):
            self._tool_from_part = tool.frame_from_tool.inverse() @ frame_from_part
            self._width_m = tool.width_m

    def hidden(self, frame_from_part: Rigid, tool: ToolState | None) -> Rigid | None:
        """Return where a hidden part has moved with the tool, None when it is not held.

        Args:
            frame_from_part: Where it is believed to be.
            tool: Tool and fingers now.
        """
        if tool is None:
            self._tool_from_part = None
        elif self._tool_from_part is None:
            # Grasped while out of sight, as legs are when the hand covers them.
            self.seen(frame_from_part, tool)
        elif abs(tool.width_m - self._width_m) > self._options.steady_m:
            self._tool_from_part = None
        if self._tool_from_part is None or tool is None:
            return None
        return tool.frame_from_tool @ self._tool_from_part

    def _reaches(self, frame_from_part: Rigid, tool: ToolState) -> bool:
        options = self._options
        if self._box is None or not options.min_width_m < tool.width_m < options.max_width_m:
            return False
        tip = frame_from_part.inverse().apply(tool.frame_from_tool.position)
        outside = np.maximum(np.maximum(self._box[0] - tip, tip - self._box[1]), 0.0)
        return bool(np.linalg.norm(outside) <= options.reach_m)
