# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What ROS 2, pip and colcon look for in the package, without installing it.

A `package.xml` that does not validate is silently treated as plain Python by colcon, and an
executable missing from `lib/<package>` is found by nobody until `ros2 run` fails.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import os
import re
import runpy
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dppo_ros.graph import NODES

ROOT = Path(__file__).resolve().parents[2]
DIRECT = ("robot", "train", "ros", "dev", "gpu", "perception", "robomimic", "wandb", "warp")
PYTHONS = ("3.10", "3.11", "3.12")
# Python modules that a rosdep key of another name provides.
ROS_KEY = {"numpy": "python3-numpy", "yaml": "python3-yaml"}


@pytest.fixture(scope="module")
def setup_arguments() -> dict[str, Any]:
    """Returns what setup.py hands to setuptools."""
    seen: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **arguments: seen.update(arguments))
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return seen


@pytest.fixture(scope="module")
def manifest() -> ET.Element:
    return ET.parse(ROOT / "package.xml").getroot()


def text_of(element: ET.Element, path: str) -> str:
    found = element.find(path)
    assert found is not None and found.text, f"package.xml has no {path}"
    return found.text.strip()


def requirement_lines(name: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and line[0] not in "#-"]


def test_package_manifest_is_a_valid_format_3_ament_python_package(
    manifest: ET.Element, setup_arguments: dict[str, Any]
) -> None:
    assert manifest.get("format") == "3"
    assert text_of(manifest, "name") == setup_arguments["name"] == "dppo_ros"
    assert text_of(manifest, "version") == setup_arguments["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", text_of(manifest, "version"))
    assert text_of(manifest, "license") == setup_arguments["license"] == "Apache-2.0"
    assert text_of(manifest, "export/build_type") == "ament_python"
    maintainer = manifest.find("maintainer")
    assert maintainer is not None
    assert re.fullmatch(r"[-\w.]+@[-\w.]+\.[a-z]{2,}", maintainer.get("email", ""))


def test_package_manifest_depends_on_every_ros_package_the_nodes_import(
    manifest: ET.Element,
) -> None:
    declared = {element.text for element in manifest.findall("exec_depend")}
    standard = {"dppo_ros", "sim_training", "onnxruntime", "rosbags", "tyro", "rich", "matplotlib"}
    imported: set[str] = set()
    for folder in ("dppo_ros", "launch"):
        for path in (ROOT / folder).rglob("*.py"):
            imported |= imported_packages(path)
    ros = {
        name
        for name in imported
        if name.endswith(("_msgs", "_srvs", "_interfaces")) or name in ("rclpy", *ROS_KEY)
    } | ({"launch", "launch_ros"} & imported)
    assert {ROS_KEY.get(name, name) for name in ros - standard} <= declared


def imported_packages(path: Path) -> set[str]:
    """Returns the top-level packages a source file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_scripts_go_where_ros2_run_looks() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["develop"]["script_dir"] == "$base/lib/dppo_ros"
    assert config["install"]["install_scripts"] == "$base/lib/dppo_ros"


def test_every_node_has_a_start_script_and_no_start_script_lacks_a_node() -> None:
    scripts = {path.name: path for path in (ROOT / "executables").iterdir()}
    assert set(scripts) == {node.executable for node in NODES}
    assert len({path.read_bytes() for path in scripts.values()}) == 1
    for path in scripts.values():
        assert os.access(path, os.X_OK), f"{path} is not executable"


def test_start_script_says_what_to_do_when_the_installation_is_broken(tmp_path: Path) -> None:
    script = tmp_path / "lib" / "dppo_ros" / "sim_node"
    script.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "executables" / "sim_node").read_bytes())
    script.chmod(0o755)
    done = subprocess.run([str(script)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "sim_node: no dppo-ros-node in" in done.stderr and "install" in done.stderr


def test_start_script_hands_its_name_and_arguments_on(tmp_path: Path) -> None:
    script = tmp_path / "lib" / "dppo_ros" / "policy_node"
    target = tmp_path / "bin" / "dppo-ros-node"
    for path in (script, target):
        path.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "executables" / "policy_node").read_bytes())
    target.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    for path in (script, target):
        path.chmod(0o755)
    done = subprocess.run(
        [str(script), "--ros-args", "-p", "seed:=1"], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.split() == ["policy_node", "--ros-args", "-p", "seed:=1"]


def test_data_files_exist_and_cover_what_is_looked_up_by_path(
    setup_arguments: dict[str, Any],
) -> None:
    installed: set[str] = set()
    for target, sources in setup_arguments["data_files"]:
        assert not Path(target).is_absolute()
        for source in sources:
            assert (ROOT / source).is_file(), source
            installed.add(f"{target}/{Path(source).name}")
    share = "share/dppo_ros"
    wanted = {
        "share/ament_index/resource_index/packages/dppo_ros",
        f"{share}/package.xml",
        f"{share}/launch/franka_one_leg.launch.py",
        f"{share}/urdf/one_leg_cell.urdf.xacro",
        f"{share}/requirements/constraints.txt",
        *(f"{share}/config/ros/{node.config}" for node in NODES),
        *(f"lib/dppo_ros/{node.executable}" for node in NODES),
    }
    for folder in ("config", "urdf", "launch"):
        sources = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        wanted |= {
            f"{share}/{path.relative_to(ROOT).as_posix()}"
            for path in sources
            if "__pycache__" not in path.parts
        }
    assert wanted <= installed


def test_every_package_with_code_is_packaged(setup_arguments: dict[str, Any]) -> None:
    for top in ("dppo_ros", "sim_training"):
        folders = {path.parent.relative_to(ROOT) for path in (ROOT / top).rglob("*.py")}
        dotted = {".".join(folder.parts) for folder in folders}
        assert dotted <= set(setup_arguments["packages"]), "a folder lacks __init__.py"


def test_console_scripts_point_at_callables(setup_arguments: dict[str, Any]) -> None:
    scripts = dict(
        entry.replace(" ", "").split("=")
        for entry in setup_arguments["entry_points"]["console_scripts"]
    )
    assert set(scripts) == {"dppo", "dppo-ros", "dppo-ros-node"}
    for target in scripts.values():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_extra_named_test_exists_so_that_colcon_test_runs_pytest(
    setup_arguments: dict[str, Any],
) -> None:
    assert "pytest" in setup_arguments["extras_require"]["test"]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_one_fitting_pin_on_every_python(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pins: dict[str, str] = {}
    for pin in requirement_lines("constraints"):
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in pins, f"{name} is pinned twice for Python {python}"
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            pins[name] = specifier.version
    for group in DIRECT:
        for requirement in requirement_lines(group):
            if requirement.marker is not None and not requirement.marker.evaluate(environment):
                continue
            pinned = pins.get(canonicalize_name(requirement.name))
            assert pinned is not None, f"{requirement.name} has no pin for Python {python}"
            assert requirement.specifier.contains(pinned, prereleases=True)


def test_robot_side_needs_neither_torch_nor_a_simulator(setup_arguments: dict[str, Any]) -> None:
    names = {Requirement(line).name for line in setup_arguments["install_requires"]}
    assert not names & {"torch", "mujoco", "onnx", "tensorboard"}
