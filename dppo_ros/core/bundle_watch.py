# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Notices when the files of a loaded bundle change on disk.

What was loaded stays in use: a policy must not change while a robot obeys it. But everybody who
reads the folder from then on (a recorder noting its hash, a restarted node) sees another policy,
and that has to be said.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from dppo_ros.core.bundle import BUNDLE_FILES, PolicyBundle
from dppo_ros.core.errors import BundleError
from dppo_ros.core.manifest import MANIFEST_FILE


class BundleWatch:
    """Compares a bundle's folder with what was loaded from it."""

    def __init__(self, bundle: PolicyBundle) -> None:
        """Remember what was loaded.

        Args:
            bundle: From ``load_bundle``, just now.

        Raises:
            BundleError: The folder is gone already.
        """
        try:
            text = (bundle.path / MANIFEST_FILE).read_bytes()
        except OSError as error:
            raise BundleError(
                f"{bundle.path} vanished while it was loaded ({error.strerror}); copy the bundle "
                "again and configure the node again"
            ) from error
        self._folder = bundle.path
        self._loaded = {
            **bundle.manifest.files,
            MANIFEST_FILE: hashlib.sha256(text).hexdigest(),
        }
        self._seen: dict[str, tuple[int, int]] = {}
        self._changed: dict[str, str] = {}

    def changes(self) -> tuple[str, ...]:
        """Return what differs now, one phrase per file; empty while nothing does.

        Files are read only when their time or size is new, so this may be called every second.
        """
        for name in BUNDLE_FILES:
            self._look(name, self._folder / name)
        return tuple(self._changed.values())

    def _look(self, name: str, path: Path) -> None:
        try:
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size)
            if self._seen.get(name) == mark:
                return
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            self._seen.pop(name, None)
            self._changed[name] = f"{name} cannot be read any more ({error.strerror})"
            return
        self._seen[name] = mark
        if digest == self._loaded[name]:
            self._changed.pop(name, None)
        else:
            self._changed[name] = f"{name} is not the one that was loaded"
