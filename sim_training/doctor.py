# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo doctor`: what this machine has, what is missing, and how to get it.

Anything that can crash or hang (rendering, starting ROS 2) is tried in a process of its own. This
module imports neither rclpy, mujoco nor torch, so that it can report their absence.
"""

from __future__ import annotations

import importlib.util
import json as json_format
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dppo_ros.core.errors import DppoError
from dppo_ros.paths import shipped_bundle
from sim_training.envs.worker_settings import find_interpreter
from sim_training.requirement_files import (
    install_command,
    installed_version,
    read_pins,
    read_requirements,
)

Status = Literal["ok", "note", "missing"]
_STYLE = {"ok": "green", "note": "yellow", "missing": "bold red"}
_PYTHON_RANGE = ((3, 10), (3, 12))
_FREE_DISK_GIB = 3.0
_PROBE_TIMEOUT_S = 60.0
_OPTIONAL_GROUPS = {
    "dev": "tests and linters",
    "gpu": "NVIDIA GPUs",
    "perception": "cameras and tags",
    "robomimic": "robomimic demonstrations",
    "wandb": "experiment tracking",
    "warp": "furniture tasks on a GPU",
}
_RENDER_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 3"/><geom type="box" size=".1 .1 .1"/></worldbody></mujoco>'
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data)
    image = renderer.render()
print("draws" if image.max() > image.min() else "only empty pictures")
"""
_ROS_PROBE = """
import rclpy
rclpy.init()
node = rclpy.create_node("dppo_doctor")
print(rclpy.get_rmw_implementation_identifier())
node.destroy_node()
rclpy.shutdown()
"""


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        section: Heading it stands under.
        name: What was looked at.
        status: "missing" is an error only where `required`; "note" is worth knowing.
        value: What was seen.
        advice: What to do about it, empty when nothing.
        required: Whether the base installation needs it.
    """

    section: str
    name: str
    status: Status
    value: str
    advice: str = ""
    required: bool = False


def run_doctor(json: bool = False) -> int:
    """Prints the environment report and returns 0 if everything the base needs is there, else 1.

    Args:
        json: Print one JSON object instead of a table.
    """
    checks = collect_checks()
    works = all(check.status != "missing" for check in checks if check.required)
    if json:
        print(json_format.dumps({"works": works, "checks": list(map(asdict, checks))}, indent=2))
    else:
        _print_table(checks, works)
    return 0 if works else 1


def collect_checks() -> list[Check]:
    """Returns every check of the report, in the order in which it is shown."""
    sections: tuple[Callable[[], Iterator[Check]], ...] = (
        _system_checks,
        _package_checks,
        _rendering_checks,
        _ros_checks,
        _gpu_checks,
        _bundle_checks,
        _other_interpreter_checks,
    )
    return [check for section in sections for check in section()]


def _system_checks() -> Iterator[Check]:
    low, high = _PYTHON_RANGE
    supported = low <= sys.version_info[:2] <= high
    yield Check(
        "system",
        "Python",
        "ok" if supported else "missing",
        f"{platform.python_version()} ({sys.executable})",
        "" if supported else "use Python 3.10 to 3.12: make distclean setup PYTHON=python3.12",
        required=True,
    )
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, {_memory_gib():.0f} GiB memory"
    yield Check("system", "operating system", "ok", _distribution())
    yield Check("system", "machine", "ok", machine)
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    enough = free_gib >= _FREE_DISK_GIB
    advice = "" if enough else f"runs and recordings need about {_FREE_DISK_GIB:.0f} GiB"
    yield Check("system", "free disk", "ok" if enough else "note", f"{free_gib:.0f} GiB", advice)


def _distribution() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, kernel {platform.release()}"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _package_checks() -> Iterator[Check]:
    pins = read_pins()
    for group in ("robot", "train", "ros"):
        foreign_ros = group == "ros" and _ros_origin() not in ("wheels", "")
        for requirement in read_requirements(group):
            if not foreign_ros:
                yield _package_check(requirement, pins, install_command(group))
    for group, purpose in _OPTIONAL_GROUPS.items():
        names = [requirement.name for requirement in read_requirements(group)]
        absent = [name for name in names if installed_version(name) is None]
        yield Check(
            "optional packages",
            f"{group} ({purpose})",
            "note" if absent else "ok",
            f"not installed: {', '.join(absent)}" if absent else ", ".join(names),
            install_command(group) if absent else "",
        )


def _package_check(requirement: Requirement, pins: dict[str, Version], how: str) -> Check:
    """Returns the check of one required package against what is asked for and what is pinned."""
    version = installed_version(requirement.name)
    pin = pins.get(canonicalize_name(requirement.name))
    if version is None:
        return Check("packages", requirement.name, "missing", "not installed", how, required=True)
    value = str(version)
    if not requirement.specifier.contains(version, prereleases=True):
        advice = f"needs {requirement.specifier}: make setup, or {how}"
        return Check("packages", requirement.name, "missing", value, advice, required=True)
    if pin is not None and Version(version.public) != pin:
        advice = f"tested with {pin}: make setup installs it"
        return Check("packages", requirement.name, "note", value, advice)
    return Check("packages", requirement.name, "ok", value, required=True)


def _rendering_checks() -> Iterator[Check]:
    backend = os.environ.get("MUJOCO_GL", "egl")
    works, said = _probe(_RENDER_PROBE, {"MUJOCO_GL": backend})
    advice = "apt-get install libegl1 libgl1-mesa-dri libgles2; without it: no pictures or videos"
    works = works and said == "draws"
    yield Check("rendering", backend, "ok" if works else "note", said, "" if works else advice)


def _ros_checks() -> Iterator[Check]:
    origin = _ros_origin()
    if not origin:
        advice = f"{install_command('ros')} (x86-64), or source an apt ROS 2 installation"
        yield Check("ROS 2", "rclpy", "missing", "not found", advice, required=True)
        return
    works, said = _probe(_ROS_PROBE, {})
    advice = "" if works else "start a shell that has only one ROS 2 on its paths; HOME must be set"
    state: Status = "ok" if works else "missing"
    yield Check("ROS 2", f"rclpy from {origin}", state, said, advice, required=True)
    domain = os.environ.get("ROS_DOMAIN_ID", "0 (default)")
    scope = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
    local = scope == "LOCALHOST" or os.environ.get("ROS_LOCALHOST_ONLY") == "1"
    seen = "this machine only" if local else scope or "SUBNET (default)"
    yield Check("ROS 2", "domain", "ok", domain)
    advice = "" if local else "dppo-ros up and the launch file use this machine only"
    yield Check("ROS 2", "discovery", "ok" if local else "note", seen, advice)


def _other_interpreter_checks() -> Iterator[Check]:
    """Simulators in interpreters of their own."""
    name = "robosuite (robomimic)"
    try:
        python = find_interpreter("robomimic", None)
    except DppoError as error:
        yield Check("other interpreters", name, "note", "not installed", str(error))
        return
    program = "import robosuite, mujoco; print(robosuite.__version__, 'mujoco', mujoco.__version__)"
    works, said = _probe(program, {}, python)
    advice = "" if works else f"{python} cannot import it: make robomimic"
    yield Check("other interpreters", name, "ok" if works else "note", said, advice)


def _ros_origin() -> str:
    """Returns where rclpy would come from: "wheels", "apt", another folder, or "" for nowhere."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None or spec.origin is None:
        return ""
    folder = Path(spec.origin).parent.parent
    if folder.is_relative_to(sys.prefix):
        return "wheels"
    return "apt" if folder.is_relative_to("/opt/ros") else str(folder)


