# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The JSON form of a bundle description, strictly typed and sealed with its own hash.

Every key is required, typed and range-checked, and unknown keys are refused. The hash over the
content (``manifest_sha256``) reveals edits, such as a changed normaliser, that the hashes of the
other files cannot reveal.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from dppo_ros.core.errors import BundleError, ConfigError
from dppo_ros.core.manifest import (
    EXPORT_ADVICE,
    HASHED_FILES,
    MANIFEST_FILE,
    SCHEMA_VERSION,
    ActionEnvelope,
    BundleManifest,
    DenoisingSettings,
    check_agreement,
)
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import VectorSpec
from dppo_ros.core.strict_json import JsonReader

_SELF_HASH_KEY = "manifest_sha256"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SMALLEST_POSITIVE = 1e-9
_T = TypeVar("_T")


def manifest_to_text(manifest: BundleManifest) -> str:
    """Return the content of ``bundle.json``, sealed with its own hash.

    Raises:
        BundleError: A value has no JSON form (such as NaN in a training dictionary).
    """
    content = _to_json(manifest)
    try:
        content[_SELF_HASH_KEY] = _self_hash(content)
        return json.dumps(content, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"the bundle description has no JSON form: {error}; `training`, `evaluation` and "
            "`parity` may hold finite numbers, text, booleans, null, lists and dictionaries only"
        ) from error


def manifest_from_text(text: str, where: str = MANIFEST_FILE) -> BundleManifest:
    """Return the checked description that ``manifest_to_text`` wrote.

    Args:
        text: Content of ``bundle.json``.
        where: How to name the file in messages.

    Raises:
        BundleError: Names the first thing that is missing, unknown, of the wrong type, out of
            range, contradictory or changed since it was written.
    """
    try:
        content = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not valid JSON ({error}); {EXPORT_ADVICE}") from error
    reader = JsonReader(content, where, BundleError, EXPORT_ADVICE)
    version = reader.integer("schema_version", minimum=1)
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{where}: schema_version is {version}; this release reads {SCHEMA_VERSION}; "
            f"{EXPORT_ADVICE} of this release, or install the release that wrote the bundle"
        )
    sealed = reader.text(_SELF_HASH_KEY)
    manifest = _from_reader(reader)
    reader.finish()
    check_agreement(manifest, where)
    del content[_SELF_HASH_KEY]
    if sealed != _self_hash(content):
        raise BundleError(
            f"{where}: the content does not match its own {_SELF_HASH_KEY}, so it was changed "
            f"after it was written; {EXPORT_ADVICE}"
        )
    return manifest


def _to_json(manifest: BundleManifest) -> dict[str, object]:
    denoising, envelope = manifest.denoising, manifest.envelope
    return {
        "schema_version": manifest.schema_version,
        "name": manifest.name,
        "task": manifest.task,
        "simulator": manifest.simulator,
        "observation": manifest.observation.to_json(),
        "action": manifest.action.to_json(),
        "observation_normalizer": manifest.observation_normalizer.to_json(),
        "action_normalizer": manifest.action_normalizer.to_json(),
        "observation_clip": manifest.observation_clip,
        "denoising": {
            "denoising_steps": denoising.denoising_steps,
            "ft_denoising_steps": denoising.ft_denoising_steps,
            "ddim_steps": denoising.ddim_steps,
            "eta": denoising.eta,
            "denoised_clip_value": denoising.denoised_clip_value,
            "final_action_clip_value": denoising.final_action_clip_value,
        },
        "horizon_steps": manifest.horizon_steps,
        "act_steps": manifest.act_steps,
        "cond_steps": manifest.cond_steps,
        "control_rate_hz": manifest.control_rate_hz,
        "envelope": {
            "minimum": np.asarray(envelope.minimum, dtype=np.float64).tolist(),
            "maximum": np.asarray(envelope.maximum, dtype=np.float64).tolist(),
            "max_step_change": np.asarray(envelope.max_step_change, dtype=np.float64).tolist(),
        },
        "training": dict(manifest.training),
        "git_commit": manifest.git_commit,
        "data_hash": manifest.data_hash,
        "evaluation": None if manifest.evaluation is None else dict(manifest.evaluation),
        "parity": dict(manifest.parity),
        "files": dict(manifest.files),
        # Written only where they apply, so that other bundles read as before.
        **({} if manifest.image_shape is None else {"image_shape": list(manifest.image_shape)}),
        **({"guidance": True} if manifest.guidance else {}),
    }


