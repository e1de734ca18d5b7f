# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Datasets on disk, training windows, and the dataset check."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dppo_ros.core.errors import DataError
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.data.check import CheckConfig, check_folder, run_check
from sim_training.data.formats import EpisodeDataset, normalizer_of, read_dataset, write_dataset
from sim_training.data.joining import join
from sim_training.data.sequence import epoch_order, make_windows, window_starts

OBSERVATION = VectorSpec((Field("place", 2, "m", "arena", ("x", "y")),))
ACTION = VectorSpec((Field("target", 1, "m", "arena", ("x",)),))

PARTS = {"seeds": [0, 1], "episodes": 2}


def walk(lengths: tuple[int, ...] = (30, 20), seed: int = 0) -> EpisodeDataset:
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    states = np.cumsum(rng.uniform(0.01, 0.02, (n, 2)), axis=0).astype(np.float32)
    return EpisodeDataset(
        states=states,
        actions=states[:, :1] + np.float32(0.01),
        traj_lengths=np.array(lengths, dtype=np.int64),
        observation_spec=OBSERVATION,
        action_spec=ACTION,
        metadata={"task": "walk", "fps": 10, "success": [True] * len(lengths)},
    )


def kinds(folder: Path, **settings: object) -> dict[str, str]:
    config = CheckConfig(dataset=folder, **settings)  # type: ignore[arg-type]
    return {finding.kind: finding.severity for finding in check_folder(config)}


def test_round_trip_keeps_values_layout_and_description(tmp_path: Path) -> None:
    written = walk()
    read = read_dataset(write_dataset(tmp_path / "d", written))
    np.testing.assert_allclose(read.states, written.states, atol=1e-6)
    np.testing.assert_allclose(read.actions, written.actions, atol=1e-6)
    assert read.observation_spec == OBSERVATION
    assert read.metadata == written.metadata
    assert len(read.data_hash) == 64
    description = json.loads((tmp_path / "d" / "dataset.json").read_text())
    assert description["info"]["codebase_version"] == "v3.0"
    assert description["info"]["total_frames"] == 50
    assert description["info"]["features"]["action"]["names"] == ["target.x"]
    with np.load(tmp_path / "d" / "train.npz") as archive:
        assert archive["states"].min() == -1.0
        assert archive["states"].max() == 1.0


def test_defects_on_disk_are_named(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", walk())
    with pytest.raises(DataError, match="already holds a dataset"):
        write_dataset(folder, walk())
    content = (folder / "train.npz").read_bytes()
    (folder / "train.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="SHA-256"):
        read_dataset(folder)
    (folder / "train.npz").unlink()
    with pytest.raises(DataError, match=r"lacks train\.npz"):
        read_dataset(folder)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="not readable JSON"):
        read_dataset(folder)
    with pytest.raises(DataError, match="not a dataset"):
        read_dataset(tmp_path)


def test_bad_arrays_are_not_written(tmp_path: Path) -> None:
    good = walk()
    broken = good.states.copy()
    broken[7, 1] = np.nan
    for bad, message in (
        (dataclasses.replace(good, states=broken), "frame 7, column 1"),
        (dataclasses.replace(good, states=good.states[:, :1]), "layout needs"),
        (dataclasses.replace(good, traj_lengths=np.array([30, 30])), "sum to 60"),
        (dataclasses.replace(good, actions=good.actions[:-1]), "but actions 49"),
    ):
        with pytest.raises(DataError, match=message):
            write_dataset(tmp_path / "bad", bad)
    assert not (tmp_path / "bad").exists()


def test_almost_constant_columns_are_not_blown_up() -> None:
    samples = np.zeros((10, 1), dtype=np.float32)
    samples[3] = 1e-7
    assert abs(normalizer_of(samples).normalize(samples)).max() < 1e-5


def test_trembling_observations_do_not_fill_the_range() -> None:
    samples = np.array([[0.1, 0.0], [0.1001, 0.5]], dtype=np.float32)
    scaled = normalizer_of(samples, 0.02).normalize(samples)
    np.testing.assert_allclose(scaled, [[-0.005, -1.0], [0.005, 1.0]], atol=1e-5)


def test_envelope_ignores_the_border_between_trajectories() -> None:
    data = dataclasses.replace(
        walk((2, 2)), actions=np.array([[0.0], [1.0], [50.0], [52.0]], dtype=np.float32)
    )
    assert data.envelope()["max_step_change"] == [2.0]


def test_windows_stay_inside_trajectories() -> None:
    starts, begins = window_starts(np.array([5, 2, 4]), 3)
    assert starts.tolist() == [0, 1, 2, 7, 8]
    assert begins.tolist() == [0, 0, 0, 7, 7]


def test_window_content_and_history() -> None:
    states = np.arange(7, dtype=np.float32)[:, None]
    actions = 10 * states
    windows = make_windows(states, actions, np.array([4, 3]), cond_steps=2, horizon_steps=3)
    observation, chunk = windows.batch(torch.tensor([0, 1, 2]))
    assert observation["state"][:, :, 0].tolist() == [[0, 0], [0, 1], [4, 4]]
    assert chunk[:, :, 0].tolist() == [[0, 10, 20], [10, 20, 30], [40, 50, 60]]
    with pytest.raises(DataError, match="horizon_steps=9"):
        make_windows(states, actions, np.array([4, 3]), 1, 9)


def test_images_are_gathered_by_frame_and_keep_one_byte_per_byte() -> None:
    frames = np.arange(7, dtype=np.float32)[:, None]
    images = np.broadcast_to(np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1), (7, 3, 2, 2)).copy()
    lengths = np.array([4, 3])
    windows = make_windows(frames, frames, lengths, 1, 2, images=images, img_cond_steps=3)
    observation, chunk = windows.batch(torch.tensor([2, 0, 4]))
    rgb = observation["rgb"]
    assert rgb.dtype == torch.uint8
    assert rgb.shape == (3, 3, 3, 2, 2)
    assert rgb[:, :, 0, 0, 0].tolist() == [[0, 1, 2], [0, 0, 0], [4, 4, 5]]
    assert chunk[:, 0, 0].tolist() == [2, 0, 5]
    assert windows.images is not None
    assert windows.images.data_ptr() == images.ctypes.data
    assert "rgb" not in make_windows(frames, frames, lengths, 1, 2).batch(torch.tensor([0]))[0]


