# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the simulator on MuJoCo Warp (no Warp needed to read them)."""

from __future__ import annotations

from dataclasses import dataclass

from dppo_ros.core.errors import ConfigError


@dataclass(frozen=True)
class DeviceMemory:
    """Room for contacts on the device; MuJoCo Warp cannot make more while it runs."""

    contacts: int = 192
    """Candidates for contact of a cell on average; all cells share n times as many."""
    constraints: int = 640
    """Constraint rows of a cell at most."""

    def __post_init__(self) -> None:
        """Refuse memory for nothing.

        Raises:
            ConfigError: a number is not positive.
        """
        for name in ("contacts", "constraints"):
            if getattr(self, name) < 1:
                raise ConfigError(f"warp.{name} is {getattr(self, name)}; it must be at least 1")
