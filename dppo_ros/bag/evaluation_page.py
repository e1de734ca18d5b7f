# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation as one self-contained HTML page."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dppo_ros import html_page
from dppo_ros.bag import evaluation_plots as plots
from dppo_ros.bag.evaluation import Cell, Contender, Evaluation
from dppo_ros.bag.evaluation_numbers import (
    cells_of,
    component_errors,
    distribution,
    phase_values,
    summed,
    to_json,
)
from dppo_ros.bag.outliers import worst
from dppo_ros.core.errors import BagError
from dppo_ros.core.rotations import FloatArray
from dppo_ros.html_page import Section, paragraph

_STYLE = """
main{max-width:1080px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:12px}
.cards{margin-top:24px}
.card{background:#fff;border:1px solid #e1e4ea;border-radius:8px;padding:14px 16px}
.card b{display:block;font-size:20px}.card span{color:#55606e;font-size:13px}
.card i{display:block;font-style:normal;font-weight:600;margin-bottom:6px}
.heat td{text-align:right;padding:4px 8px;border-bottom:2px solid #fff}
.heat th{padding:4px 8px}.heat td:first-child{text-align:left}
table,svg{width:100%}
.key{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:6px}
"""
_HEAT = (228, 87, 46)
_WORST = 8


def write_page(evaluation: Evaluation, path: Path) -> None:
    """Write the page.

    Raises:
        BagError: The file cannot be written.
    """
    sections = [
        Section("What was compared", _overview(evaluation)),
        Section("Error by step of the chunk", _horizon(evaluation)),
        Section("Error of every action component", _components(evaluation)),
        Section("Error by phase of the task", _phases(evaluation)),
        Section("Over time, bag by bag", _timelines(evaluation)),
        Section("Out of distribution", _outliers(evaluation)),
        Section("Latency", plots.latency_plot(evaluation)),
        Section("Safety", _safety(evaluation)),
    ]
    if evaluation.successes:
        note = "A bag says how the bundle did that ran; the others only watched."
        body = plots.success_plot(evaluation) + paragraph(note, note=True)
        sections.insert(1, Section("Success", body))
    if evaluation.pairs:
        note = (
            "Every bag is its own control: the same observations, the same noise seed. The bar is "
            "the 95 % interval of the mean (bootstrap over bags); it is red when it excludes zero "
            "and the sign test agrees."
        )
        body = plots.pairs_plot(evaluation) + paragraph(note, note=True)
        sections.insert(2, Section("Bundle against bundle", body))
    text = html_page.page(
        "Offline evaluation",
        f"{len(evaluation.contenders)} bundles over {len(evaluation.episodes)} bags · noise seed "
        f"{evaluation.seed}",
        sections,
        f"<div class=cards>{''.join(_cards(evaluation))}</div>",
        _STYLE,
    )
    try:
        html_page.write_whole(path, text)
    except OSError as error:
        raise BagError(f"cannot write {path}: {error.strerror}") from error


def write_numbers(evaluation: Evaluation, path: Path) -> None:
    """Write the numbers as JSON.

    Raises:
        BagError: The file cannot be written.
    """
    try:
        html_page.write_whole(path, json.dumps(to_json(evaluation), indent=1) + "\n")
    except OSError as error:
        raise BagError(f"cannot write {path}: {error.strerror}") from error


def _cards(evaluation: Evaluation) -> list[str]:
    cards = []
    for index, contender in enumerate(evaluation.contenders):
        cells = cells_of(evaluation, contender)
        far = distribution(np.concatenate([c.errors.translation_m for c in cells]))
        scores = np.concatenate([c.observations.scores for c in cells])
        key = f"<span class=key style='background:{plots.colour(index)}'></span>"
        cards.append(
            f"<div class=card><i>{key}{html.escape(contender.label)}</i>"
            f"<b>{far['median'] * 1e3:.2f} mm</b>"
            "<span>median distance to the executed goal; "
            f"{np.mean(scores > 0):.0%} of observations outside of training</span></div>"
        )
    return cards


def _overview(evaluation: Evaluation) -> str:
    headings = ("bag", "outcome", "success", "recorded with", *_labels(evaluation))
    rows = [
        (
            episode.label,
            episode.identity.outcome,
            episode.identity.success,
            episode.recorded_with or "unknown",
            *(
                f"{evaluation.cells[episode.label, name].translation_m * 1e3:.2f}"
                for name in _labels(evaluation)
            ),
        )
        for episode in evaluation.episodes
    ]
    note = (
        "Numbers are the median distance (mm) between the tool goal that a bundle would have sent "
        "and the one that was executed. Each policy saw the recorded observations; what it would "
        "have caused did not happen. The noise differs from the recorded one, so the bundle that "
        "ran shows the spread of its own samples, not zero."
    )
    return html_page.table(headings, rows) + paragraph(note, note=True)


def _horizon(evaluation: Evaluation) -> str:
    note = (
        "Every bundle is asked at every control tick; step h is compared with what was executed h "
        "ticks later, so the rhythm in which a bundle is asked plays no part here."
    )
    return plots.horizon_plot(evaluation) + paragraph(note, note=True)


