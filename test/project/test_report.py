# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reports show the numbers that were written, stand alone, and never appear half-written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dppo_ros import html_page
from dppo_ros.core.errors import ConfigError, DataError
from sim_training.evaluation_result import Episode, EvaluationResult
from sim_training.metrics import BC_LOSS
from sim_training.phase_chart import draw_phases
from sim_training.report import Evaluation, ReportConfig, read_evaluation, write_report


def make_run(folder: Path, successes: int = 7, episodes: int = 10) -> Path:
    """Writes what a training run and `dppo eval` leave behind."""
    folder.mkdir(parents=True)
    rows = [{"iteration": i, BC_LOSS: 1.0 / i} for i in range(1, 6)]
    rows.append({"iteration": 6, "charts/success_rate": 0.5})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    done = tuple(Episode(i, i < successes, 2 * (i < successes), 50, 1.0) for i in range(episodes))
    result = EvaluationResult("one_leg", ("start", "grasped", "assembled"), done, 1.0)
    path = folder / "eval" / "step_0006" / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result.to_json()), encoding="utf-8")
    return folder


def test_page_holds_the_evaluation_with_its_interval_and_the_curves(tmp_path: Path) -> None:
    run = make_run(tmp_path / "my_run")
    page = write_report(ReportConfig(runs=(run,), out=tmp_path / "new" / "page.html"))
    text = page.read_text(encoding="utf-8")
    assert "my_run / step_0006" in text
    assert "7 / 10" in text and "70.0%" in text
    # Wilson interval of 7 out of 10, worked out by hand: 0.397 to 0.892
    assert "39.7% to 89.2%" in text
    # The curves, and how far episodes came.
    assert text.count("<svg") == 2
    assert not list(page.parent.glob("*.part"))


def test_page_is_self_contained(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    text = write_report(ReportConfig(runs=(run,), out=tmp_path / "page.html")).read_text()
    assert not re.findall(r"<(?:script|link|iframe)\b", text)
    assert not re.findall(r'\bsrc="(?!data:)', text)


def test_nothing_to_report_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to report"):
        write_report(ReportConfig())
    with pytest.raises(ConfigError, match="no --bag"):
        write_report(ReportConfig(bundle=Path("b"), picture=Path("p.png")))


def test_folder_that_is_no_run_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.jsonl"):
        write_report(ReportConfig(runs=(tmp_path,), out=tmp_path / "page.html"))
    assert not (tmp_path / "page.html").exists()


def test_damaged_evaluation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text('{"successes": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="run dppo eval again"):
        read_evaluation(path, "run")


def test_text_is_escaped_everywhere(tmp_path: Path) -> None:
    sections = [
        html_page.Section("<b>", html_page.paragraph("<i>") + html_page.table(["<u>"], [["<s>"]]))
    ]
    text = html_page.write_page(tmp_path / "p.html", "<t>", "<s>", sections).read_text()
    assert not re.findall(r"<(?:b|i|u|s|t)>", text)
    assert "&lt;b&gt;" in text


def test_numbers_align_right_and_words_do_not() -> None:
    shown = html_page.table(["a", "b", "c"], [["1.5 s", "word", "-3"]])
    assert shown.count("<td class=number>") == 2


def test_plots_and_pictures_are_embedded() -> None:
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    assert html_page.plot(figure, "caption").startswith("<figure><svg")
    shown = html_page.picture(b"\x89PNG", 'a "b"')
    assert "data:image/png;base64,iVBORw==" in shown and "&quot;b&quot;" in shown


def test_evaluations_of_runs_and_a_bundle_stand_side_by_side(tmp_path: Path) -> None:
    run = make_run(tmp_path / "before", successes=3)
    path = next(run.glob("eval/*/evaluation.json"))
    strip = path.with_name("filmstrip.png")
    strip.write_bytes(b"\x89PNG")
    content = json.loads(path.read_text())
    bundle = tmp_path / "after"
    bundle.mkdir()
    manifest = {"name": "n", "evaluation": {**content, "successes": 9}}
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    content["film"] = {"strip": strip.name, "caption": "what is shown"}
    path.write_text(json.dumps(content), encoding="utf-8")
    out = tmp_path / "page.html"
    text = write_report(ReportConfig(runs=(run,), bundle=bundle, out=out)).read_text()
    assert "3 / 10" in text and "9 / 10" in text and "bundle after" in text
    assert "before / step_0006: what is shown" in text and "base64,iVBORw==" in text
    # Side by side in one chart: two bars for each of three phases.
    assert text.count("<svg") == 2
    alone = write_report(ReportConfig(evaluations=(path,), out=out)).read_text()
    assert "eval / step_0006" in alone and alone.count("<svg") == 1
    strip.unlink()
    assert read_evaluation(path, "run").strip is None


def test_charts_hold_a_bar_for_each_evaluation_and_phase() -> None:
    phases = {"start": 1.0, "grasped": 0.5, "assembled": 0.25}
    entries = [Evaluation(name, 1, 4, (0.0, 1.0), 1.0, phases) for name in ("a", "b")]
    other = Evaluation("c", 1, 4, (0.0, 1.0), 1.0, {"start": 1.0, "near": 0.5})
    figures = draw_phases([*entries, other])
    heights = [
        [bar.get_height() for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
        for figure in figures
    ]
    assert heights == [[100.0, 50.0, 25.0] * 2, [100.0, 50.0]]


def test_bundle_section_lists_denoising_settings_and_size(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    content = {"name": "n", "task": "one_leg", "denoising": {"ddim_steps": 5}}
    (bundle / "bundle.json").write_text(json.dumps(content), encoding="utf-8")
    (bundle / "policy.onnx").write_bytes(np.zeros(1_500_000, np.uint8).tobytes())
    text = write_report(ReportConfig(bundle=bundle, out=tmp_path / "p.html")).read_text()
    assert "ddim steps" in text and "1.5 MB" in text
    with pytest.raises(DataError, match="dppo export"):
        write_report(ReportConfig(bundle=tmp_path, out=tmp_path / "q.html"))
