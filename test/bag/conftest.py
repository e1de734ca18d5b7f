# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the bag tests: a bundle and an episode written without ROS."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The known policy of the node tests serves here too; there is one of it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nodes"))

from gentle_policy import write_gentle_bundle
from synthetic_bag import write_episode


@pytest.fixture(scope="session")
def gentle_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bundle that nobody may change."""
    return write_gentle_bundle(tmp_path_factory.mktemp("bundles") / "gentle").path


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory, gentle_bundle: Path) -> Path:
    """Return a bag that nobody may change."""
    return write_episode(tmp_path_factory.mktemp("bags") / "episode", gentle_bundle)
