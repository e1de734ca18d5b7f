# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads `requirements/*.txt`: what the project asks for and which versions it was tested with."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dppo_ros.paths import share_directory


def read_requirements(name: str) -> list[Requirement]:
    """Returns the requirements of `requirements/<name>.txt` that apply to this Python.

    Raises:
        ConfigError: The data files of the package are not installed.
    """
    path = share_directory() / "requirements" / f"{name}.txt"
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    parsed = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return [entry for entry in parsed if entry.marker is None or entry.marker.evaluate()]


def install_command(name: str) -> str:
    """Returns the pip command that installs the packages of `requirements/<name>.txt`."""
    folder = share_directory() / "requirements"
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return f"pip install -r {shown}/{name}.txt -c {shown}/constraints.txt"


def read_pins() -> dict[str, Version]:
    """Returns the pinned version of every package for this Python, by canonical name."""
    return {
        canonicalize_name(entry.name): Version(next(iter(entry.specifier)).version)
        for entry in read_requirements("constraints")
    }


def installed_version(name: str) -> Version | None:
    """Returns the version of an installed package, or None where it is absent."""
    try:
        return Version(metadata.version(name))
    except metadata.PackageNotFoundError:
        return None
