# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges the ROS environment of this shell and the machine it runs on. No rclpy."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dppo_ros.preflight.step import Step, judged

SECTION, MACHINE = "ROS environment", "this machine"
DISTRIBUTIONS = ("humble", "jazzy", "kilted")
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
MINIMUM_FREE_GIB = 5.0
_MAX_DOMAIN = 101
_GOVERNORS = "cpu[0-9]*/cpufreq/scaling_governor"


@dataclass(frozen=True)
class Machine:
    """Facts about this machine.

    Attributes:
        cpus: Number of processors.
        governors: Names of the frequency governors in use; empty where the kernel has none.
        realtime_kernel: Whether the kernel is a PREEMPT_RT one.
        realtime_priority: Highest real-time priority this user may ask for.
        locked_memory: Whether this user may lock all memory.
        free_gib: Free space where bags go.
        load: Mean number of busy processes in the last minute.
    """

    cpus: int = 2
    governors: frozenset[str] = frozenset()
    realtime_kernel: bool = False
    realtime_priority: int = 0
    locked_memory: bool = False
    free_gib: float = 100.0
    load: float = 0.0


@dataclass(frozen=True)
class RosInstallation:
    """Facts about the ROS 2 that Python would import.

    Attributes:
        rclpy: Whether rclpy can be imported.
        optional: Optional message packages and whether they are there.
    """

    rclpy: bool = True
    optional: Mapping[str, bool] = field(default_factory=dict)


