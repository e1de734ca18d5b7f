# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replay of a known episode: parity, errors, latencies, and refusals in one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_bag import LATENCY_NS, SEED, write_episode

from dppo_ros.bag.replay import replay_bag
from dppo_ros.bag.writer import BagWriter
from dppo_ros.cli import main
from dppo_ros.core.errors import BagError
from dppo_ros.core.observation import furniture_action_spec


def test_perfect_episode_replays_without_any_difference(
    recorded: Path, gentle_bundle: Path
) -> None:
    result = replay_bag(recorded, gentle_bundle)
    assert result.seed == SEED
    assert result.same_bundle is True
    assert (result.observations.live, result.observations.identical) == (12, 12)
    assert (result.chunks.live, result.chunks.identical) == (3, 3)
    assert result.times_s.tolist() == pytest.approx([0.1 * tick for tick in range(12)])
    assert result.translation_errors_m.max() == 0.0
    assert result.rotation_errors_rad.max() < 1e-9
    np.testing.assert_allclose(result.predicted, result.executed, atol=1e-12)
    assert result.interventions == {"limited_workspace": 1}
    assert result.latencies_ms["observation_to_command"] == pytest.approx([LATENCY_NS / 1e6] * 3)
    assert result.latencies_ms["live_inference"].tolist() == [0.25] * 3
    assert result.staleness_s.max() == pytest.approx(0.3)


def test_other_seed_changes_chunks_and_shows_as_error(recorded: Path, gentle_bundle: Path) -> None:
    result = replay_bag(recorded, gentle_bundle, seed=SEED + 1)
    assert result.chunks.identical == 0
    assert result.observations.identical == 12
    assert 0.0 < np.median(result.translation_errors_m) < 0.02


def test_nan_in_the_bag_is_refused_like_live(gentle_bundle: Path, tmp_path: Path) -> None:
    result = replay_bag(write_episode(tmp_path / "bag", gentle_bundle, nan_at=2), gentle_bundle)
    assert result.observations.identical == result.observations.live == 11
    assert result.refused == {"leg4_pose: not finite": 1, "leg4_pose: unusable sample": 1}


def test_bag_without_policy_topics_is_queried_on_schedule(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    without = ("policy/observation", "policy/chunk", "policy/status")
    bag = write_episode(tmp_path / "bag", gentle_bundle, leave_out=without)
    result = replay_bag(bag, gentle_bundle)
    assert (result.chunks.live, result.chunks.replayed) == (0, 3)
    assert result.translation_errors_m.max() == 0.0


def test_bag_of_another_bundle_says_so(gentle_bundle: Path, tmp_path: Path) -> None:
    bag = write_episode(tmp_path / "bag", gentle_bundle, digest="f" * 64)
    assert replay_bag(bag, gentle_bundle).same_bundle is False


def test_command_line_writes_numbers_and_a_page_of_its_own(
    recorded: Path, gentle_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, page = tmp_path / "out" / "r.json", tmp_path / "out" / "r.html"
    bundle = str(gentle_bundle)
    options = ["--json", str(numbers), "--html", str(page)]
    assert main(["replay", str(recorded), "--bundle", bundle, *options]) == 0
    assert "12 of 12 common ones identical" in capsys.readouterr().out
    content = json.loads(numbers.read_text())
    assert set(content["action_error"]) == set(furniture_action_spec().component_names)
    assert content["observation_parity"]["max_difference"] == 0.0
    assert content["latency_ms"]["observation_to_command"]["median"] == pytest.approx(7.0)
    html = page.read_text()
    assert html.count("<svg") == 3
    for outside in ("src=", "href=http", "<script", "@import", "<link"):
        assert outside not in html


def _cut(bag: Path) -> None:
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-3000])


def _empty(bag: Path) -> None:
    (file,) = bag.glob("*.mcap")
    file.write_bytes(b"")


def _garble(bag: Path) -> None:
    (file,) = bag.glob("*.mcap")
    content = bytearray(file.read_bytes())
    content[300:20_000] = bytes(19_700)
    file.write_bytes(content)


def _no_metadata(bag: Path) -> None:
    (bag / "metadata.yaml").unlink()


@pytest.mark.parametrize("damage", [_cut, _empty, _garble, _no_metadata, shutil.rmtree])
def test_damaged_bag_gives_one_sentence_and_exit_code_2(
    recorded: Path,
    gentle_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
) -> None:
    bag = tmp_path / "bag"
    shutil.copytree(recorded, bag)
    for file in bag.glob("*.mcap"):
        file.rename(bag / f"{recorded.name}.mcap")
    damage(bag)
    assert main(["replay", str(bag), "--bundle", str(gentle_bundle)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("dppo-ros: ")
    assert error.count("\n") == 1
    assert str(bag) in error


@pytest.mark.parametrize("topic", ["tool_pose", "parts/leg4/pose", "target_pose"])
def test_missing_topic_is_named(
    gentle_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], topic: str
) -> None:
    # Without goals the reports of the command side would still tell what was executed.
    without = (topic, "command/status") if topic == "target_pose" else (topic,)
    bag = write_episode(tmp_path / "bag", gentle_bundle, leave_out=without)
    assert main(["replay", str(bag), "--bundle", str(gentle_bundle)]) == 2
    assert f"has no messages on {topic}; it holds /" in capsys.readouterr().err


@pytest.mark.parametrize("tells_goals", [True, False])
def test_reports_of_the_command_side_tell_what_was_executed(
    gentle_bundle: Path, tmp_path: Path, tells_goals: bool
) -> None:
    without = ("target_pose",)
    bag = write_episode(tmp_path / "bag", gentle_bundle, without, tells_goals=tells_goals)
    result = replay_bag(bag, gentle_bundle)
    assert result.translation_errors_m.max() < 1e-7
    # At tick 5 the gate changed something; without its own report that goal is not known.
    assert len(result.times_s) == (12 if tells_goals else 11)


def test_missing_bundle_is_one_sentence(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(recorded), "--bundle", str(tmp_path / "none")]) == 2
    assert "no policy bundle at" in capsys.readouterr().err


def test_bag_appears_only_when_it_is_finished(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag", {}, queue_size=10)
    assert not (tmp_path / "bag").exists()
    writer.finish({})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bag"]
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path / "bag", {}, queue_size=10)
