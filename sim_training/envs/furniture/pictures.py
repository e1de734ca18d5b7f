# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the calibrated cameras of the cell see, drawn off-screen from the coordinates of a cell.

Shadows and reflections are off: without a graphics card they cost most of the time. The arm is
drawn from its collision shapes, which hide at least what the real arm would.

No torch, no rclpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from dppo_ros.cameras import Camera
from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.tag_layout import TagLayout
from sim_training.envs.furniture.simulation import Coordinates
from sim_training.envs.furniture.tag_plates import build_camera_model, camera_name

ByteArray = NDArray[np.uint8]
_ARM_GROUP = 3
_NOISE_SHIFTS = 64
_NOISE_SEED = 36
_OFF = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)


@dataclass(frozen=True)
class PictureFaults:
    """What makes pictures less than perfect; all zero leaves them as they were drawn.

    Attributes:
        noise: Standard deviation of the grey levels of a pixel, of 255.
        blur_px: Standard deviation of the blur, pixels.
        darkness: Share of the light that is missing, from 0 to below 1.
    """

    noise: float = 0.0
    blur_px: float = 0.0
    darkness: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no fault of a picture.

        Raises:
            ConfigError: A value is negative, or nothing of the light is left.
        """
        if min(self.noise, self.blur_px, self.darkness) < 0 or self.darkness >= 1:
            raise ConfigError(
                f"picture faults are {self}; noise and blur_px must not be negative, darkness must "
                "lie from 0 to below 1"
            )

    def spoil(self, picture: ByteArray, rng: np.random.Generator) -> None:
        """Change a picture (h, w, 3) in place."""
        if self.darkness > 0:
            cv2.convertScaleAbs(picture, picture, alpha=1.0 - self.darkness)
        if self.blur_px > 0:
            cv2.GaussianBlur(picture, (0, 0), self.blur_px, dst=picture)
        if self.noise > 0:
            height, width, channels = picture.shape
            pool = _noise_pool(height + _NOISE_SHIFTS, width + _NOISE_SHIFTS, channels)
            top, left = rng.integers(_NOISE_SHIFTS, size=2)
            noise = pool[top : top + height, left : left + width]
            noisy = cv2.scaleAdd(noise, self.noise, picture.astype(np.float32))
            picture[:] = cv2.convertScaleAbs(np.maximum(noisy, 0.0))


@cache
def _noise_pool(height: int, width: int, channels: int) -> NDArray[np.float32]:
    """Standard normal numbers, larger than a picture: drawing them anew takes longer than drawing.

    Pictures take different sections of it.
    """
    rng = np.random.default_rng(_NOISE_SEED)
    return rng.standard_normal((height, width, channels), dtype=np.float32)


def drawn_lens(camera: Camera) -> Lens:
    """Return the lens of a drawn camera: square pixels, principal point in the middle."""
    centre = ((camera.width_px - 1) / 2, (camera.height_px - 1) / 2)
    return Lens(camera.width_px, camera.height_px, camera.fx_px, camera.fx_px, *centre)


class CellPictures:
    """Draws the cell; belongs to the thread that created it, as its graphics do.

    Args:
        layout: Where which tag is.
        cameras: What to draw.
        faults: What makes the pictures less than perfect.

    Raises:
        EnvironmentUnavailableError: This machine cannot draw off-screen.
        ConfigError: A tag belongs to a body that the cell does not have.
    """

    def __init__(
        self,
        layout: TagLayout,
        cameras: Sequence[Camera],
        faults: PictureFaults = PictureFaults(),
    ) -> None:
        self.cameras = tuple(cameras)
        self._faults = faults
        self.model = build_camera_model(layout, cameras)
        self.data = mujoco.MjData(self.model)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[_ARM_GROUP] = 1
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        for camera in self.cameras:
            self._renderer(camera)

    def pose(self, coordinates: Coordinates) -> None:
        """Take the coordinates of a cell; the next pictures show it."""
        self.data.qpos[:] = coordinates.qpos
        self.data.mocap_pos[:] = coordinates.mocap_position
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def draw(self, camera: Camera, into: ByteArray, seed: int = 0) -> None:
        """Draw what a camera sees.

        Args:
            camera: One of the cameras given.
            into: (height_px, width_px, 3) red, green, blue.
            seed: Seed of the noise, where there is noise.
        """
        renderer = self._renderer(camera)
        renderer.update_scene(self.data, camera_name(camera.name), self._option)
        for flag in _OFF:
            renderer.scene.flags[flag] = False
        renderer.render(out=into)
        self._faults.spoil(into, np.random.default_rng([seed & 0xFFFFFFFF, seed >> 32]))

    def picture(self, camera: Camera, seed: int = 0) -> ByteArray:
        """Return a new picture (height_px, width_px, 3) of what a camera sees."""
        into = np.empty((camera.height_px, camera.width_px, 3), dtype=np.uint8)
        self.draw(camera, into, seed)
        return into

    def close(self) -> None:
        """Release graphics."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _renderer(self, camera: Camera) -> mujoco.Renderer:
        size = (camera.height_px, camera.width_px)
        if size not in self._renderers:
            try:
                self._renderers[size] = mujoco.Renderer(self.model, *size)
            except (RuntimeError, ImportError, mujoco.FatalError) as error:
                raise EnvironmentUnavailableError(
                    f"the cell's cameras cannot be drawn on this machine ({error}); this needs "
                    "OpenGL without a screen (EGL), see `dppo doctor`"
                ) from error
        return self._renderers[size]
