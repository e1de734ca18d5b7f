# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of settings when they are read, long before they are used."""

from dppo_ros.core.errors import ConfigError


def require(condition: bool, message: str) -> None:
    """Raise a ConfigError with this message unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def require_at_least(least: int, settings: object, *names: str) -> None:
    """Raise a ConfigError unless each of these settings is at least so large."""
    for name in names:
        value = getattr(settings, name)
        require(value >= least, f"{name} is {value}; it must be at least {least}")