def _components(evaluation: Evaluation) -> str:
    manifest = evaluation.contenders[0].bundle.manifest
    units = [field.unit for field in manifest.action.fields for _ in range(field.size)]
    names = [name.replace("tool_goal_", "") for name in manifest.action.component_names]
    scale = [1e3 if unit == "m" else 1.0 for unit in units]
    shown = ["mm" if unit == "m" else unit for unit in units]
    table = _heat(
        [f"{name} ({unit})" for name, unit in zip(names, shown, strict=True)],
        {c.label: component_errors(cells_of(evaluation, c)) * scale for c in evaluation.contenders},
    )
    return (
        paragraph("Mean absolute error of what would have been sent, and below it by step:")
        + table
        + plots.components_plot(evaluation)
    )


def _phases(evaluation: Evaluation) -> str:
    found = {c.label: phase_values(cells_of(evaluation, c)) for c in evaluation.contenders}
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    medians = {
        label: np.array([
            1e3 * float(distribution(values.get(name, np.zeros(0))).get("median", np.nan))
            for name in names
        ])
        for label, values in found.items()
    }  # fmt: skip
    return plots.phases_plot(evaluation) + paragraph("Median, mm:") + _heat(names, medians)


def _timelines(evaluation: Evaluation) -> str:
    note = "Distance to the executed goal (mm). Bands are phases of the task."
    return plots.timelines_plot(evaluation) + paragraph(note, note=True)


def _outliers(evaluation: Evaluation) -> str:
    note = (
        "The score of an observation is the largest excess of a component over its training "
        "range, in half-ranges: 0 is inside, 1 is as far outside as the middle of the range is "
        "from its edge. Actions count as outside when a component leaves the range of the "
        "training actions. Unusual combinations of usual values are not seen."
    )
    parts = [plots.outliers_plot(evaluation), paragraph(note, note=True)]
    for contender in evaluation.contenders:
        rows = _worst_rows(cells_of(evaluation, contender), contender)
        title = f"Components of {contender.label} that are outside most often"
        empty = paragraph(f"{contender.label}: every observation lies inside its training range.")
        headings = ("component", "share of observations", "largest excess (half-ranges)")
        parts.append(paragraph(title) + html_page.table(headings, rows) if rows else empty)
    return "".join(parts)


def _worst_rows(cells: Sequence[Cell], contender: Contender) -> list[tuple[str, str, str]]:
    weights = np.array([len(cell.loop.stamps_ns) for cell in cells], dtype=np.float64)
    share = np.average(
        [cell.observations.component_share for cell in cells], axis=0, weights=weights
    )
    excess = np.max([cell.observations.component_excess for cell in cells], axis=0)
    names = contender.bundle.manifest.observation.component_names
    return [
        (name, f"{part:.1%}", f"{most:.2f}")
        for name, part, most in worst(names, share, excess, _WORST)
    ]


def _safety(evaluation: Evaluation) -> str:
    recorded = summed([episode.interventions for episode in evaluation.episodes])
    columns: dict[str, Mapping[str, int]] = {"recorded": recorded}
    for contender in evaluation.contenders:
        cells = cells_of(evaluation, contender)
        columns[f"{contender.label} would cause"] = summed([c.interventions for c in cells])
    kinds = sorted({kind for counts in columns.values() for kind in counts})
    holds = summed([episode.holds for episode in evaluation.episodes])
    refused = summed([episode.refused for episode in evaluation.episodes])
    table = html_page.table(
        ("intervention of the gate", *columns),
        [(kind, *(counts.get(kind, 0) for counts in columns.values())) for kind in kinds],
    )
    lines = [
        f"Holds while recording: {_counts(holds)}.",
        f"Observations refused while recording: {_counts(refused)}.",
        "What a bundle would cause is judged with the recorded limits against the tool poses that "
        "were measured, action by action.",
    ]
    nothing = paragraph("The gate changed nothing and would change nothing.")
    return (table if kinds else nothing) + "".join(paragraph(line, note=True) for line in lines)


def _heat(headings: Sequence[str], rows: Mapping[str, FloatArray]) -> str:
    """Return a table whose cells are the redder the larger they are within their column."""
    values = np.array(list(rows.values()))
    largest = np.nanmax(np.where(np.isfinite(values), values, 0.0), axis=0)
    head = "".join(f"<th>{html.escape(text)}</th>" for text in ("bundle", *headings))
    body = ""
    for label, numbers in rows.items():
        cells = "".join(
            _heat_cell(number, most) for number, most in zip(numbers, largest, strict=True)
        )
        body += f"<tr><td>{html.escape(label)}</td>{cells}</tr>"
    return f"<table class=heat><tr>{head}</tr>{body}</table>"


def _heat_cell(number: float, largest: float) -> str:
    if not np.isfinite(number):
        return "<td>-</td>"
    strength = 0.55 * number / largest if largest > 0 else 0.0
    red, green, blue = _HEAT
    return f"<td style='background:rgba({red},{green},{blue},{strength:.3f})'>{number:.3g}</td>"


def _labels(evaluation: Evaluation) -> list[str]:
    return [contender.label for contender in evaluation.contenders]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
