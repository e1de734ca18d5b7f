# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Films of evaluation episodes and a strip of the phases they reached (StepEnv.render, PyAV)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dppo_ros.core.errors import EnvironmentUnavailableError
from sim_training.envs.filmed import FilmedEnv, Frame
from sim_training.envs.protocol import RenderableEnv
from sim_training.pictures import Image, is_blank, join_pictures, label, shrink, to_png

if TYPE_CHECKING:
    from sim_training.envs.protocol import StepEnv
    from sim_training.evaluation_result import Episode

logger = logging.getLogger(__name__)
FILM_SIZE = (480, 640)
"""Height and width of the frames (pixels)."""
STRIP = "filmstrip.png"
_STRIP_WIDTH, _STRIP_COLUMNS = 400, 4
_MAX_FPS = 32.0
_SLOW_HZ = 15.0
"""Tasks with a slower control rate are shown at twice their speed."""
_GREEN, _GREY = (120, 220, 130), (190, 195, 205)


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
                "videos need the package av, which is not installed; install it or leave --video "
                "out"
            ) from error
        self._av = av
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", rate=round(frames_per_second))
        self._stream.pix_fmt = "yuv420p"
        self._sized = False

    def add(self, image: Image) -> None:
        """Append one (height, width, 3) RGB frame; all frames must have the first one's size."""
        if not self._sized:
            self._stream.height, self._stream.width = image.shape[:2]
            self._sized = True
        frame = self._av.VideoFrame.from_ndarray(image, format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Flush and close the file."""
        if self._sized:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


@dataclass
class Film:
    """One filmed episode.

    Attributes:
        seed: it was started with.
        phase_names: milestones of the task.
        control_rate_hz: control steps per second.
        moments: the first frame of each phase reached, labelled, then the last frame.
        captions: what they show.
        success: whether the filmed episode succeeded.
        phase: furthest phase.
        steps: control steps.
    """

    seed: int
    phase_names: tuple[str, ...]
    control_rate_hz: float
    moments: list[Image] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    success: bool = False
    phase: int = -1
    steps: int = 0

    def take(self, frame: Frame, add: Callable[[Image], None]) -> None:
        """Label a frame, pass it on, and keep it if it begins a phase or ends the episode.

        Raises:
            EnvironmentUnavailableError: the first frame shows nothing.
        """
        # Later ones may be blank: a cell that its simulator has lost is drawn black.
        if self.phase < 0 and is_blank(frame.image):
            raise EnvironmentUnavailableError(
                "the graphics driver draws empty pictures; dppo doctor says what to install"
            )
        name = self.phase_names[frame.phase]
        seconds = frame.step / self.control_rate_hz
        text = f"{seconds:.1f} s, step {frame.step}, {name}"
        outcome = "success" if frame.success else "not finished" if frame.ended else ""
        shown = label(frame.image, text, outcome, _GREEN if frame.success else _GREY)
        add(shown)
        if frame.phase > self.phase or frame.ended:
            self.moments.append(shrink(shown, _STRIP_WIDTH))
            self.captions.append(f"{seconds:.1f} s {name}")
        self.phase = max(self.phase, frame.phase)
        self.success, self.steps = frame.success, frame.step

    @property
    def caption(self) -> str:
        """What the strip shows, in one line."""
        outcome = "succeeded" if self.success else "did not succeed"
        return (
            f"Seed {self.seed}, {outcome} after {self.steps} steps. Left to right, top down: "
            f"{', '.join(self.captions)}"
        )


def film_pace(control_rate_hz: float) -> tuple[int, float]:
    """Returns control steps per frame and frames per second of a film of a task.

    Slow tasks are shown at twice their speed, fast ones at their own with fewer frames.
    """
    if control_rate_hz <= _SLOW_HZ:
        return 1, 2.0 * control_rate_hz
    stride = max(1, round(control_rate_hz / _MAX_FPS))
    return stride, control_rate_hz / stride


def film_episodes(
    make_env: Callable[[], StepEnv],
    run_episode: Callable[[FilmedEnv, int], object],
    seeds: Sequence[int],
    folder: Path,
) -> list[Film]:
    """Runs episodes again, one at a time, and writes one MP4 each: episode_SEED.mp4.

    Args:
        make_env: returns the task with one environment.
        run_episode: runs one episode in an environment, from a seed.
        seeds: of the episodes.
        folder: where the files go.

    Raises:
        EnvironmentUnavailableError: the task or this machine cannot draw, or PyAV is missing.
    """
    env = make_env()
    if not isinstance(env, RenderableEnv):
        raise EnvironmentUnavailableError(f"task {env.name!r} has no pictures to film")
    stride, pace = film_pace(env.control_rate_hz)
    films = []
    try:
        for seed in seeds:
            path = folder / f"episode_{seed}.mp4"
            film = Film(seed, env.phase_names, env.control_rate_hz)
            writer = VideoWriter(path, pace)
            try:
                filmed = FilmedEnv(env, _taker(film, writer), FILM_SIZE, stride)
                run_episode(filmed, seed)
            except BaseException:
                writer.close()
                path.unlink(missing_ok=True)
                raise
            writer.close()
            films.append(film)
    finally:
        env.close()
    return films


def _taker(film: Film, writer: VideoWriter) -> Callable[[Frame], None]:
    return lambda frame: film.take(frame, writer.add)


def furthest(films: Sequence[Film]) -> Film:
    """Returns the film that shows most: of a success, else of the furthest phase; ties: first."""
    return max(films, key=lambda film: (film.success, film.phase))


def film_report(films: Sequence[Film], episodes: Sequence[Episode], folder: Path) -> dict[str, Any]:
    """Writes the strip of the film that shows most; returns what evaluation.json says about films.

    A filmed episode is run on its own; where the simulator or rounding makes it end otherwise than
    the evaluated one, both outcomes are told.
    """
    evaluated = {episode.seed: episode.success for episode in episodes}
    best = furthest(films)
    sheet = join_pictures(best.moments, _STRIP_COLUMNS)
    (folder / STRIP).write_bytes(to_png(sheet))
    return {
        "strip": STRIP,
        "caption": best.caption,
        "episodes": [
            {
                "seed": film.seed,
                "file": f"episode_{film.seed}.mp4",
                "success": film.success,
                "success_evaluated": evaluated.get(film.seed),
                "steps": film.steps,
                "phase": film.phase_names[film.phase],
            }
            for film in films
        ],
    }
