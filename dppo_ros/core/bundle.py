# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy bundle: the one folder that crosses from training to the robot.

It holds ``policy.onnx`` (the whole denoising chain in raw units), ``bundle.json`` (see
``manifest``) and ``golden.npz`` (inputs and the outputs that the training network gave for them).
Writing is atomic: a folder of the final name appears complete or not at all. Reading fails
closed on anything missing, truncated, altered, contradictory or not finite. No pickle.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import BundleError
from dppo_ros.core.manifest import (
    GOLDEN_FILE,
    HASHED_FILES,
    IMAGE_INPUT,
    MANIFEST_FILE,
    ONNX_FILE,
    ActionEnvelope,
    BundleManifest,
    DenoisingSettings,
)
from dppo_ros.core.manifest_json import manifest_from_text, manifest_to_text

__all__ = [
    "ActionEnvelope",
    "BundleManifest",
    "DenoisingSettings",
    "PolicyBundle",
    "load_bundle",
    "write_bundle",
]

BUNDLE_FILES = (ONNX_FILE, MANIFEST_FILE, GOLDEN_FILE)

_ADVICE = "copy the complete bundle again, or export the policy again with `dppo export`"


@dataclass(frozen=True, eq=False)
class PolicyBundle:
    """A bundle whose every file was read and verified.

    Attributes:
        path: The folder.
        manifest: The checked content of ``bundle.json``.
        golden: ``observation`` (n, cond_steps, D_o), ``noise`` (n, horizon_steps, D_a) and
            ``actions`` (n, act_steps, D_a), float32, raw units; ``rgb`` (n, Ti, C, h, w) bytes for
            policies that see images.
        graph: The verified bytes of ``policy.onnx``, so that nobody reads the file a second time.
    """

    path: Path
    manifest: BundleManifest
    golden: Mapping[str, NDArray[Any]]
    graph: bytes = field(repr=False)


def load_bundle(folder: str | os.PathLike[str]) -> PolicyBundle:
    """Return the verified bundle in a folder.

    Args:
        folder: The bundle folder.

    Raises:
        BundleError: Anything is missing, truncated, altered, contradictory or not finite.
    """
    path = Path(folder)
    if not path.is_dir():
        raise BundleError(
            f"policy bundle {path} is not a folder; give the folder that holds "
            f"{', '.join(BUNDLE_FILES)}"
        )
    missing = [name for name in BUNDLE_FILES if not (path / name).is_file()]
    if missing:
        raise BundleError(f"policy bundle {path} lacks {', '.join(missing)}; {_ADVICE}")
    text = _decoded(_read(path / MANIFEST_FILE), path / MANIFEST_FILE)
    manifest = manifest_from_text(text, where=str(path / MANIFEST_FILE))
    contents = {name: _read(path / name) for name in HASHED_FILES}
    for name, content in contents.items():
        actual, expected = hashlib.sha256(content).hexdigest(), manifest.files[name]
        if actual != expected:
            raise BundleError(
                f"{path / name} ({len(content)} bytes) has SHA-256 {actual[:12]}..., but "
                f"{MANIFEST_FILE} expects {expected[:12]}...: it is truncated or altered; {_ADVICE}"
            )
    golden = _read_golden(contents[GOLDEN_FILE], manifest, str(path / GOLDEN_FILE))
    return PolicyBundle(path, manifest, golden, contents[ONNX_FILE])


def write_bundle(
    folder: str | os.PathLike[str],
    manifest: BundleManifest,
    onnx_bytes: bytes,
    golden: Mapping[str, NDArray[Any]],
    overwrite: bool = False,
) -> PolicyBundle:
    """Write a bundle atomically and return it as a reader will see it.

    Everything goes into a hidden folder beside the target, is read back through ``load_bundle``
    and only then renamed, so an interruption leaves nothing that looks like a bundle.

    Args:
        folder: Target folder; must not exist unless ``overwrite`` is set.
        manifest: The description; its ``files`` are replaced by the real hashes.
        onnx_bytes: The serialised graph.
        golden: ``observation``, ``noise`` and ``actions``, see ``PolicyBundle``.
        overwrite: Replace an older bundle (never a folder that holds anything else).

    Raises:
        BundleError: The target is busy, or what was given is not a valid bundle.
    """
    target = Path(os.path.abspath(folder))
    _check_target(target, overwrite)
    golden_bytes = _golden_to_bytes(golden)
    sealed = replace(
        manifest,
        files={
            ONNX_FILE: hashlib.sha256(onnx_bytes).hexdigest(),
            GOLDEN_FILE: hashlib.sha256(golden_bytes).hexdigest(),
        },
    )
    text = manifest_to_text(sealed)
    partial = target.parent / f".{target.name}.partial-{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        _write_durably(partial / ONNX_FILE, onnx_bytes)
        _write_durably(partial / GOLDEN_FILE, golden_bytes)
        _write_durably(partial / MANIFEST_FILE, text.encode())
        bundle = load_bundle(partial)
        _publish(partial, target)
    except OSError as error:
        raise BundleError(
            f"policy bundle {target} cannot be written ({error}); check the free space and the "
            "permissions of its parent folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return replace(bundle, path=target)


def _check_target(target: Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise BundleError(
            f"policy bundle {target} exists already; choose another folder or allow overwriting"
        )
    if target.is_symlink() or not target.is_dir():
        raise BundleError(
            f"{target} is a file or a link, not a bundle folder; move it away or choose another "
            "folder"
        )
    others = sorted({entry.name for entry in target.iterdir()} - set(BUNDLE_FILES))
    if others:
        raise BundleError(
            f"{target} also holds {', '.join(others[:3])}, which is not part of a bundle and would "
            "be lost by overwriting; move it away or choose another folder"
        )


def _publish(partial: Path, target: Path) -> None:
    """Give the finished folder its final name, keeping the old one until that has worked."""
    old = partial.with_name(f"{partial.name}-old")
    replaced = target.exists()
    if replaced:
        os.rename(target, old)
    try:
        os.rename(partial, target)
    except BaseException:
        if replaced:
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); {_ADVICE}") from error


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text; {_ADVICE}") from error


def _golden_to_bytes(golden: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        name: np.asarray(value, dtype=_golden_type(name)) for name, value in golden.items()
    }
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _golden_type(name: str) -> type[np.generic]:
    return np.uint8 if name == IMAGE_INPUT else np.float32


def _read_golden(content: bytes, manifest: BundleManifest, where: str) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{where}: not a readable npz archive ({error}); {_ADVICE}") from error
    shapes = {**manifest.input_shapes, "actions": manifest.actions_shape}
    if set(arrays) != set(shapes):
        raise BundleError(
            f"{where}: holds {sorted(arrays)}; it must hold exactly {sorted(shapes)}; {_ADVICE}"
        )
    count = len(arrays["observation"]) if arrays["observation"].ndim else 0
    for name, shape in shapes.items():
        array, kind = arrays[name], np.dtype(_golden_type(name))
        if count < 1 or array.shape != (count, *shape) or array.dtype != kind:
            raise BundleError(
                f"{where}: {name!r} is {array.dtype} of shape {array.shape}; it must be {kind} of "
                f"shape {('n', *shape)} with the same n >= 1 as the others; {_ADVICE}"
            )
        if not np.isfinite(array).all():
            raise BundleError(f"{where}: {name!r} holds a number that is not finite; {_ADVICE}")
        array.setflags(write=False)
    return arrays
