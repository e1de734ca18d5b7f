# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles: what is written comes back exactly, and nothing damaged is ever loaded.

Damage is done to files on disk, as a broken copy or a curious person would.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from dppo_ros.core import bundle as bundle_module
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import BundleError
from dppo_ros.core.manifest import ActionEnvelope, DenoisingSettings
from dppo_ros.core.manifest_json import manifest_to_text
from dppo_ros.core.normalizer import MinMaxNormalizer

if TYPE_CHECKING:
    from conftest import TinyPolicy


def test_bundle_comes_back_as_written(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    evaluated = replace(tiny_policy.manifest, evaluation={"success": 0.5, "interval": [0.4, 0.6]})
    tiny_policy.manifest = evaluated
    written = tiny_policy.write(tmp_path / "deep" / "tiny")
    loaded = load_bundle(str(tmp_path / "deep" / "tiny"))
    assert written.path == loaded.path
    assert manifest_to_text(loaded.manifest) == manifest_to_text(written.manifest)
    assert loaded.manifest.observation == evaluated.observation
    assert loaded.manifest.action_normalizer == evaluated.action_normalizer
    assert loaded.manifest.denoising == evaluated.denoising
    assert loaded.manifest.evaluation == evaluated.evaluation
    assert loaded.manifest.control_period_ns == 100_000_000
    assert loaded.graph == tiny_policy.graph
    for name, value in tiny_policy.golden.items():
        np.testing.assert_array_equal(loaded.golden[name], value)
    assert sorted(os.listdir(tmp_path / "deep")) == ["tiny"]
    assert sorted(os.listdir(tmp_path / "deep" / "tiny")) == [
        "bundle.json", "golden.npz", "policy.onnx",
    ]  # fmt: skip


def test_companion_files_do_not_disturb(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    tiny_policy.write(tmp_path / "tiny")
    (tmp_path / "tiny" / "README.md").write_text("how it was trained")
    load_bundle(tmp_path / "tiny")


def test_existing_target_is_kept_unless_overwriting(
    tiny_policy: TinyPolicy, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    tiny_policy.write(folder)
    tiny_policy.manifest = replace(tiny_policy.manifest, name="second")
    with pytest.raises(BundleError, match="exists already; choose another folder"):
        tiny_policy.write(folder)
    assert load_bundle(folder).manifest.name == "tiny"
    tiny_policy.write(folder, overwrite=True)
    assert load_bundle(folder).manifest.name == "second"
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(BundleError, match=r"also holds notes\.txt"):
        tiny_policy.write(folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "precious"
    assert os.listdir(tmp_path) == ["tiny"]


def test_file_in_the_way_is_refused(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("a file")
    with pytest.raises(BundleError, match="is a file or a link, not a bundle folder"):
        tiny_policy.write(tmp_path / "tiny", overwrite=True)


@pytest.mark.parametrize("step", ["_write_durably", "load_bundle", "_publish"])
def test_interrupted_writing_leaves_nothing(
    tiny_policy: TinyPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = tmp_path / "tiny"
    tiny_policy.write(folder)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_module, step, interrupt)
    tiny_policy.manifest = replace(tiny_policy.manifest, name="second")
    with pytest.raises(KeyboardInterrupt):
        tiny_policy.write(folder, overwrite=True)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["tiny"]
    assert load_bundle(folder).manifest.name == "tiny"


def test_failed_rename_puts_the_old_bundle_back(
    tiny_policy: TinyPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny"
    tiny_policy.write(folder)
    rename = os.rename

    def fail_for_new(source: Path, target: Path) -> None:
        if Path(source).name.find("partial") >= 0 and not str(source).endswith("-old"):
            raise OSError("disk trouble")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_for_new)
    with pytest.raises(BundleError, match=r"cannot be written \(disk trouble\); check the free"):
        tiny_policy.write(folder, overwrite=True)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["tiny"]
    load_bundle(folder)


def test_missing_folder_and_files_are_named(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere is not a folder; give the folder that holds"):
        load_bundle(tmp_path / "nowhere")
    for name in ("policy.onnx", "bundle.json", "golden.npz"):
        folder = tmp_path / f"without_{name}"
        tiny_policy.write(folder)
        (folder / name).unlink()
        with pytest.raises(BundleError, match=rf"lacks {name}; copy the complete bundle"):
            load_bundle(folder)


@pytest.mark.parametrize("name", ["policy.onnx", "golden.npz"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "append", "empty"])
def test_changed_file_is_refused(
    tiny_policy: TinyPolicy, tmp_path: Path, name: str, damage: str
) -> None:
    path = tiny_policy.write(tmp_path / "tiny").path / name
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        del content[len(content) // 2 :]
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "append":
        content += b"\0"
    else:
        content.clear()
    path.write_bytes(bytes(content))
    with pytest.raises(
        BundleError, match=rf"{name} \({len(content)} bytes\) .* truncated or alter"
    ):
        load_bundle(tmp_path / "tiny")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("actions", None, r"holds \['noise', 'observation'\]; it must hold exactly"),
        ("extra", np.zeros(1), "'extra'"),
        ("actions", np.zeros((3, 4, 2)), r"'actions' is float32 of shape \(3, 4, 2\)"),
        ("noise", np.zeros((2, 6, 3)), r"'noise' is float32 of shape \(2, 6, 3\)"),
        ("observation", np.full((3, 1, 4), np.nan), "'observation' holds a number that is not fin"),
        ("observation", np.zeros((0, 1, 4)), "the same n >= 1"),
        ("observation", np.float32(1.0), r"of shape \(\)"),
    ],
)
def test_wrong_golden_pair_is_not_even_written(
    tiny_policy: TinyPolicy,
    tmp_path: Path,
    name: str,
    value: ArrayLike | None,
    message: str,
) -> None:
    if value is None:
        del tiny_policy.golden[name]
    else:
        tiny_policy.golden[name] = np.asarray(value)
    with pytest.raises(BundleError, match=message):
        tiny_policy.write(tmp_path / "tiny")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"lr": float("nan")}}, "has no JSON form"),
        ({"training": {"path": Path("x")}}, "has no JSON form"),
        ({"parity": {"max_abs_error": float("inf")}}, "has no JSON form"),
        ({"observation_clip": float("nan")}, "has no JSON form"),
        ({"act_steps": 60}, "'act_steps' is 60, more than"),
        ({"action_normalizer": MinMaxNormalizer(np.zeros(2), np.ones(2))}, "has 2 numbers but"),
        ({"envelope": ActionEnvelope(np.ones(3), np.zeros(3), np.ones(3))}, "exceeds"),
        ({"denoising": DenoisingSettings(5, 0, 10, 0.0, None, None)}, "'ddim_steps' is 10"),
        ({"schema_version": 3}, "schema_version is 3"),
    ],
)
def test_invalid_description_is_not_even_written(
    tiny_policy: TinyPolicy, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    tiny_policy.manifest = replace(tiny_policy.manifest, **changes)
    with pytest.raises(BundleError, match=message):
        tiny_policy.write(tmp_path / "tiny")
    assert os.listdir(tmp_path) == []


def test_pickled_arrays_are_refused_without_running_them(
    tiny_policy: TinyPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object array would be unpickled by a careless reader, which runs code."""
    evil = tmp_path / "evil.npz"
    np.savez(evil, observation=np.array([print], dtype=object))
    monkeypatch.setattr(bundle_module, "_golden_to_bytes", lambda _: evil.read_bytes())
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(BundleError, match="not a readable npz archive"):
        tiny_policy.write(tmp_path / "tiny")
