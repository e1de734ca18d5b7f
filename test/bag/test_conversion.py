# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags -> datasets: the live node's numbers, honest accounts, formats that others read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_bag import PERIOD_NS, TICKS, write_episode

from dppo_ros.bag import lerobot, lerobot_video
from dppo_ros.bag.conversion import ConversionSettings, convert_bags
from dppo_ros.bag.episodes import read_episode
from dppo_ros.bag.frames import frames_of_bag
from dppo_ros.bag.lerobot_stats import PictureStatistics, vector_statistics
from dppo_ros.bag.replay import replay_bag
from dppo_ros.cameras import shipped_cameras
from dppo_ros.cli import main
from dppo_ros.core.alignment import AlignmentSettings
from dppo_ros.core.errors import DataError, EnvironmentUnavailableError
from dppo_ros.core.observation import furniture_observation_spec
from sim_training.data.check import CheckConfig, check_folder
from sim_training.data.formats import read_dataset

SPEC = furniture_observation_spec()
JOINTS = AlignmentSettings(
    from_joints=True, max_gap_ns=PERIOD_NS, min_interval_ns=PERIOD_NS // 2, part_source="truth"
)
LATE = AlignmentSettings(
    from_joints=True, max_gap_ns=PERIOD_NS, max_skew_ns=PERIOD_NS, part_source="truth",
    robot_latency_ns=5_000_000, anchor="leg4_pose",
)  # fmt: skip


@pytest.mark.parametrize("how", [None, JOINTS, LATE], ids=["old bag", "joints", "late joints"])
def test_converted_observations_are_the_recorded_ones_bit_for_bit(
    gentle_bundle: Path, tmp_path: Path, how: AlignmentSettings | None
) -> None:
    bag = write_episode(tmp_path / "bag", gentle_bundle, how=how)
    frames = frames_of_bag(bag, SPEC, PERIOD_NS)
    live = read_episode(bag, SPEC).vectors
    (account,) = frames.reports
    assert account["parity_with_live_observations"]["identical"] == len(live) >= TICKS - 1
    assert sum(map(len, frames.trajectories)) >= TICKS // 2
    for trajectory in frames.trajectories:
        for stamp, state in zip(trajectory.stamps_ns, trajectory.states, strict=True):
            assert np.array_equal(state, live[int(stamp)])
    result = replay_bag(bag, gentle_bundle)
    assert result.observations.identical == result.observations.live == len(live)
    assert result.chunks.identical == result.chunks.live > 0


def test_npz_dataset_is_what_training_reads(gentle_bundle: Path, tmp_path: Path) -> None:
    bags = [
        write_episode(tmp_path / name, gentle_bundle, success=name == "a", seed=index)
        for index, name in enumerate("ab")
    ]
    out = tmp_path / "out"
    arguments = ["convert", *map(str, bags), "--out", str(out)]
    assert main(arguments) == 0
    dataset = read_dataset(out)
    assert dataset.traj_lengths.tolist() == [TICKS, TICKS]
    expected = np.concatenate([
        np.stack(list(read_episode(bag, SPEC).vectors.values())) for bag in bags
    ])  # fmt: skip
    np.testing.assert_allclose(dataset.states, expected, atol=1e-6)
    episode = read_episode(bags[0], SPEC)
    np.testing.assert_allclose(
        dataset.actions[3], episode.executed_action(3 * PERIOD_NS), atol=1e-6
    )
    assert dataset.rewards is not None and dataset.terminals is not None
    assert np.flatnonzero(dataset.rewards).tolist() == [TICKS - 1]
    assert dataset.metadata["success"] == [True, False]
    findings = check_folder(CheckConfig(dataset=out, horizon_steps=4))
    assert [finding for finding in findings if finding.severity == "error"] == []
    with pytest.raises(DataError, match="already holds a dataset"):
        convert_bags(bags, ConversionSettings(out))
    chosen = convert_bags(bags, ConversionSettings(tmp_path / "good", only_successes=True))
    assert len(chosen.trajectories) == 1


