# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The twin's cameras: pictures of the cell, drawn and sent by a thread of their own.

Drawing takes tens of milliseconds without a graphics card, so physics does not wait for it: it
hands over where everything is, and what cannot be drawn in time is left out and counted, as a
camera that drops frames would. In lockstep the twin waits for the observation instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from dppo_ros.cameras import Camera
from dppo_ros.core.diagnostics import EventCounts, LatencyWindow
from dppo_ros.core.errors import DppoError, EnvironmentUnavailableError
from dppo_ros.nodes.base import ManagedNode
from dppo_ros.perception.tag_layout import TagLayout
from dppo_ros.picture_messages import PictureMessage, encode_camera_info
from sim_training.envs.furniture.pictures import CellPictures, PictureFaults, drawn_lens
from sim_training.envs.furniture.simulation import Coordinates

_JOIN_S = 10.0
_START_S = 60.0
_REPEAT_S = 0.5


class PictureSchedule:
    """Decides at which of many instants a picture is taken; time may jump."""

    def __init__(self, period_ns: int) -> None:
        """Start; the first instant is due.

        Args:
            period_ns: Time between pictures (ns).
        """
        self._period_ns = period_ns
        self._due_ns: int | None = None

    def is_due(self, stamp_ns: int) -> bool:
        """Return whether a picture is taken at this time; asked once for every instant."""
        due_ns, period_ns = self._due_ns, self._period_ns
        if due_ns is not None and due_ns - period_ns <= stamp_ns < due_ns:
            return False
        regular = due_ns is not None and due_ns <= stamp_ns < due_ns + period_ns
        self._due_ns = (due_ns if due_ns is not None and regular else stamp_ns) + period_ns
        return True


class SimCameras:
    """Draws and publishes the cameras of the cell."""

    def __init__(
        self,
        node: ManagedNode,
        layout: TagLayout,
        cameras: Sequence[Camera],
        faults: PictureFaults,
        period_ns: int,
    ) -> None:
        """Create the topics and the graphics.

        Args:
            node: Publishes.
            layout: Where which tag is.
            cameras: What to draw.
            faults: What makes the pictures less than perfect.
            period_ns: Least time between pictures (ns).

        Raises:
            EnvironmentUnavailableError: This machine cannot draw off-screen.
            ConfigError: A tag belongs to a body that the cell does not have.
        """
        self.counts = EventCounts("drawn", "left_out", "sent_again")
        self.latency = LatencyWindow()
        self._layout = layout
        self._faults = faults
        self._schedule = PictureSchedule(period_ns)
        self._outputs = [_Output(node, camera) for camera in cameras]
        self._changed = threading.Condition()
        self._waiting: tuple[int, Coordinates] | None = None
        self._last: tuple[int, Coordinates] | None = None
        self._sent_s = 0.0
        self._stop = False
        self._ready = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="cameras", daemon=True)
        self._thread.start()
        self._ready.wait(_START_S)
        if isinstance(self._problem, DppoError):
            raise self._problem
        if self._problem is not None or not self._ready.is_set():
            raise EnvironmentUnavailableError(
                f"the cell's cameras did not start ({self._problem or 'no answer'}); run the twin "
                "with poses:=truth, or look at `dppo doctor`"
            )

    def offer(self, stamp_ns: int, coordinates: Callable[[], Coordinates]) -> None:
        """Take the state of the cell at this time if a picture is due; never waits.

        Args:
            stamp_ns: Time of the state (ns).
            coordinates: Returns it; called only when it is needed.
        """
        if not self._schedule.is_due(stamp_ns):
            return
        state = coordinates()
        with self._changed:
            if self._waiting is not None:
                self.counts.add("left_out")
            self._waiting = (stamp_ns, state)
            self._changed.notify_all()

    def repeat(self, stamp_ns: int) -> None:
        """Draw and send the pictures of this time again if they are some time old; never waits.

        Pictures are sent best effort. In lockstep everything stands still until one has led to an
        observation, so a lost one has to be sent again.

        Args:
            stamp_ns: Time at which the cell stands still (ns).
        """
        with self._changed:
            if self._last is None or self._last[0] != stamp_ns or self._waiting is not None:
                return
            if time.monotonic() - self._sent_s > _REPEAT_S:
                self.counts.add("sent_again")
                self._sent_s = time.monotonic()
                self._waiting = self._last
                self._changed.notify_all()

    def close(self) -> None:
        """End the thread and free the graphics."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        self._thread.join(_JOIN_S)

    def _work(self) -> None:
        """Everything that touches the graphics, which belong to one thread."""
        try:
            pictures = CellPictures(
                self._layout, [output.camera for output in self._outputs], self._faults
            )
            for output in self._outputs:  # the first picture of a camera is many times slower
                pictures.draw(output.camera, output.picture.pixels)
        except Exception as error:  # handed to whoever waits for the start
            self._problem = error
            return
        finally:
            self._ready.set()
        while (task := self._next()) is not None:
            self._draw(pictures, *task)
        pictures.close()

    def _next(self) -> tuple[int, Coordinates] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stop or self._waiting is not None)
            task, self._waiting = self._waiting, None
            return None if self._stop else task

    def _draw(self, pictures: CellPictures, stamp_ns: int, coordinates: Coordinates) -> None:
        start_ns = time.perf_counter_ns()
        pictures.pose(coordinates)
        for number, output in enumerate(self._outputs):
            pictures.draw(output.camera, output.picture.pixels, seed=stamp_ns + number)
            output.send(stamp_ns)
        with self._changed:
            self._last, self._sent_s = (stamp_ns, coordinates), time.monotonic()
        self.counts.add("drawn")
        self.latency.add_ns(time.perf_counter_ns() - start_ns)


class _Output:
    """Topics and messages of one camera."""

    def __init__(self, node: ManagedNode, camera: Camera) -> None:
        self.camera = camera
        self.picture = PictureMessage(camera.frame_id, camera.width_px, camera.height_px)
        self._pictures = node.advertise(camera.image_topic)
        self._infos = node.advertise(camera.info_topic)
        self._lens = drawn_lens(camera)

    def send(self, stamp_ns: int) -> None:
        """Publish the calibration and the picture of one time."""
        self._infos.publish(encode_camera_info(stamp_ns, self.camera.frame_id, self._lens))
        self._pictures.publish(self.picture.stamped(stamp_ns))
