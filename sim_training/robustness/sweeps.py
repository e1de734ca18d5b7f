# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo robustness`: success over noise, error of the hole, age of poses and control rate."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dppo_ros import html_page
from dppo_ros.core.errors import ConfigError
from dppo_ros.html_page import Section
from sim_training.config import EvalConfig
from sim_training.config_file import to_plain
from sim_training.envs.make import EnvConfig
from sim_training.evaluation_result import EvaluationResult
from sim_training.robustness.conditions import SWEEPS, Condition
from sim_training.robustness.drawing import HEADINGS, row, summary, sweep_figure
from sim_training.robustness.measure import Measured, measure
from sim_training.robustness.subject import Subject, open_subject

REPORT = "robustness"
"""Stem of the files of the report."""


@dataclass(frozen=True)
class RobustnessConfig:
    """Measure how the success of a policy depends on what differs from training.

    Takes a policy bundle (no torch needed) or a run directory of a furniture task. Each setting
    below is one sweep: its values are tried one after the other, everything else stays as in
    training, and every value meets the same start states. `--hole-offset-mm` with nothing behind
    it leaves that sweep out. Finished evaluations are kept in the folder, so that a call which was
    interrupted, or got more values, goes on where it was.

    Writes robustness.html, robustness.json and one PNG for each sweep. Intervals are 95 % Wilson
    intervals; p compares the same episodes with those of the undisturbed cell (McNemar).

    Example: dppo robustness --policy config/bundles/one_leg_low --out reports/robustness
    """

    policy: Path = Path("config/bundles/one_leg_low")
    """Bundle folder, run directory or checkpoint folder."""
    out: Path = Path("reports/robustness")
    """Folder for the report and the finished evaluations."""
    part_noise_mm: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Noise of part positions, new at every step, mm per axis; at most 20."""
    part_bias_mm: tuple[float, ...] = ()
    """Error of part positions that stays all episode, mm per axis; at most 20. Not swept unless
    given."""
    hole_offset_mm: tuple[float, ...] = (1.0, 2.0, 3.5, 5.0, 7.0)
    """Constant error of the assumed hole, mm; at most 20."""
    latency_ms: tuple[float, ...] = (50.0, 100.0, 200.0, 400.0)
    """Age of part poses, ms; at most 500."""
    control_rate_hz: tuple[float, ...] = (5.0, 20.0)
    """Control steps per second, 2 to 50 with a period of whole 2 ms steps; training has 10."""
    env: EnvConfig | None = None
    """None: the task the policy was trained on."""
    eval: EvalConfig = field(default_factory=lambda: EvalConfig(n_episodes=50, n_envs=16))
    env_threads: int = 1
    """Simulation threads."""


def run_robustness(config: RobustnessConfig) -> Path:
    """Measure and write the report; returns the page.

    Raises:
        ConfigError: nothing to sweep, a value out of range, or a task that cannot be disturbed.
        BundleError, CheckpointError: the policy cannot be loaded.
    """
    wanted = {name: getattr(config, name) for name in SWEEPS if getattr(config, name)}
    if not wanted:
        raise ConfigError(f"nothing to sweep; give values for one of {', '.join(SWEEPS)}")
    subject = open_subject(config.policy, config.env)
    undisturbed = Condition("as in training", subject.env)
    plan = {name: SWEEPS[name].conditions(subject.env, values) for name, values in wanted.items()}
    everything = [undisturbed, *(one for conditions in plan.values() for one in conditions)]
    measured = measure(subject, everything, config.eval, config.env_threads, config.out)
    baseline, rest = measured[0], measured[1:]
    groups: dict[str, list[Measured]] = {}
    for name, conditions in plan.items():
        groups[name] = [_origin(name, baseline), *rest[: len(conditions)]]
        rest = rest[len(conditions) :]
    return _write(config, subject, baseline.result, groups)


def _origin(name: str, baseline: Measured) -> Measured:
    """The undisturbed cell as a point of a sweep."""
    env = baseline.condition.env
    value = env.control_rate_hz if name == "control_rate_hz" else 0.0
    return Measured(Condition(f"{value:g} {SWEEPS[name].unit}", env, value), baseline.result)


def _write(
    config: RobustnessConfig,
    subject: Subject,
    baseline: EvaluationResult,
    groups: dict[str, list[Measured]],
) -> Path:
    sections, document = [_what(config, subject)], _document(config, subject)
    for name, points in groups.items():
        sweep, ordered = SWEEPS[name], sorted(points, key=lambda p: p.condition.value)
        figure = sweep_figure(sweep, ordered)
        figure.savefig(config.out / f"{name}.png", dpi=110, metadata={"Software": None})
        rows = [row(point, baseline) for point in ordered]
        body = html_page.paragraph(sweep.note) + html_page.plot(figure)
        sections.append(Section(sweep.title, body + html_page.table(HEADINGS, rows)))
        document["sweeps"][name] = [summary(point, baseline) for point in ordered]
        print_table(sweep.title, rows)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    html_page.write_whole(config.out / f"{REPORT}.json", text)
    written = time.strftime("written %Y-%m-%d %H:%M")
    title = f"Robustness of {subject.name}"
    return html_page.write_page(config.out / f"{REPORT}.html", title, written, sections)


def _what(config: RobustnessConfig, subject: Subject) -> Section:
    first, count = config.eval.seed, config.eval.n_episodes
    text = (
        f"Task {subject.env.name}, randomness {subject.env.randomness}, {count} episodes per point "
        f"from the start seeds {first} to {first + count - 1}, the same for every point. lost and "
        "gained: episodes that only the undisturbed, or only the disturbed cell assembled; p: "
        "McNemar's exact test of them. Success is always judged on true poses."
    )
    return Section("What was measured", html_page.paragraph(text))


def _document(config: RobustnessConfig, subject: Subject) -> dict[str, Any]:
    return {
        "policy": subject.name,
        "identity": subject.identity,
        "env": to_plain(subject.env),
        "n_episodes": config.eval.n_episodes,
        "first_seed": config.eval.seed,
        "sweeps": {},
    }


def print_table(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print rows of `drawing.row`."""
    table = Table(title=title, title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
    for cells in rows:
        table.add_row(*cells)
    Console().print(table)
