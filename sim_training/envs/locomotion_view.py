# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of Hopper, Walker2d and HalfCheetah: MuJoCo draws the models that EnvPool runs.

EnvPool itself draws nothing. Its observation holds all joint positions but the way travelled, and
its package ships the models, so the scene is put together again from these.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import EnvironmentUnavailableError

_ASSETS = "envpool_assets"
_FILES = {
    "hopper": "hopper_envpool.xml",
    "walker2d": "walker2d_envpool.xml",
    "halfcheetah": "half_cheetah_envpool.xml",
}
_CAMERA = "track"


def model_xml(task: str) -> str:
    """Model of a task as EnvPool ships it, MJCF.

    Raises:
        EnvironmentUnavailableError: the package has no such file.
    """
    spec = find_spec(_ASSETS)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder) / "mujoco" / "assets_gym" / _FILES[task]
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise EnvironmentUnavailableError(
        f"task {task!r} cannot be drawn: {_FILES[task]} is not in the package {_ASSETS}; install "
        "the EnvPool version of requirements/constraints.txt"
    )


class RunnerView:
    """Draws one of the runners from the side; the camera goes along.

    Args:
        task: hopper, walker2d or halfcheetah.
        height: of the pictures (pixels).
        width: of the pictures (pixels).

    Raises:
        EnvironmentUnavailableError: the model or off-screen OpenGL is missing.
    """

    def __init__(self, task: str, height: int, width: int) -> None:
        # Imported here: the simulation itself runs without the package.
        import mujoco

        self.size = (height, width)
        self._mujoco = mujoco
        self.model = mujoco.MjModel.from_xml_string(_for_drawing(model_xml(task), self.size))
        self.data = mujoco.MjData(self.model)
        try:
            self._renderer = mujoco.Renderer(self.model, height, width)
        except Exception as error:  # graphics drivers fail in many ways, each of a type of its own
            raise EnvironmentUnavailableError(
                f"cannot draw {task} on this machine ({type(error).__name__}: {error}); it needs "
                "OpenGL without a screen (EGL), dppo doctor says what to install"
            ) from error

    def pose(self, x_m: float, observation: NDArray[np.float32]) -> None:
        """Takes the way travelled (m) and the observation (Do): positions come first in it."""
        self.data.qpos[0] = x_m
        self.data.qpos[1:] = observation[: self.model.nq - 1]
        self._mujoco.mj_forward(self.model, self.data)

    def draw(self, x_m: float, observation: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Returns a picture (height, width, 3) of a state, see ``pose``."""
        self.pose(x_m, observation)
        self._renderer.update_scene(self.data, _CAMERA)
        flags = self._mujoco.mjtRndFlag
        for flag in (flags.mjRND_SHADOW, flags.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = False
        return np.asarray(self._renderer.render()).copy()

    def close(self) -> None:
        """Releases graphics."""
        self._renderer.close()


def _for_drawing(xml: str, size: tuple[int, int]) -> str:
    """The model with room for pictures of a size, without what only matters to the physics."""
    root = ET.fromstring(xml)
    compiler = root.find("compiler")
    if compiler is not None:
        # MuJoCo 4 warns of it; masses are of no interest here.
        compiler.attrib.pop("settotalmass", None)
    visual = ET.SubElement(root, "visual")
    ET.SubElement(visual, "global", offheight=str(size[0]), offwidth=str(size[1]))
    ET.SubElement(visual, "quality", offsamples="0")
    return ET.tostring(root, encoding="unicode")