@pytest.mark.slow
def test_training_runs_on_a_converted_bag(gentle_bundle: Path, tmp_path: Path) -> None:
    bag = write_episode(tmp_path / "bag", gentle_bundle)
    convert_bags([bag], ConversionSettings(tmp_path / "data"))
    command = [
        sys.executable, "-m", "sim_training.cli", "pretrain", "--dataset", str(tmp_path / "data"),
        "--run-dir", str(tmp_path / "run"), "--env.name", "one_leg", "--n-train-steps", "2",
        "--horizon-steps", "4", "--act-steps", "4",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_refused_tick_splits_the_trajectory_and_is_reported(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    bag = write_episode(tmp_path / "bag", gentle_bundle, nan_at=4)
    conversion = convert_bags([bag], ConversionSettings(tmp_path / "out"))
    # The executed actions of tick 4 exist, but there is no observation to go with them.
    assert [len(t) for t in conversion.trajectories] == [4, 7]
    (account,) = json.loads((tmp_path / "out" / "conversion.json").read_text())["episodes"]
    assert account["gaps"] == account["observations_missing_on_the_grid"] == 1
    assert account["refused_observations"] == {
        "leg4_pose: not finite": 1, "leg4_pose: unusable sample": 1,
    }  # fmt: skip
    assert account["parity_with_live_observations"]["identical"] == 11
    assert account["streams"]["leg4_pose"] == {
        "samples": 12, "rate_hz": 10.0, "longest_step_ms": 100.0, "repeated_stamps": 0,
        "stamps_out_of_order": 0, "delay_spread_ms": 0.0,
    }  # fmt: skip


def test_bag_without_any_whole_trajectory_is_refused(
    gentle_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_episode(tmp_path / "bag", gentle_bundle, success=False)
    out = str(tmp_path / "out")
    assert main(["convert", str(bag), "--out", out, "--only-successes"]) == 2
    assert "give no trajectory" in capsys.readouterr().err


def test_lerobot_dataset_follows_the_format(gentle_bundle: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    bags = [write_episode(tmp_path / name, gentle_bundle, nan_at=4) for name in "ab"]
    out = tmp_path / "out"
    convert_bags(bags, ConversionSettings(out, "lerobot", text="do it"))
    info = json.loads((out / "meta" / "info.json").read_text())
    assert (info["codebase_version"], info["fps"]) == ("v3.0", 10)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (4, 22, 1)
    frames = parquet.read_table(out / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(frames.column_names) == set(info["features"])
    rows = frames.to_pydict()
    assert rows["index"] == list(range(22))
    assert rows["episode_index"] == [0] * 4 + [1] * 7 + [2] * 4 + [3] * 7
    assert rows["frame_index"][4:11] == list(range(7))
    assert rows["timestamp"][4:7] == pytest.approx([0.0, 0.1, 0.2])
    assert rows["next.success"] == [index in (10, 21) for index in range(22)]
    first = frames_of_bag(bags[0], SPEC, PERIOD_NS).trajectories[0]
    assert np.array_equal(np.float32(rows["observation.state"][0]), first.states[0])
    assert frames.schema.field("action").type.list_size == 10
    episodes = parquet.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pydict()
    assert episodes["length"] == [4, 7, 4, 7]
    assert episodes["dataset_to_index"] == [4, 11, 15, 22]
    assert episodes["tasks"] == [["do it"]] * 4
    assert len(episodes["stats/action/q99"][0]) == 10
    tasks = parquet.read_table(out / "meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    statistics = json.loads((out / "meta/stats.json").read_text())
    assert statistics["observation.state"]["count"] == [22]
    assert statistics["timestamp"]["max"] == pytest.approx([0.6])


def test_pictures_become_videos_in_step_with_the_frames(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    av = pytest.importorskip("av")
    bag = write_episode(tmp_path / "bag", gentle_bundle, pictures=True)
    out = tmp_path / "out"
    convert_bags([bag], ConversionSettings(out, "lerobot"))
    camera = shipped_cameras()[0].name
    info = json.loads((out / "meta" / "info.json").read_text())
    assert info["features"][f"observation.images.{camera}"]["shape"] == [16, 32, 3]
    with av.open(str(lerobot.video_path(out, camera, 0))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 10
    # Lossy, so levels are compared roughly: picture i has level 20 i.
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(range(TICKS))
    statistics = json.loads((out / "meta/stats.json").read_text())
    levels = statistics[f"observation.images.{camera}"]
    assert np.shape(levels["mean"]) == (3, 1, 1)
    assert levels["max"][0][0][0] == pytest.approx(220 / 255)
    convert_bags([bag], ConversionSettings(tmp_path / "none", "lerobot", images=False))
    assert not (tmp_path / "none" / "videos").exists()


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [(lerobot, "pyarrow", r"dppo_ros\[lerobot\]"), (lerobot_video, "av", "--no-images")],
)
def test_missing_library_is_named_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, advice: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EnvironmentUnavailableError, match=advice):
        module.check_installed()  # type: ignore[attr-defined]


def test_statistics_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    found = vector_statistics(values)
    np.testing.assert_allclose(found["std"], values.std(axis=0))
    np.testing.assert_allclose(found["q10"], np.quantile(values, 0.1, axis=0))
    pictures = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    statistics = PictureStatistics()
    for picture in pictures:
        statistics.add(picture)
    levels = pictures.reshape(-1, 3) / 255.0
    result = statistics.result()
    for name, expected in (
        ("mean", levels.mean(axis=0)), ("std", levels.std(axis=0)),
        ("min", levels.min(axis=0)), ("max", levels.max(axis=0)),
    ):  # fmt: skip
        np.testing.assert_allclose(result[name].ravel(), expected, atol=1e-12)
    assert result["count"].tolist() == [4]
    np.testing.assert_allclose(
        result["q50"].ravel(), np.quantile(levels, 0.5, axis=0, method="inverted_cdf")
    )
