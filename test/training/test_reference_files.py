# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The reference's training data as our datasets: equal numbers, nothing unpickled."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dppo_ros.core.errors import ConfigError, DataError
from sim_training.cli import main
from sim_training.data.formats import read_dataset
from sim_training.data.reference_files import (
    ImportConfig,
    import_dataset,
    read_normalization,
    read_reference,
)
from sim_training.data.task_layouts import task_layout
from sim_training.envs.announced import TASK_SIZES
from sim_training.envs.make import SIMULATORS

RNG = np.random.default_rng(3)
RAW_STATES = RNG.uniform(-2.0, 5.0, (30, 4))
RAW_ACTIONS = RNG.uniform(-0.4, 0.4, (30, 2))
LIMITS = {
    "obs_min": RAW_STATES.min(axis=0),
    "obs_max": RAW_STATES.max(axis=0),
    "action_min": RAW_ACTIONS.min(axis=0),
    "action_max": RAW_ACTIONS.max(axis=0),
}


def scaled(raw: np.ndarray, low: np.ndarray, high: np.ndarray, epsilon: float = 1e-6) -> np.ndarray:
    """The reference's formula, written out."""
    return (2.0 * ((raw - low) / (high - low + epsilon) - 0.5)).astype(np.float32)


def arrays(epsilon: float = 1e-6) -> dict[str, np.ndarray]:
    return {
        "states": scaled(RAW_STATES, LIMITS["obs_min"], LIMITS["obs_max"], epsilon),
        "actions": scaled(RAW_ACTIONS, LIMITS["action_min"], LIMITS["action_max"], epsilon),
        "traj_lengths": np.array([10, 20]),
    }


def config(folder: Path, content: dict[str, np.ndarray] | None = None) -> ImportConfig:
    """Write the reference's two files and return what imports them."""
    np.savez(folder / "train.npz", **(content or arrays()))
    np.savez(folder / "normalization.npz", **LIMITS)
    return ImportConfig(
        folder / "train.npz", folder / "normalization.npz", "toy_reach", folder / "out"
    )


def test_raw_units_are_recovered_and_the_network_sees_the_same_numbers(tmp_path: Path) -> None:
    extra = {
        "images": RNG.integers(0, 256, (30, 6, 8, 8), dtype=np.uint8),
        "rewards": np.arange(30.0),
        "terminals": np.arange(30) == 9,
    }
    content = arrays() | extra
    dataset = read_dataset(import_dataset(config(tmp_path, content)))
    np.testing.assert_allclose(dataset.states, RAW_STATES, atol=2e-6)
    np.testing.assert_allclose(dataset.actions, RAW_ACTIONS, atol=2e-6)
    for kind, raw in (("states", dataset.states), ("actions", dataset.actions)):
        normalizer = dataset.normalizers()[kind == "actions"]
        np.testing.assert_allclose(normalizer.normalize(raw), content[kind], atol=1e-6)
        with np.load(tmp_path / "out" / "train.npz") as ours:
            np.testing.assert_allclose(ours[kind], content[kind], atol=1e-6)
    assert dataset.traj_lengths.tolist() == [10, 20]
    assert dataset.observation_spec.names == ("point", "goal")
    assert dataset.metadata["fps"] == 10.0
    assert dataset.cameras == 2
    assert dataset.image_size_px == 8
    np.testing.assert_array_equal(dataset.images, extra["images"])
    assert dataset.images is not None
    assert dataset.images.dtype == np.uint8
    np.testing.assert_array_equal(dataset.rewards, extra["rewards"])
    np.testing.assert_array_equal(dataset.terminals, extra["terminals"])


def test_limits_include_the_references_epsilon(tmp_path: Path) -> None:
    observation, action = read_normalization(config(tmp_path).normalization)
    np.testing.assert_array_equal(observation.minimum, LIMITS["obs_min"])
    np.testing.assert_allclose(observation.maximum - LIMITS["obs_max"], 1e-6, rtol=1e-6)
    at_top = observation.normalize(LIMITS["obs_max"])
    span = LIMITS["obs_max"] - LIMITS["obs_min"]
    np.testing.assert_allclose(1.0 - at_top, 2e-6 / (span + 1e-6), rtol=1e-5)
    assert action.dim == 2


def test_furniture_limits_come_from_a_state_dict_without_epsilon(tmp_path: Path) -> None:
    names = ("stats.observations.min", "stats.observations.max")
    names += ("stats.actions.min", "stats.actions.max")
    stats = {n: torch.from_numpy(v).float() for n, v in zip(names, LIMITS.values(), strict=True)}
    path = tmp_path / "normalization.pth"
    torch.save(stats, path)
    observation, action = read_normalization(path)
    np.testing.assert_array_equal(observation.maximum, LIMITS["obs_max"].astype(np.float32))
    np.testing.assert_array_equal(action.minimum, LIMITS["action_min"].astype(np.float32))
    given = config(tmp_path, arrays(epsilon=0.0))
    dataset = read_reference(ImportConfig(given.file, path, "toy_reach", given.out))
    np.testing.assert_allclose(dataset.states, RAW_STATES, atol=2e-6)
    torch.save({**stats, "stats.images.min": stats[names[0]]}, path)
    with pytest.raises(DataError, match=r"has unknown stats\.images\.min"):
        read_normalization(path)


