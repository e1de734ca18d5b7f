# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where configuration, launch files and the shipped bundle are, however the package came here.

Tried in order: a source checkout (the folder above this package), the ament index
(``AMENT_PREFIX_PATH``, set by a colcon overlay), then ``share`` under the prefix of the
interpreter (a plain pip install).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from dppo_ros.core.errors import ConfigError

PACKAGE = "dppo_ros"
_MARK = Path("config") / "ros"


def share_candidates() -> tuple[Path, ...]:
    """Return every folder that may hold config, launch and bundles, best first."""
    found = [Path(__file__).resolve().parent.parent]
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    prefixes += [sys.prefix, sysconfig.get_path("data"), "/usr/local", "/usr"]
    found += [Path(prefix) / "share" / PACKAGE for prefix in prefixes]
    return tuple(dict.fromkeys(found))


def share_directory() -> Path:
    """Return the folder that holds ``config``, ``launch`` and ``urdf``.

    Raises:
        ConfigError: None of the candidates holds them.
    """
    for candidate in share_candidates():
        if (candidate / _MARK).is_dir():
            return candidate
    looked = ", ".join(str(path) for path in share_candidates())
    raise ConfigError(
        f"the data files of {PACKAGE} (folder {_MARK}) are in none of: {looked}; install the "
        "package with pip or colcon, or run from a source checkout"
    )


def ros_config(name: str) -> Path:
    """Return the parameter file of this name under ``config/ros``.

    Raises:
        ConfigError: There is no such file.
    """
    folder = share_directory() / _MARK
    path = folder / name
    if not path.is_file():
        names = ", ".join(sorted(entry.name for entry in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"no parameter file {path}; files there: {names}")
    return path


def shipped_bundle(name: str = "one_leg_low") -> Path:
    """Return the folder of a bundle that comes with the package, whether or not it is there."""
    return share_directory() / "config" / "bundles" / name


def find_bundle(given: str) -> Path:
    """Return the bundle folder for what a user typed: a path or the name of a shipped bundle.

    Raises:
        ConfigError: Neither exists.
    """
    typed = Path(given).expanduser()
    for candidate in (typed, shipped_bundle(given)):
        if given and candidate.is_dir():
            return candidate.resolve()
    folder = shipped_bundle().parent
    names = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    raise ConfigError(
        f"no policy bundle at {given!r}; give the folder that 'dppo export' wrote or the name "
        f"of a shipped bundle ({', '.join(names) or 'none is installed'})"
    )
