# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The identity of a bundle, as noted in bags."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dppo_ros.core.errors import BundleError
from dppo_ros.core.manifest import MANIFEST_FILE


def bundle_digest(folder: Path) -> str:
    """Return the SHA-256 of the bundle's description, which itself holds those of its files.

    Raises:
        BundleError: It cannot be read.
    """
    try:
        return hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(
            f"cannot read {folder / MANIFEST_FILE}: {error.strerror}; give a complete bundle folder"
        ) from error
