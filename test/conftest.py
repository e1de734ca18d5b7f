# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""For every test: graphics that need no screen, chosen before anything imports MuJoCo.

And a ROS domain for tests that start whole graphs through ``dppo_ros.bench``.
"""

from __future__ import annotations

import os

import pytest

from sim_training.offscreen import prefer_offscreen_rendering

prefer_offscreen_rendering()

_FIRST_DOMAIN, _DOMAINS = 97, 5
"""Domains above those of the node tests, below the end of the safe range."""


@pytest.fixture
def drill_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every graph of a test a ROS domain of this worker's own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    domain = _FIRST_DOMAIN + worker % _DOMAINS
    monkeypatch.setattr("dppo_ros.bench.running.own_domain", lambda: domain)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
