# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Films of evaluation episodes, through `StepEnv.render` and PyAV."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import EnvironmentUnavailableError
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, RenderableEnv, StepOutcome

if TYPE_CHECKING:
    from sim_training.config import EvaluateConfig
    from sim_training.envs.make import EnvConfig
    from sim_training.envs.protocol import StepEnv
    from sim_training.policies.header import PolicyHeader
    from sim_training.policies.make import TrainablePolicy

logger = logging.getLogger(__name__)
_HEIGHT, _WIDTH = 480, 640


class VideoWriter:
    """An H.264 file that grows frame by frame."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        """Open the file.

        Raises:
            EnvironmentUnavailableError: PyAV is not installed.
        """
        try:
            import av
        except ImportError as error:
            raise EnvironmentUnavailableError(
                "videos need the package av, which is not installed; install it or set "
                "eval.video_episodes to 0"
            ) from error
        self._av = av
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", rate=round(frames_per_second))
        self._stream.pix_fmt = "yuv420p"
        self._sized = False

    def add(self, image: NDArray[np.uint8]) -> None:
        """Append one (height, width, 3) RGB frame; all frames must have the first one's size."""
        if not self._sized:
            self._stream.height, self._stream.width = image.shape[:2]
            self._sized = True
        frame = self._av.VideoFrame.from_ndarray(image, format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Flush and close the file."""
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()


class _FilmedEnv:
    """A `StepEnv` that hands every frame of environment 0 to a writer."""

    def __init__(self, env: StepEnv, writer: VideoWriter) -> None:
        self._env = env
        self._writer = writer

    def __getattr__(self, name: str) -> object:
        return getattr(self._env, name)

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        return self._env.reset(env_ids, seeds)

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        outcome = self._env.step(actions, active)
        assert isinstance(self._env, RenderableEnv)
        self._writer.add(self._env.render(0, _HEIGHT, _WIDTH))
        return outcome


def film_episodes(
    policy: TrainablePolicy,
    header: PolicyHeader,
    env_config: EnvConfig,
    config: EvaluateConfig,
    folder: Path,
) -> list[Path]:
    """Run the first episodes again, one at a time, and write one MP4 each.

    Returns:
        The files written; empty if the task cannot be rendered.
    """
    from sim_training.envs.chunk import ChunkEnv
    from sim_training.envs.make import make_step_env
    from sim_training.envs.seeds import SeedList
    from sim_training.evaluate import chunk_settings, evaluate_policy

    env = make_step_env(env_config, 1, config.env_threads)
    if not isinstance(env, RenderableEnv):
        logger.warning("task %s cannot be rendered; no video written", env.name)
        return []
    written = []
    for index in range(min(config.eval.video_episodes, config.eval.n_episodes)):
        seed = config.eval.seed + index
        path = folder / f"episode_{seed}.mp4"
        writer = VideoWriter(path, 2.0 * env.control_rate_hz)
        filmed = _FilmedEnv(env, writer)
        chunk_env = ChunkEnv(filmed, chunk_settings(header), SeedList([seed]))  # type: ignore[arg-type]
        try:
            evaluate_policy(policy, chunk_env, 1, config.stochastic, config.use_base_policy)
        finally:
            writer.close()
        written.append(path)
    env.close()
    return written
