# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""For every test: graphics that need no screen, chosen before anything imports MuJoCo.

And a ROS domain for tests that start whole graphs through ``dppo_ros.bench``. Tests that run nodes
in real time come last and have the machine to themselves: beside other tests a small machine is too
slow for them, and holding the robot, which is right then, is not what they look for.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sim_training.offscreen import prefer_offscreen_rendering

prefer_offscreen_rendering()

_FIRST_DOMAIN, _DOMAINS = 97, 5
"""Domains above those of the node tests, below the end of the safe range."""
_TURN = Path(tempfile.gettempdir()) / f"dppo_ros_test_turn_{os.getuid()}"
_MACHINE = Path(tempfile.gettempdir()) / f"dppo_ros_test_machine_{os.getuid()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need the machine to themselves last, in their order."""
    items.sort(key=_runs_in_real_time)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a real-time test while no other test runs, in any worker; waiting is not its own time."""
    with _machine(alone=_runs_in_real_time(item)):
        return (yield)


@pytest.fixture
def drill_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every graph of a test a ROS domain of this worker's own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    domain = _FIRST_DOMAIN + worker % _DOMAINS
    monkeypatch.setattr("dppo_ros.bench.running.own_domain", lambda: domain)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


def _runs_in_real_time(item: pytest.Item) -> bool:
    return item.get_closest_marker("ros") is not None


@contextmanager
def _machine(*, alone: bool) -> Iterator[None]:
    """Share the machine with other tests, or have it alone; first come, first served."""
    with _MACHINE.open("w") as machine:
        with _TURN.open("w") as turn:
            # Whoever waits for the machine keeps his turn, or a stream of others would starve him.
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
