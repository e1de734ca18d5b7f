# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A `StepEnv` of one environment whose frames are shown to somebody. NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_training.envs.protocol import (
    BoolArray,
    Float32Array,
    IntArray,
    RenderableEnv,
    StepEnv,
    StepOutcome,
)


@dataclass(frozen=True)
class Frame:
    """One picture of an episode.

    Attributes:
        image: (height, width, 3).
        step: control steps since the episode began.
        phase: furthest phase so far.
        success: whether the task is done.
        ended: the last frame of the episode.
    """

    image: NDArray[np.uint8]
    step: int
    phase: int
    success: bool
    ended: bool = False


class FilmedEnv:
    """Passes everything through and shows the frames that are due or matter.

    Due is the first and every `stride`-th frame, and those of a new phase and of the end matter.
    It executes one control step at a time even if the environment could do whole chunks, so that
    there is something to see in between.
    """

    def __init__(
        self,
        env: StepEnv,
        take: Callable[[Frame], None],
        size: tuple[int, int],
        stride: int = 1,
    ) -> None:
        """Wrap an environment.

        Args:
            env: a `RenderableEnv` with n_envs = 1.
            take: called with every frame.
            size: height and width of the frames (pixels).
            stride: control steps from frame to frame.
        """
        self.env = env
        self.name, self.n_envs = env.name, env.n_envs
        self.observation_spec, self.action_spec = env.observation_spec, env.action_spec
        self.max_episode_steps = env.max_episode_steps
        self.control_rate_hz = env.control_rate_hz
        # What a policy that looks through cameras asks for.
        self.cameras: int = getattr(env, "cameras", 0)
        self.image_size_px: int = getattr(env, "image_size_px", 0)
        self._take, self._size, self._stride = take, size, stride
        self._step, self._phase = 0, 0

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Milestones of the task in order."""
        return self.env.phase_names

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start an episode and show its start."""
        observation = self.env.reset(env_ids, seeds)
        self._step, self._phase = 0, 0
        self._show(success=False, ended=False)
        return observation

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Advance by one control step and show it, if it is its turn or matters."""
        outcome = self.env.step(actions, active)
        if active[0]:
            self._step += 1
            phase = int(outcome.info["phase"][0])
            ended = bool(outcome.terminated[0] or outcome.truncated[0])
            turn = self._step % self._stride == 0
            new, self._phase = phase > self._phase, phase
            if turn or new or ended:
                self._show(bool(outcome.info["success"][0]), ended)
        return outcome

    def images(self) -> NDArray[np.uint8]:
        """What the policy's cameras see, see `PixelEnv`."""
        images: NDArray[np.uint8] = self.env.images()  # type: ignore[attr-defined]
        return images

    def close(self) -> None:
        """Release the environment."""
        self.env.close()

    def _show(self, success: bool, ended: bool) -> None:
        assert isinstance(self.env, RenderableEnv)
        image = self.env.render(0, *self._size)
        self._take(Frame(image, self._step, self._phase, success, ended))
