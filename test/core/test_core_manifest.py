# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every way in which ``bundle.json`` can be damaged is refused, with key, value and next step."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import BundleError
from dppo_ros.core.manifest_json import manifest_from_text, manifest_to_text

if TYPE_CHECKING:
    from conftest import TinyPolicy

Damage = Callable[[dict[str, Any]], None]


def _edit_manifest(folder: Path, damage: Damage) -> None:
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))


def _set(path: str, value: object) -> Damage:
    def damage(content: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            content = content[key]
        content[last] = value

    return damage


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"schema_version": 1,', "not valid JSON"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"[1]", "expected a JSON object, found"),
        (b'{"schema_version": 1, "schema_version": 1}', "'schema_version' occurs twice"),
        (b'{"schema_version": NaN}', "the number NaN is not finite"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_unreadable_description_is_refused(
    tiny_policy: TinyPolicy, tmp_path: Path, content: bytes, message: str
) -> None:
    folder = tiny_policy.write(tmp_path / "tiny").path
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_set("schema_version", 2), "schema_version is 2; this release reads 1"),
        (_set("schema_version", "1"), "'schema_version' is '1'; it must be an integer"),
        (_set("name", ""), "'name' is ''; it must be text that is not empty"),
        (_set("colour", 1), "unknown key 'colour'"),
        (_set("horizon_stepz", 1), "'horizon_stepz'; did you mean 'horizon_steps'"),
        (_set("horizon_steps", 0), "'horizon_steps' is 0; it must be an integer of at least 1"),
        (_set("act_steps", True), "'act_steps' is True"),
        (_set("act_steps", 7), "'act_steps' is 7, more than 'horizon_steps' = 6"),
        (_set("cond_steps", 1.5), "'cond_steps' is 1.5"),
        (_set("control_rate_hz", 0), "'control_rate_hz' is 0; it must be a finite number in"),
        (_set("observation_clip", -1), "'observation_clip' is -1"),
        (_set("denoising", []), r"'denoising' is \[\]; it must be a JSON object"),
        (_set("denoising.eta", 1.5), r"'denoising\.eta' is 1\.5; it must be .* in \[0\.0, 1\.0\]"),
        (_set("denoising.steps", 1), r"unknown key 'denoising\.steps'"),
        (_set("denoising.ddim_steps", 101), "'ddim_steps' is 101, more than 'denoising_steps'"),
        (_set("denoising.ft_denoising_steps", 6), "'ft_denoising_steps' is 6, more than 'ddim"),
        (_set("observation.fields", []), "key 'observation': a vector layout has no fields"),
        (_set("action_normalizer.minimum", [0, 1]), "key 'action_normalizer': normaliser"),
        (
            _set("action_normalizer", {"minimum": [0], "maximum": [1]}),
            "'action_normalizer' has 1 numbers but the vector layout has 3",
        ),
        (_set("envelope.maximum", [1, 2]), r"'envelope\.maximum' is 'a list of 2'"),
        (_set("envelope.maximum", [-2, -2, -2]), r"'envelope\.minimum' exceeds"),
        (_set("training", None), "'training' is None; it must be a JSON object"),
        (_set("git_commit", 5), "'git_commit' is 5; it must be text"),
        (_set("evaluation", "good"), "'evaluation' is 'good'; it must be a JSON object"),
        (_set("parity", {}), "lacks the key 'parity.max_abs_error'"),
        (_set("parity.max_abs_error", -1), r"'parity\.max_abs_error' is -1"),
        (_set("files", {}), "lacks the key 'files.policy.onnx'"),
        (lambda c: c["files"].update({"policy.onnx": "abc"}), "a SHA-256 of 64 lower-case"),
        (lambda c: c["files"].update({"extra.bin": "0" * 64}), r"unknown key 'files\.extra\.bin'"),
        (lambda c: c.pop("task"), "lacks the key 'task'"),
        (lambda c: c.pop("manifest_sha256"), "lacks the key 'manifest_sha256'"),
        (_set("name", "another"), "does not match its own manifest_sha256"),
        (_set("training.seed", 7), "does not match its own manifest_sha256"),
    ],
)
def test_damaged_description_is_refused_with_key_and_value(
    tiny_policy: TinyPolicy, tmp_path: Path, damage: Damage, message: str
) -> None:
    folder = tiny_policy.write(tmp_path / "tiny").path
    _edit_manifest(folder, damage)
    with pytest.raises(BundleError, match=message) as caught:
        load_bundle(folder)
    assert "dppo export" in str(caught.value), "the next step is missing"
    assert "\n" not in str(caught.value)


def test_every_key_is_required(tiny_policy: TinyPolicy) -> None:
    hashes = {"policy.onnx": "0" * 64, "golden.npz": "0" * 64}
    text = manifest_to_text(replace(tiny_policy.manifest, files=hashes))
    manifest_from_text(text)
    for key in json.loads(text):
        content = json.loads(text)
        del content[key]
        with pytest.raises(BundleError, match=f"lacks the key '{key}'"):
            manifest_from_text(json.dumps(content))


def test_manifest_shapes(tiny_policy: TinyPolicy) -> None:
    manifest = tiny_policy.manifest
    assert manifest.observation_shape == (1, 4)
    assert manifest.noise_shape == (6, 3)
    noisy = replace(manifest, denoising=replace(manifest.denoising, eta=1.0))
    assert noisy.noise_shape == (6 * (1 + 5), 3)
    assert manifest.actions_shape == (4, 3)