def _from_reader(reader: JsonReader) -> BundleManifest:
    return BundleManifest(
        schema_version=SCHEMA_VERSION,
        name=_nonempty(reader, "name"),
        task=_nonempty(reader, "task"),
        simulator=_nonempty(reader, "simulator"),
        observation=_part(reader, "observation", VectorSpec.from_json),
        action=_part(reader, "action", VectorSpec.from_json),
        observation_normalizer=_part(reader, "observation_normalizer", MinMaxNormalizer.from_json),
        action_normalizer=_part(reader, "action_normalizer", MinMaxNormalizer.from_json),
        observation_clip=reader.optional_number("observation_clip", _SMALLEST_POSITIVE),
        denoising=_denoising(reader.child("denoising")),
        horizon_steps=reader.integer("horizon_steps", minimum=1),
        act_steps=reader.integer("act_steps", minimum=1),
        cond_steps=reader.integer("cond_steps", minimum=1),
        control_rate_hz=reader.number("control_rate_hz", 1e-3, 1e4),
        envelope=_envelope(reader.child("envelope")),
        training=reader.mapping("training"),
        git_commit=reader.text("git_commit"),
        data_hash=reader.text("data_hash"),
        evaluation=reader.optional_mapping("evaluation"),
        parity=_parity(reader),
        files=_files(reader.child("files")),
        image_shape=_image_shape(reader),
        guidance=_guidance(reader),
    )


def _image_shape(reader: JsonReader) -> tuple[int, int, int, int] | None:
    if not reader.holds("image_shape"):
        return None
    images, channels, height, width = reader.numbers("image_shape", length=4)
    sizes = (int(images), int(channels), int(height), int(width))
    if min(sizes) < 1 or sizes != (images, channels, height, width):
        raise reader.refuse("image_shape", [images, channels, height, width], "positive integers")
    return sizes


def _guidance(reader: JsonReader) -> bool:
    if not reader.holds("guidance"):
        return False
    value = reader.raw("guidance")
    if not isinstance(value, bool):
        raise reader.refuse("guidance", value, "true or false")
    return value


def _nonempty(reader: JsonReader, key: str) -> str:
    value = reader.text(key)
    if not value:
        raise reader.refuse(key, value, "text that is not empty")
    return value


def _part(reader: JsonReader, key: str, read: Callable[[object], _T]) -> _T:
    value = reader.raw(key)
    try:
        return read(value)
    except ConfigError as error:
        raise reader.failure(f"key {key!r}: {error}") from error


def _denoising(reader: JsonReader) -> DenoisingSettings:
    settings = DenoisingSettings(
        denoising_steps=reader.integer("denoising_steps", minimum=1),
        ft_denoising_steps=reader.integer("ft_denoising_steps", minimum=0),
        ddim_steps=reader.integer("ddim_steps", minimum=1),
        eta=reader.number("eta", 0.0, 1.0),
        denoised_clip_value=reader.optional_number("denoised_clip_value", _SMALLEST_POSITIVE),
        final_action_clip_value=reader.optional_number(
            "final_action_clip_value", _SMALLEST_POSITIVE
        ),
    )
    reader.finish()
    return settings


def _envelope(reader: JsonReader) -> ActionEnvelope:
    minimum = reader.numbers("minimum")
    envelope = ActionEnvelope(
        minimum=np.array(minimum),
        maximum=np.array(reader.numbers("maximum", length=len(minimum))),
        max_step_change=np.array(reader.numbers("max_step_change", length=len(minimum))),
    )
    reader.finish()
    return envelope


def _parity(reader: JsonReader) -> dict[str, object]:
    parity = reader.child("parity")
    parity.number("max_abs_error", minimum=0.0)
    record = reader.mapping("parity")
    if "golden_tolerance" in record:
        parity.number("golden_tolerance", minimum=0.0)
    return record


def _files(reader: JsonReader) -> dict[str, str]:
    hashes = {name: reader.text(name) for name in HASHED_FILES}
    for name, value in hashes.items():
        if not _SHA256.fullmatch(value):
            raise reader.refuse(name, value, "a SHA-256 of 64 lower-case hexadecimal digits")
    reader.finish()
    return hashes


def _self_hash(content: Mapping[str, object]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _refuse_constant(name: str) -> object:
    raise ValueError(f"the number {name} is not finite")


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return result
