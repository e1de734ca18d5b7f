# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rules for every tracked file: size, licence header, no traces of a machine, README in step."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_TRACKED_BYTES = 10 * 2**20
HEADER = ("Copyright 2026 The dppo_ros authors", "SPDX-License-Identifier: Apache-2.0")
# Spelled in pieces, so that this file does not contain what it forbids.
PATHS = re.compile("|".join(("/" + "root/", "/" + "home/", "/" + "work/", "/" + "tmp/[a-z]")))
HOSTS = re.compile(
    "py" + r"pi\.org|python" + r"hosted\.|download\.py" + r"torch\.|ana" + "conda\\."
)


def tracked_files() -> list[Path]:
    """Returns the files under version control, or every source file where git is absent."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True
        )
        names = [name for name in done.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        folders = ("dppo_ros", "sim_training", "test", "launch", "config", "urdf")
        names = [str(p.relative_to(ROOT)) for f in folders for p in (ROOT / f).rglob("*.*")]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


FILES = tracked_files()
PYTHON_FILES = [path for path in FILES if path.suffix == ".py"]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_python_files_stay_short() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in PYTHON_FILES}
    long = {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES}
    assert not long, f"over {MAX_FILE_LINES} lines, split them by concept: {long}"


def test_functions_stay_short() -> None:
    long = {}
    for path in PYTHON_FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{shown(path)}:{node.name}"] = lines
    assert not long, f"over {MAX_FUNCTION_LINES} lines: {long}"


def test_sources_carry_the_licence_header() -> None:
    sources = [p for p in FILES if p.suffix in (".py", ".sh", ".xacro") or p.name == "Makefile"]
    sources += list((ROOT / "executables").iterdir())
    lacking = [
        shown(path)
        for path in sources
        if path.stat().st_size
        and not all(line in path.read_text(encoding="utf-8")[:300] for line in HEADER)
    ]
    assert not lacking


def test_licence_is_the_full_apache_text() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("pattern", [PATHS, HOSTS], ids=["machine paths", "registry hosts"])
def test_no_tracked_file_names_a_machine_or_a_package_host(pattern: re.Pattern[str]) -> None:
    found = []
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{shown(path)}: {match.group()}" for match in pattern.finditer(text)]
    assert not found


def test_tracked_files_are_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "config").rglob("*") if path.is_file()) < (
        MAX_TRACKED_BYTES
    )
    assert not [shown(p) for p in FILES if p.stat().st_size > MAX_TRACKED_BYTES]


def test_readme_names_only_make_targets_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", readme, re.MULTILINE))
    assert {"demo", "test"} <= {first or second for first, second in named} <= targets


def test_readme_links_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    local = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if "://" not in link]
    assert local
    assert not [link for link in local if not (ROOT / link).exists()]


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make --no-print-directory test" in script
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in script
