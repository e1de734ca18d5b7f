# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo report`: one self-contained HTML page about training runs, evaluations and a bundle.

Reads what the other commands wrote (metrics.jsonl, evaluation.json, bundle.json) and measures
nothing itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dppo_ros import html_page
from dppo_ros.core.errors import ConfigError, DataError
from dppo_ros.html_page import Section
from sim_training.metrics import BC_LOSS, VALUE_LOSS, read_metrics
from sim_training.phase_chart import draw_phases

_CURVES = (
    ("loss", (BC_LOSS, "losses/validation")),
    ("success rate", ("charts/success_rate", "eval/success_rate")),
    ("return per episode", ("charts/episodic_return",)),
    ("approximate KL", ("losses/approx_kl",)),
    ("value loss", (VALUE_LOSS,)),
    ("explained variance", ("losses/explained_variance",)),
)
"""Plots of a run: title, and the metrics drawn in it where the run has them."""


@dataclass(frozen=True)
class ReportConfig:
    """Write one HTML page about training runs, a policy bundle and a recorded episode."""

    runs: tuple[Path, ...] = ()
    """Run directories of `dppo pretrain` and `dppo finetune`."""
    evaluations: tuple[Path, ...] = ()
    """evaluation.json files of `dppo eval --out` besides those in the run directories."""
    bundle: Path | None = None
    """Policy bundle to describe; the evaluation it carries stands beside the others."""
    bag: Path | None = None
    """Recorded episode of the simulated cell, drawn as a film strip."""
    picture: Path | None = None
    """PNG file for the film strip alone."""
    title: str = "dppo_ros report"
    """Of the page."""
    out: Path = Path("report.html")
    """HTML file to write."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation.json says.

    Attributes:
        label: Run and checkpoint.
        successes, n_episodes: Count of assembled episodes and of all.
        interval: 95 % Wilson interval of the success rate.
        mean_steps_success: Control steps of the successful episodes.
        phase_reached: Share of episodes that reached at least each phase.
        strip: PNG file with the phases of a filmed episode, if one was filmed.
        strip_caption: What it shows.
    """

    label: str
    successes: int
    n_episodes: int
    interval: tuple[float, float]
    mean_steps_success: float
    phase_reached: dict[str, float]
    strip: Path | None = None
    strip_caption: str = ""

    @property
    def summary(self) -> str:
        """The result in one line."""
        low, high = self.interval
        rate = self.successes / max(self.n_episodes, 1)
        return (
            f"{self.successes} of {self.n_episodes} assembled ({rate:.0%}, "
            f"95 % interval {low:.0%} to {high:.0%})"
        )


def write_report(config: ReportConfig) -> Path:
    """Writes the page and returns its path.

    Raises:
        ConfigError: There is nothing to report.
        DataError: A run directory or bundle lacks the files of one.
        BagError: The bag does not hold the states of the simulated cell.
        EnvironmentUnavailableError: There is no off-screen OpenGL to draw the episode with.
    """
    if not (config.runs or config.evaluations or config.bundle or config.bag):
        raise ConfigError(
            "nothing to report; give --runs FOLDER ..., --evaluations FILE ..., --bundle FOLDER or "
            "--bag FOLDER"
        )
    if config.picture is not None and config.bag is None:
        raise ConfigError(f"picture is {config.picture} but there is no --bag to draw")
    others = [read_evaluation(path, path.parent.parent.name) for path in config.evaluations]
    if config.bundle is not None:
        others += bundle_evaluation(config.bundle)
    sections = list(run_sections(config.runs, others))
    if config.bundle is not None:
        sections.append(bundle_section(config.bundle))
    if config.bag is not None:
        sections.append(_episode_section(config.bag, config.picture))
    written = time.strftime("written %Y-%m-%d %H:%M")
    return html_page.write_page(config.out, config.title, written, sections)


def _episode_section(bag: Path, picture: Path | None) -> Section:
    # Imported here: everything else in a report needs neither MuJoCo nor a graphics driver.
    from sim_training.filmstrip import film_strip

    png, caption = film_strip(bag)
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(png)
    return Section(f"Episode: {bag.name}", html_page.picture(png, caption))


def run_sections(runs: Sequence[Path], others: Sequence[Evaluation] = ()) -> Iterator[Section]:
    """Yields the evaluations of all runs and others side by side, then the curves of each run."""
    evaluations = [*(found for run in runs for found in read_evaluations(run)), *others]
    if evaluations:
        yield Section("Evaluation", evaluation_body(evaluations))
    for run in runs:
        yield Section(f"Training: {run.name}", curves_body(run))


def read_evaluations(run: Path) -> list[Evaluation]:
    """Returns every evaluation in a run directory, by checkpoint name.

    Raises:
        DataError: An evaluation.json cannot be read.
    """
    return [read_evaluation(path, run.name) for path in sorted(run.glob("eval/*/evaluation.json"))]