def test_images_rewards_and_terminals_survive_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = dataclasses.replace(
        walk(),
        images=rng.integers(0, 256, (50, 3, 8, 8), dtype=np.uint8),
        rewards=rng.normal(size=50).astype(np.float32),
        terminals=np.arange(50) == 29,
    )
    read = read_dataset(write_dataset(tmp_path / "d", data))
    for name in ("images", "rewards", "terminals"):
        got, want = getattr(read, name), getattr(data, name)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    assert (read.cameras, read.image_size_px) == (1, 8)
    features = json.loads((tmp_path / "d" / "dataset.json").read_text())["info"]["features"]
    assert features["observation.images"]["shape"] == [3, 8, 8]
    twice = join(read, dataclasses.replace(data, metadata={**data.metadata, **PARTS}))
    assert twice.images is not None
    assert len(twice.images) == 100
    assert twice.rewards is not None
    assert len(twice.rewards) == 100
    with pytest.raises(DataError, match=r"images: one dataset has \(3, 8, 8\)"):
        join(read, dataclasses.replace(walk(), metadata={**data.metadata, **PARTS}))


def test_epoch_order_is_a_function_of_seed_and_epoch() -> None:
    assert epoch_order(50, 1, 2).tolist() == epoch_order(50, 1, 2).tolist()
    assert epoch_order(50, 1, 2).tolist() != epoch_order(50, 1, 3).tolist()
    assert sorted(epoch_order(50, 1, 2).tolist()) == list(range(50))


def test_check_accepts_good_data(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", walk())
    assert kinds(folder) == {}
    assert run_check(CheckConfig(dataset=folder)) == 0


def test_check_finds_warnings(tmp_path: Path) -> None:
    data = walk((60, 60, 4))
    states = data.states.copy()
    states[10:30] = states[10]
    states[40:60, 0] += 3.0
    data = dataclasses.replace(data, states=states)
    data.metadata["success"] = [True, False, True]
    folder = write_dataset(tmp_path / "d", data)
    found = kinds(folder)
    assert found == dict.fromkeys(
        ["idle_frames", "jump", "failures", "short_trajectory"], "warning"
    )
    assert run_check(CheckConfig(dataset=folder)) == 0


def test_check_finds_constant_columns_and_outliers(tmp_path: Path) -> None:
    data = walk((2000,))
    states = data.states.copy()
    states[:, 1] = 0.5
    states[100, 0] = 5000.0
    folder = write_dataset(tmp_path / "d", dataclasses.replace(data, states=states))
    found = kinds(folder)
    assert found["constant_column"] == "warning"
    assert found["outlier"] == "warning"


def test_check_finds_cameras_that_show_nothing_new(tmp_path: Path) -> None:
    images = np.full((50, 6, 4, 4), 9, dtype=np.uint8)
    images[3, 5, 2, 2] = 10
    folder = write_dataset(tmp_path / "d", dataclasses.replace(walk(), images=images))
    findings = check_folder(CheckConfig(dataset=folder))
    assert [finding.kind for finding in findings] == ["still_camera"]
    assert "camera 0" in findings[0].message


def test_check_finds_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_dataset(tmp_path / "d", walk())
    with np.load(folder / "train.npz") as archive:
        arrays = dict(archive)
    arrays["states"][3, 0] = np.nan
    arrays["actions"][4, 0] = 9.0
    np.savez(folder / "train.npz", **arrays)
    found = kinds(folder)
    assert found["not_finite"] == "error"
    assert found["normaliser_mismatch"] == "error"
    assert found["invalid"] == "error"
    assert run_check(CheckConfig(dataset=folder, json=True)) == 1
    assert "not_finite" in capsys.readouterr().out
    arrays["states"] = arrays["states"][:, :1]
    np.savez(folder / "train.npz", **arrays)
    assert run_check(CheckConfig(dataset=folder)) == 1
    assert kinds(tmp_path / "nowhere") == {"unreadable": "error"}
