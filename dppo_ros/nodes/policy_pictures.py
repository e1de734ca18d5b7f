# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera topics of a policy that sees images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dppo_ros import messages
from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import ConfigError, ObservationError, unknown_name_message
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.picture_window import PictureWindow, SeenObservation
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode

_ORDERS = {"rgb8": slice(None), "bgr8": slice(None, None, -1)}


class PolicyPictures:
    """Listens to the cameras of a policy and pairs their pictures with observations."""

    def __init__(
        self,
        node: ManagedNode,
        manifest: BundleManifest,
        deliver: Callable[[SeenObservation], None],
    ) -> None:
        """Listen.

        Args:
            node: Has the parameters ``cameras`` and ``max_picture_age_s``.
            manifest: Of a policy that sees images.
            deliver: Called with every observation that is complete.

        Raises:
            ConfigError: The cameras do not fit the policy.
        """
        assert manifest.image_shape is not None
        _, channels, height, width = manifest.image_shape
        names = [name.strip() for name in node.text("cameras").split(",") if name.strip()]
        known = {camera.name: camera for camera in shipped_cameras()}
        for name in names:
            if name not in known:
                raise ConfigError(unknown_name_message("camera", name, known))
        if 3 * len(names) != channels:
            raise ConfigError(
                f"cameras is {node.text('cameras')!r}, but bundle {manifest.name!r} sees "
                f"{channels // 3} camera(s); name them in the order in which it was trained, out "
                f"of {', '.join(known)}"
            )
        age_ns = messages.seconds_to_ns(node.number("max_picture_age_s"))
        self.window = PictureWindow(len(names), height, width, age_ns)
        self._node, self._deliver = node, deliver
        for index, name in enumerate(names):
            node.subscribe(known[name].image_topic, partial(self._on_picture, index))

    def add(self, seen: list[SeenObservation]) -> None:
        """Deliver complete observations."""
        for entry in seen:
            self._deliver(entry)

    def _on_picture(self, camera: int, message: RosObject) -> None:
        if not self._node.active:
            return
        try:
            picture = colour_picture(message)
            stamp_ns = messages.stamp_to_ns(message.header.stamp)
            self.add(self.window.add_picture(camera, stamp_ns, picture))
        except ObservationError as error:
            self._node.warn(f"picture refused: {error}")


def colour_picture(message: RosObject) -> NDArray[np.uint8]:
    """Return the (height, width, 3) red, green, blue bytes of a ``sensor_msgs/Image``.

    Raises:
        ObservationError: Another encoding, or sizes that do not fit each other.
    """
    rows, columns, step = int(message.height), int(message.width), int(message.step)
    raw = np.frombuffer(message.data, dtype=np.uint8)
    if message.encoding not in _ORDERS:
        raise ObservationError(unknown_name_message("encoding", message.encoding, _ORDERS))
    if min(rows, columns) < 1 or step < 3 * columns or raw.size < rows * step:
        raise ObservationError(
            f"picture of {columns} x {rows} with {step} bytes a row holds {raw.size} bytes; it "
            f"must hold {rows} rows of at least {3 * columns}"
        )
    table = raw[: rows * step].reshape(rows, step)[:, : 3 * columns]
    return table.reshape(rows, columns, 3)[..., _ORDERS[message.encoding]]
