# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves behind: its folders, the outcome of each step, and the HTML report."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dppo_ros import html_page
from dppo_ros.core.errors import BagError, DataError, EnvironmentUnavailableError
from dppo_ros.html_page import Section
from sim_training.report import bundle_section, read_evaluations, run_sections


@dataclass(frozen=True)
class Attempt:
    """One ROS 2 episode.

    Attributes:
        seed: Start state.
        assembled: Whether it ended assembled.
        wall_s: Wall time (s), start and stop of all nodes included.
        bag: Recording.
    """

    seed: int
    assembled: bool
    wall_s: float
    bag: Path


@dataclass(frozen=True)
class DemoFolders:
    """Where the demo puts things below its output folder."""

    root: Path

    @property
    def demonstrations(self) -> Path:
        """Recorded demonstrations."""
        return self.root / "demonstrations"

    @property
    def pretrain(self) -> Path:
        """Run directory of pre-training."""
        return self.root / "pretrain"

    @property
    def finetune(self) -> Path:
        """Run directory of fine-tuning."""
        return self.root / "finetune"

    @property
    def bundle(self) -> Path:
        """Bundle of the small policy."""
        return self.root / "bundle"

    @property
    def replay_json(self) -> Path:
        """Numbers of the replay."""
        return self.root / "replay.json"

    @property
    def replay_html(self) -> Path:
        """Page of the replay."""
        return self.root / "replay.html"

    @property
    def report(self) -> Path:
        """The report of the demo."""
        return self.root / "report.html"

    def bag(self, seed: int) -> Path:
        """Returns the recording of the episode with this seed."""
        return self.root / f"episode_seed{seed}"

    def outcomes(self) -> dict[str, str]:
        """Returns one line about what each finished step produced, by the title of the step."""
        found: dict[str, str] = {}
        if (self.demonstrations / "dataset.json").is_file():
            content = _read_json(self.demonstrations / "dataset.json")["metadata"]
            rate = content["expert_success_rate"]
            episodes = content["episodes"]
            found["record demonstrations"] = f"{episodes} episodes, expert succeeds in {rate:.0%}"
        for title, run in (
            ("evaluate pre-trained", self.pretrain),
            ("evaluate fine-tuned", self.finetune),
        ):
            for evaluation in read_evaluations(run):
                found[title] = evaluation.summary
        if self.replay_json.is_file():
            content = _read_json(self.replay_json)
            parity = _identical(content["observation_parity"])
            found["replay the recording"] = f"{parity} observations as live"
        if self.bundle.is_dir():
            size = sum(path.stat().st_size for path in self.bundle.iterdir())
            found["export bundle"] = f"{self.bundle.name}, {size / 1e6:.1f} MB"
        return found


def write_demo_report(
    folders: DemoFolders, attempts: Sequence[Attempt], times: Mapping[str, float]
) -> Path:
    """Writes the report of a demo and returns its path.

    Args:
        folders: Where the demo has put things.
        attempts: The ROS 2 episodes, in order.
        times: Wall time of each step (s), by title.
    """
    sections = [*_episode_sections(folders, attempts), *_training_sections(folders)]
    rows = [(title, f"{seconds:.0f} s") for title, seconds in times.items()]
    sections.append(Section("Time", html_page.table(("step", "wall time"), rows)))
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    written = time.strftime(f"written %Y-%m-%d %H:%M on {machine}")
    return html_page.write_page(folders.report, "dppo_ros demo", written, sections)


def _episode_sections(folders: DemoFolders, attempts: Sequence[Attempt]) -> Iterator[Section]:
    if not attempts:
        return
    rows = [
        (f"{a.seed}", "assembled" if a.assembled else "not assembled", f"{a.wall_s:.0f} s")
        for a in attempts
    ]
    yield Section(
        "The shipped policy over ROS 2",
        html_page.paragraph(
            "Closed loop over real ROS 2 topics: simulated cell, policy, command gate and "
            "recorder in processes of their own."
        )
        + html_page.table(("start state (seed)", "outcome", "wall time"), rows)
        + _film_strip(attempts[-1].bag),
    )
    yield Section("Replay of the recording", _replay_body(folders))


def _film_strip(bag: Path) -> str:
    from sim_training.filmstrip import film_strip

    try:
        png, caption = film_strip(bag)
    except (BagError, EnvironmentUnavailableError) as error:
        return html_page.paragraph(f"No pictures: {error}", note=True)
    return html_page.picture(png, caption)


def _replay_body(folders: DemoFolders) -> str:
    content = _read_json(folders.replay_json)
    rows = [
        (f"{name} identical live and replayed", _identical(content[f"{key}_parity"]))
        for name, key in (("observations", "observation"), ("chunks", "chunk"))
    ]
    for name, values in content["latency_ms"].items():
        if values["count"]:
            label = f"latency: {name.replace('_', ' ')}"
            rows.append((label, f"{values['median']:.1f} ms median, {values['p99']:.1f} ms p99"))
    for name, count in content["safety_interventions"].items():
        rows.append((f"safety gate: {name.replace('_', ' ')}", f"{count} times"))
    return html_page.table(("measure", "value"), rows) + html_page.link(
        folders.replay_html.name, "The whole replay, with plots per action dimension"
    )


def _identical(parity: Mapping[str, float]) -> str:
    return f"{parity['identical']} of {parity['common']}"


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object; run the command that wrote it again")
    return content


def _training_sections(folders: DemoFolders) -> Iterator[Section]:
    runs = [run for run in (folders.pretrain, folders.finetune) if run.is_dir()]
    if not runs:
        return
    yield Section(
        "The small training of this demo",
        html_page.paragraph(
            "Minutes of training on two processor cores: every step of the pipeline at work, not "
            "a result. Recipe and measurements of the shipped policy stand beside its bundle."
        ),
    )
    yield from run_sections(runs)
    if folders.bundle.is_dir():
        yield bundle_section(folders.bundle)
