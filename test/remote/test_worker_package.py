# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker package runs where the trainer cannot: Python 3.8, NumPy, nothing else of ours."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim_training import remote_worker
from sim_training.remote_worker.adapters import ADAPTERS
from sim_training.remote_worker.blocks import ArraySpec, lay_out
from sim_training.remote_worker.service import decoded, encoded

FOLDER = Path(remote_worker.__file__).parent
SOURCES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_are_python_3_8(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    future = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    if path.stem != "__init__":  # so that annotations may be newer than 3.8
        assert any(node.module == "__future__" for node in future), path


def test_sources_use_nothing_newer_than_python_3_8() -> None:
    command = [sys.executable, "-c", "import vermin; vermin.main()", "-t=3.8-", "--violations"]
    done = subprocess.run(
        [*command, "--no-tips", str(FOLDER)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_import_nothing_else_of_the_project(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        assert not [n for n in names if n.split(".")[0] in ("sim_training", "dppo_ros")], path


def test_starting_a_worker_adds_nothing_to_the_module_search_path() -> None:
    code = (
        "import runpy, sys; before = list(sys.path); "
        f"runpy.run_path({str(FOLDER / '__main__.py')!r})['_load_package'](); "
        "assert sys.path == before, sys.path; import dppo_remote_worker.adapters as a; "
        "print(*sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'sim_training'}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_every_adapter_is_a_module_of_the_package() -> None:
    for module in ADAPTERS.values():
        source = (FOLDER / module.replace(".", "/")).with_suffix(".py")
        functions = [n for n in ast.parse(source.read_text()).body if hasattr(n, "name")]
        assert "make" in [node.name for node in functions], source


def test_arrays_lie_side_by_side_at_cache_lines() -> None:
    layout = lay_out([ArraySpec("a", (3,), "int8"), ArraySpec("b", (2, 5), "float64")])
    assert [(entry["offset"], entry["bytes"]) for entry in layout] == [(0, 3), (64, 80)]
    with pytest.raises(ValueError, match="names must be unique"):
        lay_out([ArraySpec("a", (3,), "int8"), ArraySpec("a", (3,), "int8")])


def test_arrays_survive_the_way_through_json() -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3), "flags": np.array([True, False])}
    for name, value in decoded(encoded(arrays)).items():
        assert value.dtype == arrays[name].dtype
        np.testing.assert_array_equal(value, arrays[name])
