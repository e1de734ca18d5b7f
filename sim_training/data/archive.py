# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the files of a dataset folder: npz archives, checksums, dataset.json."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import DataError

SCHEMA_VERSION = 1
_BLOCK_BYTES = 1 << 20
_PICKLE_ADVICE = (
    "it holds pickled objects, which can run code when they are read; convert it where you trust "
    "it: numpy.savez(new_file, **arrays), every value a plain array of numbers"
)


def load_npz(
    path: Path, keys: Collection[str], optional: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Return the named arrays of an npz file; never unpickles anything.

    Args:
        path: the file.
        keys: arrays that must be there.
        optional: arrays that may be there.

    Raises:
        DataError: missing, cut, not an npz file, an array missing, or pickled content.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = sorted(set(keys) - set(archive.files))
            if missing:
                raise DataError(f"{path} lacks the array(s) {', '.join(missing)}")
            return {key: archive[key] for key in (*keys, *optional) if key in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = _PICKLE_ADVICE if "pickle" in str(error) else str(error)
        raise DataError(f"{path} is not a readable npz file: {reason}") from error


def npz_names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an npz file.

    Raises:
        DataError: missing, cut or not an npz file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return tuple(archive.files)
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = _PICKLE_ADVICE if "pickle" in str(error) else str(error)
        raise DataError(f"{path} is not a readable npz file: {reason}") from error


def save_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz file under a temporary name first, so that it is never half there."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    os.replace(part, path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def save_description(path: Path, description: Mapping[str, Any]) -> None:
    """Write dataset.json under a temporary name first."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def load_description(folder: Path) -> dict[str, Any]:
    """Return the content of dataset.json.

    Raises:
        DataError: missing, unreadable, incomplete or of another schema version.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        raise DataError(
            f"{folder} is not a dataset (no dataset.json); write one with `dppo data generate`"
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable JSON: {error}; generate it again") from error
    keys = {"schema_version", "observation", "action", "metadata", "sha256"}
    if not isinstance(description, dict) or not keys <= set(description):
        raise DataError(f"{path} lacks some of {', '.join(sorted(keys))}; generate it again")
    if description["schema_version"] != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {description['schema_version']}; this program reads "
            f"version {SCHEMA_VERSION}"
        )
    return description
