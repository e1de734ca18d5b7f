# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boundary 1 and 2 of the design: who may import what.

The core is imported for real in an interpreter where the forbidden packages cannot be found; the
nodes, which need ROS to run, are checked by reading their import statements.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dppo_ros"
CORE_MODULES = sorted(f"dppo_ros.core.{path.stem}" for path in (PACKAGE / "core").glob("[!_]*.py"))
FORBIDDEN_IN_CORE = ("rclpy", "torch", "mujoco", "sim_training")

IMPORT_WITH_BLOCKS = """
import importlib, importlib.abc, json, sys
modules, blocked = json.loads(sys.argv[1])

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in blocked:
            raise ImportError(f'{name} is blocked by this test')

sys.meta_path.insert(0, Blocker())
for module in modules:
    importlib.import_module(module)
print(sorted({name.partition('.')[0] for name in sys.modules} & set(blocked)))
"""


def _import_with_blocks(modules: list[str], blocked: tuple[str, ...]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_WITH_BLOCKS, json.dumps([modules, blocked])],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.strip() == "[]"


def _imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a file imports anywhere, also inside functions."""
    packages: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            packages.add(node.module.partition(".")[0])
    return packages


def test_core_imports_without_ros_torch_and_simulators() -> None:
    assert "dppo_ros.core.runtime" in CORE_MODULES
    _import_with_blocks(CORE_MODULES, FORBIDDEN_IN_CORE)


def test_core_needs_onnxruntime_in_one_file_only() -> None:
    others = [name for name in CORE_MODULES if not name.endswith(".runtime")]
    _import_with_blocks(others, ("onnxruntime", *FORBIDDEN_IN_CORE))


def test_perception_imports_without_ros_torch_and_simulators() -> None:
    pytest.importorskip("pupil_apriltags")
    names = [path.stem for path in (PACKAGE / "perception").glob("[!_]*.py")]
    assert "pipeline" in names
    _import_with_blocks([f"dppo_ros.perception.{name}" for name in names], FORBIDDEN_IN_CORE)


@pytest.mark.parametrize("folder", ["core", "perception", "camera", "control", "nodes", "bag"])
def test_robot_side_never_imports_torch(folder: str) -> None:
    with_ros = folder in ("nodes", "bag")
    forbidden = {"torch", "pickle"} | (set() if with_ros else set(FORBIDDEN_IN_CORE))
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        found = _imported_packages(path) & forbidden
        assert not found, f"{path.relative_to(PACKAGE.parent)} imports {sorted(found)}"


def test_import_scan_sees_imports_inside_functions(tmp_path: Path) -> None:
    source = tmp_path / "sample.py"
    source.write_text("def f():\n    import torch.nn\n    from rclpy.node import Node\n")
    assert _imported_packages(source) == {"torch", "rclpy"}
