# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the deployment pages name exists: arguments, files, commands, services, keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dppo_ros import cli, graph
from dppo_ros.description import ROBOTS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("deploy.md", "security.md")
NODES = ROOT / "dppo_ros" / "nodes"


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return (ROOT / "docs" / str(request.param)).read_text(encoding="utf-8")


def sources() -> str:
    folders = ("nodes", "core", "control", "camera", "perception")
    files = [path for name in folders for path in (ROOT / "dppo_ros" / name).rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def test_launch_arguments_exist_and_take_the_values_shown(page: str) -> None:
    known = {argument.name: argument for argument in graph.ARGUMENTS}
    named = set(re.findall(r"\b([a-z_]+):=([^\s`)]*)", page))
    assert named
    for name, value in named:
        assert name in known, f"{name}:= is no launch argument"
        if known[name].value.choices and value:
            assert value in known[name].value.choices


def test_files_exist(page: str) -> None:
    named = set(re.findall(r"(?<![\w/])((?:config|docs|urdf|dppo_ros)/[\w/.<>-]+\.\w+)", page))
    assert named
    for name in named:
        paths = [name.replace("<arm>", robot) for robot in ROBOTS]
        assert all((ROOT / path).is_file() for path in paths), name


def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page):
        path, _, anchor = link.partition("#")
        text = (ROOT / "docs" / path).read_text(encoding="utf-8") if path else page
        if anchor:
            titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, f"no section {anchor}"


def test_commands_exist(page: str) -> None:
    parser = cli.build_parser()
    known = set(re.findall(r"\{([\w,-]+)\}", parser.format_usage())[0].split(","))
    assert set(re.findall(r"dppo-ros ([a-z]+)", page)) <= known


def test_launch_files_exist(page: str) -> None:
    for name in re.findall(r"\b(\w+\.launch\.py)", page):
        assert (ROOT / "launch" / name).is_file()


def test_services_are_offered(page: str) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in NODES.glob("*.py"))
    for node, service in re.findall(r"`/(command|recorder|tag)/(\w+)`", page):
        if service != "status":
            assert f'"{service}"' in code or f'"~/{service}"' in code, f"/{node}/{service}"


def test_keys_of_the_diagnostics_table_are_reported() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    table = page.split("## Diagnostics")[1].split("Levels:")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == 9
    code = sources()
    for _, keys in rows:
        for key in re.findall(r"`([^`]+)`", keys):
            last = key.split(".")[-1].rstrip("*").rstrip("_")
            short = re.sub(r"_(median|p99|max)_ms$", "", last)
            assert last in code or f'"{short}"' in code or not last, f"no node reports {key}"
