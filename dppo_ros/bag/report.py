# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A replay as text lines, as JSON and as one self-contained HTML page."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dppo_ros import html_page
from dppo_ros.bag.comparison import Parity
from dppo_ros.bag.replay import ReplayResult
from dppo_ros.core.errors import BagError
from dppo_ros.core.rotations import FloatArray
from dppo_ros.html_page import Section

_STYLE = """
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:12px}
.cards{margin-top:24px}
.card{background:#fff;border:1px solid #e1e4ea;border-radius:8px;padding:14px 16px}
.card b{display:block;font-size:20px}.card span{color:#55606e;font-size:13px}
.good{border-left:4px solid #3a9d6e}.bad{border-left:4px solid #c8372d}
.flat{border-left:4px solid #c9ced6}
table,svg{width:100%}
th,td{text-align:right;padding:4px 8px}th:first-child,td:first-child{text-align:left}
"""


def to_json(result: ReplayResult) -> dict[str, object]:
    """Return every number of the report as JSON values."""
    manifest = result.bundle.manifest
    errors = np.abs(result.predicted - result.executed)
    return {
        "bag": str(result.bag),
        "bundle": manifest.name,
        "bundle_sha256": result.bundle_sha256,
        "recorded_with_this_bundle": result.same_bundle,
        "seed": result.seed,
        "recorded": dict(result.metadata),
        "compared_ticks": len(result.times_s),
        "action_error": {
            name: _distribution(errors[:, index]) for index, name in enumerate(result.action_names)
        },
        "goal_translation_error_m": _distribution(result.translation_errors_m),
        "goal_rotation_error_rad": _distribution(result.rotation_errors_rad),
        "observation_parity": asdict(result.observations),
        "chunk_parity": asdict(result.chunks),
        "refused_observations": dict(result.refused),
        "latency_ms": {name: _distribution(v) for name, v in result.latencies_ms.items()},
        "observation_age_s": _distribution(result.staleness_s),
        "safety_interventions": dict(result.interventions),
        "hold_goals": result.hold_goals,
        "hold_reasons": dict(result.rejections),
    }


def _distribution(values: FloatArray) -> dict[str, float | int]:
    if not len(values):
        return {"count": 0}
    percentiles = np.percentile(values, (50.0, 90.0, 99.0))
    return {
        "count": len(values),
        "mean": float(np.mean(values)),
        "median": float(percentiles[0]),
        "p90": float(percentiles[1]),
        "p99": float(percentiles[2]),
        "max": float(np.max(values)),
    }


def summary_lines(result: ReplayResult) -> list[str]:
    """Return the findings as lines of text."""
    manifest = result.bundle.manifest
    lines = [
        f"bag {result.bag}: outcome {result.metadata.get('outcome', 'unknown')}, seed "
        f"{result.seed}, bundle {manifest.name} ({_bundle_note(result.same_bundle)})",
        f"observations: {_parity_text(result.observations)}",
        f"chunks: {_parity_text(result.chunks)}",
        f"goals over {len(result.times_s)} ticks: median {_median(result.translation_errors_m):.2e}"
        f" m and {_median(result.rotation_errors_rad):.2e} rad from the executed ones",
    ]
    for name, values in result.latencies_ms.items():
        if values.size:
            stats = _distribution(values)
            lines.append(
                f"{name.replace('_', ' ')}: median {stats['median']:.2f} ms, "
                f"p99 {stats['p99']:.2f} ms, max {stats['max']:.2f} ms"
            )
    lines.append(
        f"safety interventions: {_counts_text(result.interventions)}; hold goals: "
        f"{result.hold_goals}; holds: {_counts_text(result.rejections)}; refused observations: "
        f"{_counts_text(result.refused)}"
    )
    return lines


def _bundle_note(same: bool | None) -> str:
    if same is None:
        return "the bag does not say with which it was recorded"
    return "the one recorded" if same else "NOT the one recorded, so chunks will differ"


def _parity_text(parity: Parity) -> str:
    if not parity.live:
        return f"{parity.replayed} replayed, none recorded live"
    verdict = "identical" if parity.identical == parity.common > 0 else "DIFFERENT"
    return (
        f"{parity.live} live, {parity.replayed} replayed, {parity.identical} of {parity.common} "
        f"common ones {verdict} (largest difference {parity.max_difference:.3g})"
    )


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def write_json(result: ReplayResult, path: Path) -> None:
    """Write the numbers.

    Raises:
        BagError: The file cannot be written.
    """
    _write(path, json.dumps(to_json(result), indent=2) + "\n")


def write_html(result: ReplayResult, path: Path) -> None:
    """Write one page that needs no other file.

    Raises:
        BagError: The file cannot be written.
    """
    from dppo_ros.bag.plots import actions_plot, errors_plot, latency_plot

    numbers = to_json(result)
    sections = [
        Section("Executed and replayed actions", actions_plot(result)),
        Section("Difference over time", errors_plot(result)),
        Section("Latency and staleness", latency_plot(result)),
        Section("Error per action component (raw units)", _table(numbers["action_error"])),
        Section("Latencies (ms)", _table(numbers["latency_ms"])),
        Section("Command side", html_page.paragraph(summary_lines(result)[-1])),
    ]
    text = html_page.page(
        f"Replay of {result.bundle.manifest.name}",
        f"{result.bag} · seed {result.seed} · {_bundle_note(result.same_bundle)}",
        sections,
        f"<div class=cards>{''.join(_cards(result))}</div>",
        _STYLE,
    )
    _write(path, text)


def _cards(result: ReplayResult) -> list[str]:
    command = result.latencies_ms["observation_to_command"]
    stats = _distribution(command)
    command_text = f"{stats['median']:.1f} / {stats['p99']:.1f} ms" if command.size else "-"
    outcome = result.metadata.get("outcome", "unknown")
    interventions = sum(result.interventions.values())
    return [
        _card(outcome, "outcome of the episode", _class(outcome == "succeeded", outcome)),
        _parity_card(result.observations, "live observation vectors reproduced"),
        _parity_card(result.chunks, "live chunks reproduced"),
        _card(command_text, "observation to command, median / p99", "flat"),
        _card(
            f"{_median(result.translation_errors_m) * 1e3:.2f} mm",
            "median distance to the executed goal",
            "flat",
        ),
        _card(str(interventions), "safety interventions", "bad" if interventions else "good"),
    ]


def _class(good: bool, text: str) -> str:
    return "flat" if text == "unknown" else "good" if good else "bad"


def _parity_card(parity: Parity, label: str) -> str:
    if not parity.live:
        return _card("not recorded", label, "flat")
    good = parity.identical == parity.live
    return _card(f"{parity.identical} of {parity.live}", label, "good" if good else "bad")


def _card(value: str, label: str, kind: str) -> str:
    return f"<div class='card {kind}'><b>{html.escape(value)}</b><span>{label}</span></div>"


def _table(rows: object) -> str:
    columns = ("count", "mean", "median", "p90", "p99", "max")
    assert isinstance(rows, dict)
    lines = [
        [name.replace("_", " ")] + [f"{stats[c]:.4g}" if c in stats else "-" for c in columns]
        for name, stats in rows.items()
    ]
    return html_page.table(("", *columns), lines)


def _write(path: Path, text: str) -> None:
    try:
        html_page.write_whole(path, text)
    except OSError as error:
        raise BagError(f"cannot write {path}: {error.strerror}") from error