def _gpu_checks() -> Iterator[Check]:
    command = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total",
        "--format=csv,noheader",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        yield Check("GPU", "NVIDIA", "ok", done.stdout.strip() or "none")
    except (OSError, subprocess.SubprocessError):
        yield Check("GPU", "NVIDIA", "ok", "none; nothing needs one")


def _bundle_checks() -> Iterator[Check]:
    try:
        # Imported here: without onnxruntime the rest of the report must still come out.
        from dppo_ros.core.bundle import load_bundle
        from dppo_ros.core.runtime import PolicyRuntime

        folder = shipped_bundle()
        PolicyRuntime(load_bundle(folder))
    except (DppoError, ImportError) as error:
        advice = "check the installation out again, or pass your own bundle"
        yield Check("bundle", "one_leg_low", "missing", str(error), advice, required=True)
    else:
        yield Check("bundle", folder.name, "ok", "hashes and golden pair agree", required=True)


def _probe(program: str, variables: dict[str, str], python: Path | None = None) -> tuple[bool, str]:
    """Returns whether a program succeeds in a fresh Python (default: this one); its last line."""
    try:
        done = subprocess.run(
            [str(python or sys.executable), "-c", program],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_PROBE_TIMEOUT_S:.0f} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"exit code {done.returncode}"


def _folded(checks: list[Check]) -> Iterator[Check]:
    """Yields the checks with all packages that are as pinned folded into one line."""
    fine = [check for check in checks if check.section == "packages" and check.status == "ok"]
    for check in checks:
        if check not in fine:
            yield check
        elif check is fine[0]:
            yield Check("packages", "required", "ok", f"{len(fine)} installed as tested")


def _print_table(checks: list[Check], works: bool) -> None:
    console = Console()
    table = Table(title="dppo doctor", title_justify="left")
    for heading in ("", "part", "what", "seen", "what to do"):
        table.add_column(heading, overflow="fold")
    section = ""
    for check in _folded(checks):
        new = check.section != section
        if new:
            section = check.section
            table.add_section()
        mark = f"[{_STYLE[check.status]}]{check.status}[/]"
        texts = (section if new else "", check.name, check.value, check.advice)
        table.add_row(mark, *map(escape, texts))
    console.print(table)
    if works:
        console.print("[green]Everything the base needs is there.[/]")
    else:
        console.print("[bold red]Something the base needs is missing; see the red lines.[/]")
