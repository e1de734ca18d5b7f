# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Films and strips of evaluation episodes; a film that fails costs nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dppo_ros.core.errors import EnvironmentUnavailableError
from sim_training import video
from sim_training.command_words import spell_out_video
from sim_training.config import EvalConfig, EvaluateConfig
from sim_training.envs.filmed import FilmedEnv, Frame
from sim_training.envs.protocol import ChunkSteppable, RenderableEnv, StepEnv, StepOutcome
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv
from sim_training.evaluate import run_evaluate
from sim_training.pictures import is_blank, label, shrink
from sim_training.report import read_evaluation
from sim_training.video import Film, film_episodes, film_pace, furthest


class ToyInChunks(ToyReachEnv):
    """Like the simulators that execute whole chunks."""

    def step_chunk(self, actions: object, active: object) -> list[StepOutcome]:
        raise AssertionError("a filmed environment is stepped")


def toy_frames(stride: int, seed: int = 3) -> tuple[list[Frame], int]:
    """Frames of an episode that goes straight to the goal, and its length."""
    env = ToyInChunks(ToyReachConfig(), 1)
    frames: list[Frame] = []
    filmed = FilmedEnv(env, frames.append, (24, 32), stride)
    assert isinstance(filmed, StepEnv) and not isinstance(filmed, ChunkSteppable)
    goal = filmed.reset(np.array([0]), np.array([seed]))[:, 2:]
    for step in range(1, 41):
        outcome = filmed.step(goal, np.array([True]))
        if outcome.terminated[0]:
            return frames, step
    raise AssertionError("the goal was not reached")


def test_every_frame_of_a_slow_task_is_shown() -> None:
    frames, steps = toy_frames(1)
    assert [frame.step for frame in frames] == list(range(steps + 1))
    assert frames[0].phase == 0 and frames[-1].phase == 2
    assert frames[-1].success and frames[-1].ended and not frames[-2].ended
    assert frames[0].image.shape == (24, 32, 3)


def test_fewer_frames_still_show_new_phases_and_the_end() -> None:
    every, steps = toy_frames(1)
    near = next(frame.step for frame in every if frame.phase == 1)
    few, _ = toy_frames(100)
    assert [frame.step for frame in few] == [0, near, steps]


def test_inactive_environments_are_not_filmed() -> None:
    frames: list[Frame] = []
    filmed = FilmedEnv(ToyReachEnv(ToyReachConfig(), 1), frames.append, (24, 32))
    filmed.reset(np.array([0]), np.array([0]))
    filmed.step(np.zeros((1, 2), np.float32), np.array([False]))
    assert len(frames) == 1


@pytest.mark.parametrize(
    ("rate_hz", "stride", "fps"), [(10.0, 1, 20.0), (20.0, 1, 20.0), (125.0, 4, 31.25)]
)
def test_pace_of_films(rate_hz: float, stride: int, fps: float) -> None:
    assert film_pace(rate_hz) == (stride, fps)


def test_the_film_that_shows_most_makes_the_strip() -> None:
    films = [Film(seed, ("a", "b", "c"), 10.0, phase=phase) for seed, phase in enumerate((0, 1, 1))]
    assert furthest(films).seed == 1
    films[2].success = True
    assert furthest(films).seed == 2


def test_labels_cover_only_the_upper_edge_and_blank_pictures_are_noticed() -> None:
    image = np.full((120, 160, 3), 200, np.uint8)
    assert is_blank(image)
    shown = label(image, "text", "right")
    assert not is_blank(shown) and is_blank(image)
    assert (shown[40:] == 200).all() and (shown[0, 80] != 200).all()
    assert shrink(shown, 40).shape == (30, 40, 3) and shrink(shown, 200) is shown
    with pytest.raises(EnvironmentUnavailableError, match="empty pictures"):
        Film(0, ("a",), 10.0).take(Frame(image, 0, 0, False), lambda _: None)


def test_short_form_of_the_option() -> None:
    assert spell_out_video(["--policy", "x", "--video"])[2:] == ["--eval.video-episodes", "1"]
    assert spell_out_video(["--video", "3"]) == ["--eval.video-episodes", "3"]
    assert spell_out_video(["--video=3"]) == ["--eval.video-episodes", "3"]
    words = spell_out_video(["--video", "--policy", "x"])
    assert words == ["--eval.video-episodes", "1", "--policy", "x"]


def test_evaluation_with_films_strip_and_caption(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = EvalConfig(n_episodes=3, n_envs=3, video_episodes=2)
    folder = tmp_path / "run" / "checkpoint"
    assert run_evaluate(EvaluateConfig(policy=pretrained, eval=evaluation, out=folder)) == 0
    content = json.loads((folder / "evaluation.json").read_text())
    films = content["film"]["episodes"]
    assert [film["seed"] for film in films] == [100_000, 100_001]
    for film, episode in zip(films, content["episodes"], strict=False):
        assert film["success"] == film["success_evaluated"] == episode["success"]
        assert film["steps"] == episode["steps"]
        with av.open(str(folder / film["file"])) as container:
            frames = list(container.decode(video=0))
        assert len(frames) == film["steps"] + 1
        assert (frames[0].height, frames[0].width) == video.FILM_SIZE
    strip = np.asarray(Image.open(folder / content["film"]["strip"]))
    assert not is_blank(strip) and strip.shape[0] % 300 < 30
    assert "0.0 s start" in content["film"]["caption"]
    shown = read_evaluation(folder / "evaluation.json", "run")
    assert shown.strip == folder / "filmstrip.png"
    assert shown.strip_caption == content["film"]["caption"]
    assert "filmstrip.png" in capsys.readouterr().out


def test_a_film_that_fails_leaves_the_evaluation(
    pretrained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the codec gave up")

    monkeypatch.setattr(video.VideoWriter, "add", fail)
    evaluation = EvalConfig(n_episodes=2, n_envs=2, video_episodes=1)
    assert run_evaluate(EvaluateConfig(policy=pretrained, eval=evaluation, out=tmp_path)) == 0
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["n_episodes"] == 2 and "film" not in content
    assert "no video: the codec gave up" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation.json"]


def test_a_task_without_pictures_is_named(tmp_path: Path) -> None:
    class Unseen:
        name = "unseen"

    assert not isinstance(Unseen(), RenderableEnv)
    with pytest.raises(EnvironmentUnavailableError, match="task 'unseen' has no pictures"):
        film_episodes(Unseen, lambda _env, _seed: None, [0], tmp_path)  # type: ignore[arg-type]
