# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the command node rehearses when it is configured, with its parameters as shipped."""

from __future__ import annotations

from typing import Any

import pytest

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import SafetyError
from dppo_ros.nodes.command_setup import rehearse
from dppo_ros.parameters.command import COMMAND, SAFETY
from dppo_ros.paths import find_bundle
from dppo_ros.robots import find_robot


class Settings:
    """Parameters of a node without the node."""

    def __init__(self, **changes: object) -> None:
        self._values = {entry.name: entry.default for entry in (*COMMAND, *SAFETY)} | changes

    def setting(self, name: str) -> Any:  # noqa: ANN401
        return self._values[name]

    number = flag = text = setting


@pytest.mark.parametrize("lockstep", [False, True])
@pytest.mark.parametrize("robot", ["panda", "fr3"])
def test_rehearsal_executes_an_action(robot: str, lockstep: bool) -> None:
    manifest = load_bundle(find_bundle("one_leg_low")).manifest
    settings: Any = Settings(lockstep=lockstep)
    assert rehearse(settings, manifest, find_robot(robot)) == 1


def test_a_robot_in_lockstep_is_refused() -> None:
    manifest = load_bundle(find_bundle("one_leg_low")).manifest
    settings: Any = Settings(lockstep=True, backend="joint_trajectory")
    with pytest.raises(SafetyError, match="backend is 'joint_trajectory'; only the twin waits"):
        rehearse(settings, manifest, find_robot("panda"))


def test_rehearsal_where_home_breaks_a_limit_is_no_error() -> None:
    manifest = load_bundle(find_bundle("one_leg_low")).manifest
    settings: Any = Settings(**{"safety.workspace_maximum_m": [0.3, 0.1, 0.2]})
    assert rehearse(settings, manifest, find_robot("panda")) == 0
