# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the fault tests: a ROS domain that no other test uses."""

from __future__ import annotations

import os

import pytest

_FIRST_DOMAIN, _DOMAINS = 97, 5
"""Domains above those of the node tests, below the end of the safe range."""


@pytest.fixture
def drill_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every drill of a test a ROS domain of this worker's own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    domain = _FIRST_DOMAIN + worker % _DOMAINS
    monkeypatch.setattr("dppo_ros.bench.running.own_domain", lambda: domain)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
