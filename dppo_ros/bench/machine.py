# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a measurement was taken on: processor, cores, load, and the versions that matter."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = ("numpy", "onnxruntime", "mujoco")


def machine_facts() -> dict[str, str]:
    """Return facts about this machine and how busy it is right now."""
    one, five, _ = os.getloadavg()
    versions = (f"{name} {_version(name)}" for name in _PACKAGES)
    return {
        "processor": processor_name(Path("/proc/cpuinfo")),
        "cores": str(len(os.sched_getaffinity(0))),
        "load before": f"{one:.2f} (1 min), {five:.2f} (5 min)",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "ROS 2": f"{os.environ.get('ROS_DISTRO', 'from pip')}, rclpy {_version('ros-rclpy')}",
        "libraries": ", ".join(versions),
    }


def processor_name(file: Path) -> str:
    """Return the model name from a file like ``/proc/cpuinfo``, else the architecture."""
    if file.is_file():
        for line in file.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed as a package"
