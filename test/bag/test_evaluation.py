# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Offline evaluation: errors of known size come out as such, and the page stands alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from gentle_policy import NOISE_GAIN
from onnx import helper, numpy_helper
from synthetic_bag import PERIOD_NS, TICKS, write_episode

from dppo_ros.bag.evaluation import Evaluation, evaluate
from dppo_ros.bag.evaluation_numbers import summary_lines, to_json
from dppo_ros.bag.open_loop import action_errors
from dppo_ros.bag.outliers import action_outliers, observation_outliers, worst
from dppo_ros.cli import main
from dppo_ros.core.bundle import load_bundle, write_bundle
from dppo_ros.core.manifest import ActionEnvelope
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.observation import join_action

SHIFT_M = 0.05


@pytest.fixture(scope="module")
def shifted_bundle(gentle_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that does the same, 5 cm further along y."""
    bundle = load_bundle(gentle_bundle)
    model = onnx.load_from_string(bundle.graph)
    for node in model.graph.node:
        node.output[:] = ["before" if name == "actions" else name for name in node.output]
    offset = np.zeros(10, dtype=np.float32)
    offset[1] = SHIFT_M
    model.graph.initializer.append(numpy_helper.from_array(offset, "offset"))
    model.graph.node.append(helper.make_node("Add", ["before", "offset"], ["actions"]))
    golden = {**bundle.golden, "actions": bundle.golden["actions"] + offset}
    folder = tmp_path_factory.mktemp("bundles") / "shifted"
    return write_bundle(folder, bundle.manifest, model.SerializeToString(), golden).path


@pytest.fixture(scope="module")
def compared(
    gentle_bundle: Path, shifted_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Evaluation:
    """Return two bundles compared over six bags, of which four succeeded."""
    folder = tmp_path_factory.mktemp("bags")
    bags = [
        write_episode(folder / f"bag{i}", gentle_bundle, success=i < 4, seed=i) for i in range(6)
    ]
    return evaluate(bags, [gentle_bundle, shifted_bundle])


def test_known_shift_is_found_in_size_and_direction(compared: Evaluation) -> None:
    first, second = (contender.label for contender in compared.contenders)
    assert (first, second) == ("gentle #1", "gentle #2")
    same, far = (compared.cells["bag0", name] for name in (first, second))
    # Only the noise differs from what was executed: two samples, three axes.
    spread = NOISE_GAIN * np.sqrt(2.0)
    assert 0.0 < same.translation_m < 4 * spread
    assert far.translation_m == pytest.approx(SHIFT_M, abs=3 * spread)
    assert np.nanmean(far.errors.components[:, 1]) == pytest.approx(SHIFT_M, abs=spread)
    assert np.nanmax(far.errors.rotation_rad) < 1e-3
    assert np.nanmean(far.errors.gripper) == 0.0
    pair = compared.pairs[first, second]
    assert pair.is_clear
    assert pair.mean == pytest.approx(SHIFT_M, abs=2 * spread)


def test_every_step_of_the_chunk_meets_its_own_tick(compared: Evaluation) -> None:
    cell = compared.cells["bag1", "gentle #1"]
    assert cell.horizon.translation_m.shape == (TICKS, 4)
    known = np.isfinite(cell.horizon.translation_m).sum(axis=0)
    assert known.tolist() == [TICKS - h for h in range(4)]
    # The policy sways with the step in its chunk, so an early tick compares to another phase.
    assert np.nanmax(cell.horizon.translation_m[:, 0]) < 0.05


def test_phases_success_and_safety_are_accounted(compared: Evaluation) -> None:
    numbers = to_json(compared)
    phases = numbers["bundles"]["gentle #1"]["translation_error_m_by_phase"]
    assert {name: entry["count"] for name, entry in phases.items()} == {"reach": 36, "insert": 36}
    success = compared.successes["gentle #1"]
    assert (success.successes, success.trials) == (4, 6)
    assert success.low == pytest.approx(0.300, abs=1e-3)
    assert success.high == pytest.approx(0.903, abs=1e-3)
    assert compared.episodes[0].interventions == {"limited_workspace": 1}
    bag = numbers["bags"]["bag0"]
    assert bag["recorded_latency_ms"]["live_inference"]["median"] == 0.25
    assert bag["bundles"]["gentle #1"]["inference_ms"]["count"] == TICKS
    # The synthetic tool jumps about at random: the gate would refuse or limit most of it.
    assert sum(bag["bundles"]["gentle #1"]["safety_interventions"].values()) > 0
    assert any(line.startswith("gentle #2 minus gentle #1: +") for line in summary_lines(compared))


def test_command_writes_a_page_that_needs_nothing_else(
    recorded: Path,
    gentle_bundle: Path,
    shifted_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page, numbers = tmp_path / "p.html", tmp_path / "n.json"
    bundles = [str(gentle_bundle), str(shifted_bundle)]
    arguments = ["evaluate", "--bags", str(recorded), "--bundles", *bundles]
    assert main([*arguments, "--html", str(page), "--json", str(numbers)]) == 0
    assert "page written to" in capsys.readouterr().out
    text = page.read_text()
    assert text.count("<svg") == 8
    for outside in ("src=", "href=http", "<script", "@import", "<link"):
        assert outside not in text
    assert "NaN" not in numbers.read_text()
    assert set(json.loads(numbers.read_text())["bags"]) == {recorded.name}


def test_bag_without_commands_has_nothing_to_compare(
    gentle_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_episode(
        tmp_path / "bag", gentle_bundle, leave_out=("target_pose", "command/status")
    )
    assert main(["evaluate", "--bags", str(bag), "--bundles", str(gentle_bundle)]) == 2
    assert "target_pose" in capsys.readouterr().err


def test_outlier_score_counts_half_ranges_beyond_the_edge() -> None:
    normalizer = MinMaxNormalizer(np.array([0.0, -1.0]), np.array([2.0, 1.0]))
    vectors = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [1.0, -2.5]])
    found = observation_outliers(vectors, normalizer)
    assert found.scores.tolist() == [0.0, 0.0, 1.0, 1.5]
    assert found.share == 0.5
    assert found.component_share.tolist() == [0.25, 0.25]
    names = worst(("a", "b"), found.component_share, found.component_excess, 5)
    assert names == [("b", 0.25, 1.5), ("a", 0.25, 1.0)]


def test_actions_are_held_against_range_and_pace_of_training() -> None:
    envelope = ActionEnvelope(np.array([0.0]), np.array([1.0]), np.array([0.2]))
    chunks = np.array([[[0.0], [0.1], [0.2]], [[0.9], [1.2], [1.0]]])
    found = action_outliers(chunks, envelope)
    assert found.share == pytest.approx(1 / 6)
    assert found.component_excess.tolist() == pytest.approx([0.2])
    # Changes 0.1, 0.1, 0.3, 0.2: one of four is faster than ever in training.
    assert found.fast_share == pytest.approx(0.25)


def test_errors_of_actions_are_distances_angles_and_disagreement() -> None:
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    first = join_action(np.array([0.0, 0.0, 0.0]), np.eye(3), np.array(-1.0))
    second = join_action(np.array([0.3, 0.0, 0.4]), turned, np.array(0.5))
    errors = action_errors(np.stack([first, first]), np.stack([second, np.full(10, np.nan)]))
    assert errors.translation_m[0] == pytest.approx(0.5)
    assert errors.rotation_rad[0] == pytest.approx(np.pi / 2)
    assert errors.gripper[0] == 1.0
    assert np.isnan([errors.translation_m[1], errors.rotation_rad[1], errors.gripper[1]]).all()
    assert PERIOD_NS == 100_000_000