class Trap:
    """Would create a file if anything unpickled it."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.victim,)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    given, victim = config(tmp_path), tmp_path / "victim"
    bad = tmp_path / "data.pkl"
    bad.write_bytes(pickle.dumps(Trap(victim)))
    with pytest.raises(DataError, match=r"is a pickle.*numpy\.savez"):
        read_reference(ImportConfig(bad, given.normalization, "toy_reach"))
    renamed = tmp_path / "renamed.npz"
    renamed.write_bytes(bad.read_bytes())
    with pytest.raises(DataError, match="pickled objects"):
        read_reference(ImportConfig(renamed, given.normalization, "toy_reach"))
    objects = arrays() | {"images": np.array([Trap(victim)], dtype=object)}
    np.savez(given.file, **objects)
    with pytest.raises(DataError, match="pickled objects"):
        read_reference(given)
    torch.save({"stats": Trap(victim)}, tmp_path / "bad.pth")
    with pytest.raises(DataError, match="not a file of plain tensors"):
        read_normalization(tmp_path / "bad.pth")
    assert not victim.exists()


def without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in arrays().items() if key != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (without("traj_lengths"), "lacks traj_lengths"),
        (arrays() | {"state": np.zeros(3)}, "has unknown state; it must hold states, actions"),
        (arrays() | {"states": RAW_STATES.astype(np.float32)}, r"normalised to \[-1, 1\]"),
        (arrays() | {"states": arrays()["states"][:, :3]}, "3 columns but the limits have 4"),
        (arrays() | {"states": np.zeros((30, 4), dtype=int)}, "floating-point"),
        (arrays() | {"traj_lengths": np.array([10.0, 20.0])}, "whole numbers"),
        (arrays() | {"traj_lengths": np.array([10, 25])}, "sum to 35"),
        (arrays() | {"images": np.zeros((30, 3, 8, 6), np.uint8)}, r"h = w"),
        (arrays() | {"images": np.zeros((30, 4, 8, 8), np.uint8)}, "three channels"),
        (arrays() | {"images": np.zeros((30, 3, 8, 8), np.float32)}, "uint8"),
        (arrays() | {"rewards": np.zeros(29)}, "rewards has 29 entries for 30 frames"),
        (arrays() | {"rewards": np.zeros((30, 1))}, "one number a frame"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        import_dataset(config(tmp_path, content))
    assert not (tmp_path / "out").exists()


def test_wrong_tasks_and_limits_are_refused(tmp_path: Path) -> None:
    given = config(tmp_path)
    with pytest.raises(DataError, match="task 'one_leg' has 58"):
        read_reference(ImportConfig(given.file, given.normalization, "one_leg"))
    with pytest.raises(ConfigError, match="unknown task 'toy_rich'; did you mean 'toy_reach'"):
        read_reference(ImportConfig(given.file, given.normalization, "toy_rich"))
    with pytest.raises(ConfigError, match="has no pixel variant"):
        images = {"images": np.zeros((30, 3, 8, 8), np.uint8)}
        read_reference(replace(config(tmp_path, arrays() | images), task="avoiding_m1"))
    with pytest.raises(ConfigError, match=r"fps is None.*--fps 20"):
        read_reference(replace(config(tmp_path), task="avoiding_m2"))
    read_reference(replace(config(tmp_path), task="avoiding_m2", fps=20.0))
    with pytest.raises(DataError, match="does not exist"):
        read_reference(ImportConfig(tmp_path / "nowhere.npz", given.normalization, "toy_reach"))
    np.savez(given.normalization, **{k: v for k, v in LIMITS.items() if k != "obs_max"})
    with pytest.raises(DataError, match="lacks obs_max"):
        read_reference(given)


def test_the_command_line_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = config(tmp_path)
    words = ["data", "import", str(given.file), "--normalization", str(given.normalization)]
    words += ["--task", "toy_reach", "--out", str(given.out)]
    assert main(words) == 0
    assert read_dataset(given.out).metadata["generator"]["command"] == "dppo data import"
    assert main(words) == 2
    assert "already holds a dataset" in capsys.readouterr().err


@pytest.mark.parametrize("task", [*SIMULATORS, *TASK_SIZES])
def test_every_task_has_a_layout(task: str) -> None:
    layout = task_layout(task)
    if task in TASK_SIZES:
        assert layout.observation_spec.dim == TASK_SIZES[task].obs_dim
        assert layout.action_spec.dim == TASK_SIZES[task].action_dim
    else:
        assert layout.control_rate_hz is not None
    if task == "transport":
        assert task_layout(task, pixels=True).observation_spec.dim == 18
