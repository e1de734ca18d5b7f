# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the node tests: a bundle, and an isolated ROS domain for each test."""

from __future__ import annotations

import itertools
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The drawn pictures of the perception tests serve here too.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "perception"))

from gentle_policy import write_gentle_bundle

if TYPE_CHECKING:
    from ros_harness import Harness

_WORKERS = 8
_ROUNDS = 12
_RUN = zlib.crc32(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())).encode())
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_TESTS = itertools.count(_RUN)


@pytest.fixture(scope="session")
def gentle_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bundle that nobody may change."""
    return write_gentle_bundle(tmp_path_factory.mktemp("bundles") / "gentle").path


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a ROS domain of this test's own, set for it and its child processes."""
    # Parallel workers never share a domain; 0 to 101 is the range that is safe everywhere.
    domain = 1 + next(_TESTS) % _ROUNDS * _WORKERS + _WORKER % _WORKERS
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return domain


@pytest.fixture
def harness(ros_domain: int, tmp_path: Path) -> Iterator[Harness]:
    """Return a harness for node processes in this test's own domain."""
    pytest.importorskip("rclpy")
    from ros_harness import Harness

    made = Harness(ros_domain, tmp_path)
    yield made
    made.close()