def read_machine(folder: Path) -> Machine:
    """Return the facts about this machine; ``folder`` is where bags go."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    governors = {
        path.read_text(encoding="ascii").strip()
        for path in Path("/sys/devices/system/cpu").glob(_GOVERNORS)
    }
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    return Machine(
        cpus=os.cpu_count() or 1,
        governors=frozenset(governors),
        realtime_kernel=Path("/sys/kernel/realtime").exists(),
        realtime_priority=resource.getrlimit(resource.RLIMIT_RTPRIO)[0],
        locked_memory=unlimited,
        free_gib=shutil.disk_usage(existing).free / 2**30,
        load=os.getloadavg()[0],
    )


def read_installation() -> RosInstallation:
    """Return the facts about the installed ROS 2."""
    names = ("franka_msgs", "control_msgs", "tf2_msgs")
    found = {name: importlib.util.find_spec(name) is not None for name in names}
    return RosInstallation(importlib.util.find_spec("rclpy") is not None, found)


def environment_steps(
    variables: Mapping[str, str], installation: RosInstallation, pictures: bool
) -> Iterator[Step]:
    """Yield what there is to say about the environment variables.

    Args:
        variables: Environment of the process.
        installation: What is installed.
        pictures: Whether raw pictures travel between processes.
    """
    yield judged(
        SECTION, "rclpy", installation.rclpy, "found" if installation.rclpy else "not found",
        "ROS 2 for Python", "source the setup file of a ROS 2 installation, or install the 'ros' "
        "requirements with pip",
    )  # fmt: skip
    distribution = variables.get("ROS_DISTRO", "")
    yield judged(
        SECTION, "distribution", not distribution or distribution in DISTRIBUTIONS,
        distribution or "not set (Python wheels)", ", ".join(DISTRIBUTIONS),
        "use one of the tested distributions", "warn",
    )  # fmt: skip
    implementation = variables.get("RMW_IMPLEMENTATION", "")
    yield judged(
        SECTION, "middleware", implementation in ("", "rmw_fastrtps_cpp"),
        implementation or "default of the installation", "rmw_fastrtps_cpp is the tested one",
        "check rates and jitter below twice: quality of service and shared memory are set up for "
        "Fast DDS", "warn",
    )  # fmt: skip
    yield _scope_step(variables)
    yield _domain_step(variables.get("ROS_DOMAIN_ID", "0"))
    yield from _profile_steps(variables, pictures)


def _scope_step(variables: Mapping[str, str]) -> Step:
    scope = variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper()
    old = variables.get("ROS_LOCALHOST_ONLY", "")
    if scope == "OFF":
        return Step(
            SECTION, "who can listen", "fail", "discovery is off: no node finds another",
            "LOCALHOST, or SUBNET on a network of your own",
            "export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST",
        )  # fmt: skip
    local = scope == "LOCALHOST" or old == "1"
    return judged(
        SECTION, "who can listen", local,
        "this machine only" if local else f"every machine in reach ({scope or 'default SUBNET'})",
        "this machine only, unless the robot's computer is another one",
        "anyone on that network can command the arm: keep it physically separate (docs/security.md)"
        " or export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST (Humble: ROS_LOCALHOST_ONLY=1)", "warn",
    )  # fmt: skip


def _domain_step(text: str) -> Step:
    good = text.isdecimal() and int(text) <= _MAX_DOMAIN
    return judged(
        SECTION, "domain", good, f"ROS_DOMAIN_ID {text}", f"a number from 0 to {_MAX_DOMAIN}",
        "export ROS_DOMAIN_ID with one number that only this cell uses",
    )  # fmt: skip


def _profile_steps(variables: Mapping[str, str], pictures: bool) -> Iterator[Step]:
    """Yield whether pictures will arrive; see ``config/fastdds_shm.xml``."""
    if not pictures:
        return
    files = {variables[name] for name in PROFILE_VARIABLES if variables.get(name)}
    absent = [name for name in sorted(files) if not Path(name).is_file()]
    good = bool(files) and not absent
    seen = ", ".join(sorted(files)) or "not set in this shell"
    yield judged(
        SECTION, "shared memory for pictures", good,
        f"{seen}{' (no such file)' if absent else ''}",
        f"{' and '.join(PROFILE_VARIABLES)} name config/fastdds_shm.xml",
        "the launch files set it for the nodes they start; set it for every other process that "
        "publishes pictures, and look at the picture rates below", "fail" if absent else "warn",
    )  # fmt: skip


def machine_steps(machine: Machine, robot: bool, recording: bool) -> Iterator[Step]:
    """Yield what there is to say about the machine.

    Args:
        machine: The facts.
        robot: Whether a real arm is commanded from here.
        recording: Whether a bag is to be written.
    """
    enough = machine.free_gib >= MINIMUM_FREE_GIB
    yield judged(
        MACHINE, "free disk", enough or not recording, f"{machine.free_gib:.1f} GiB",
        f"{MINIMUM_FREE_GIB:g} GiB for a session (about 10 MB for each minute without pictures)",
        "make room, or record to another disk",
        "fail" if machine.free_gib < 1.0 and recording else "warn",
    )  # fmt: skip
    busy = machine.load > machine.cpus
    yield judged(
        MACHINE, "load", not busy or not robot, f"{machine.load:.1f} on {machine.cpus} processors",
        "below the number of processors", "end what else is running; commands come late otherwise",
        "warn",
    )  # fmt: skip
    if not robot:
        yield Step(MACHINE, "real time", "ok", "not needed by the twin")
        return
    slow = machine.governors - {"performance"}
    yield judged(
        MACHINE, "frequency governor", not slow, ", ".join(sorted(machine.governors)) or "none",
        "performance", "cpupower frequency-set -g performance", "warn",
    )  # fmt: skip
    seen = (
        f"priority {machine.realtime_priority}, memory lock "
        f"{'allowed' if machine.locked_memory else 'refused'}, "
        f"{'PREEMPT_RT' if machine.realtime_kernel else 'ordinary'} kernel"
    )
    yield judged(
        MACHINE, "real time", machine.realtime_priority > 0, seen,
        "rtprio above 0 for this user on the machine that runs the 1 kHz loop",
        "fine when the controller runs on another machine; otherwise add rtprio and memlock in "
        "limits.conf (docs/deploy.md)", "warn",
    )  # fmt: skip