def read_evaluation(path: Path, run_name: str) -> Evaluation:
    """Returns one evaluation.

    Raises:
        DataError: The file is not what `dppo eval` writes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entry = _evaluation(content, f"{run_name} / {path.parent.name}")
        film = content.get("film")
        strip = None if film is None else path.parent / film["strip"]
        if strip is None or not strip.is_file():
            return entry
        return replace(entry, strip=strip, strip_caption=str(film["caption"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not an evaluation ({error}); run dppo eval again") from error


def bundle_evaluation(folder: Path) -> list[Evaluation]:
    """Returns the evaluation that a bundle carries, if it carries one.

    Raises:
        DataError: There is no readable bundle.json.
    """
    content = _read_manifest(folder).get("evaluation")
    try:
        return [] if content is None else [_evaluation(content, f"bundle {folder.name}")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"the evaluation in {folder} cannot be read ({error}); export the policy again"
        ) from error


def _evaluation(content: Mapping[str, Any], label: str) -> Evaluation:
    low, high = content["wilson_95"]
    return Evaluation(
        label,
        int(content["successes"]),
        int(content["n_episodes"]),
        (float(low), float(high)),
        float(content["mean_steps_success"]),
        {str(name): float(share) for name, share in content["phase_reached"].items()},
    )


def evaluation_body(evaluations: Sequence[Evaluation]) -> str:
    """Returns the tables of success and of progress per phase."""
    rows = [
        (
            entry.label,
            f"{entry.successes} / {entry.n_episodes}",
            f"{entry.successes / max(entry.n_episodes, 1):.1%}",
            f"{entry.interval[0]:.1%} to {entry.interval[1]:.1%}",
            f"{entry.mean_steps_success:.0f}" if entry.successes else "none",
        )
        for entry in evaluations
    ]
    headings = ("policy", "assembled", "rate", "95 % Wilson interval", "steps when assembled")
    names = list(dict.fromkeys(name for e in evaluations for name in e.phase_reached))
    progress = [
        (entry.label, *(f"{entry.phase_reached.get(name, 0.0):.0%}" for name in names))
        for entry in evaluations
    ]
    return (
        html_page.table(headings, rows)
        + html_page.paragraph("Share of episodes that came at least as far:")
        + html_page.table(("policy", *names), progress)
        + "".join(html_page.plot(figure) for figure in draw_phases(evaluations))
        + "".join(
            html_page.picture(entry.strip.read_bytes(), f"{entry.label}: {entry.strip_caption}")
            for entry in evaluations
            if entry.strip is not None
        )
    )


def curves_body(run: Path) -> str:
    """Returns the plots of a run's metrics.

    Raises:
        DataError: The run has no metrics.
    """
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise DataError(f"no {path}; give a run directory of dppo pretrain or dppo finetune")
    rows = read_metrics(path)
    present = [
        (title, [name for name in names if any(name in row for row in rows)])
        for title, names in _CURVES
    ]
    drawn = [(title, names) for title, names in present if names]
    if not drawn:
        return html_page.paragraph("The run has not logged anything yet.", note=True)
    return html_page.plot(_draw(drawn, rows))


def _draw(drawn: list[tuple[str, list[str]]], rows: list[dict[str, Any]]) -> html_page.Figure:
    # Not pyplot: a report must neither need a display nor keep figures alive.
    from matplotlib.figure import Figure

    columns = min(3, len(drawn))
    lines = -(-len(drawn) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.5 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis, (title, names) in zip(axes, drawn, strict=False):
        for name in names:
            points = [(row["iteration"], row[name]) for row in rows if name in row]
            marker = "o" if len(points) < 20 else ""
            axis.plot(*zip(*points, strict=True), marker=marker, markersize=3, label=name)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("iteration", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        if len(names) > 1:
            axis.legend(fontsize=7)
    for axis in axes[len(drawn) :]:
        axis.remove()
    return figure


def bundle_section(folder: Path) -> Section:
    """Returns what a bundle says about itself.

    Raises:
        DataError: There is no readable bundle.json.
    """
    content = _read_manifest(folder)
    shown = ("name", "task", "simulator", "horizon_steps", "act_steps", "control_rate_hz")
    rows = [(key.replace("_", " "), content[key]) for key in shown if key in content]
    denoising = content.get("denoising")
    if isinstance(denoising, dict):
        rows += [(key.replace("_", " "), value) for key, value in denoising.items()]
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    rows.append(("size", f"{size / 1e6:.1f} MB"))
    return Section(f"Policy bundle: {folder.name}", html_page.table(("property", "value"), rows))


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "bundle.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); give a folder of dppo export") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object; give a folder of dppo export")
    return content
