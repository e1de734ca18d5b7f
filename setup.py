# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Packaging for pip and for colcon (ament_python); what is installed where, and why.

Python packages go to site-packages. Everything ROS 2 looks up by path is `data_files`: the index
marker and `package.xml` (the package is found), launch, urdf and config (under `share/dppo_ros`),
and one start script per node under `lib/dppo_ros`, the only folder `ros2 run` and launch `Node`
search. A plain pip install puts console scripts in `bin`, so those start scripts are shipped as
files of `executables/`; they call the `dppo-ros-node` script that was installed with them and
thereby its interpreter.
"""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "dppo_ros"
ROOT = Path(__file__).resolve().parent
SHARE = f"share/{PACKAGE}"
EXTRAS = ("train", "ros", "gpu", "warp", "perception", "lerobot", "robomimic", "wandb", "dev")


def requirements(name: str) -> list[str]:
    """Returns the requirement lines of `requirements/<name>.txt`, without comments and includes."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in map(str.strip, lines) if line and line[0] not in "#-"]


def tree(folder: str, target: str) -> list[tuple[str, list[str]]]:
    """Returns `data_files` entries that copy every file below `folder`, keeping its structure."""
    by_folder: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            relative = path.relative_to(ROOT)
            destination = Path(target) / relative.parent.relative_to(folder)
            by_folder.setdefault(destination.as_posix(), []).append(relative.as_posix())
    return sorted(by_folder.items())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Diffusion policies fine-tuned with DPPO for robot assembly, MuJoCo and ROS 2",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The dppo_ros authors",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["dppo_ros", "dppo_ros.*", "sim_training", "sim_training.*"]),
    package_data={"dppo_ros": ["py.typed"], "sim_training": ["py.typed"]},
    install_requires=requirements("robot"),
    extras_require={
        **{name: requirements(name) for name in EXTRAS},
        # colcon test runs pytest only where an extra of this name asks for it.
        "test": ["pytest"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (SHARE, ["package.xml"]),
        *tree("launch", f"{SHARE}/launch"),
        *tree("urdf", f"{SHARE}/urdf"),
        *tree("config", f"{SHARE}/config"),
        *tree("requirements", f"{SHARE}/requirements"),
        *tree("executables", f"lib/{PACKAGE}"),
    ],
    entry_points={
        "console_scripts": [
            "dppo = sim_training.cli:main",
            "dppo-ros = dppo_ros.cli:main",
            "dppo-ros-node = dppo_ros.node_main:main",
        ],
    },
    zip_safe=False,
)
