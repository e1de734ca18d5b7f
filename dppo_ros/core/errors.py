# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The error family of the project: every refusal a user can meet derives from ``DppoError``.

A message says what is wrong, the value seen, the values allowed and the next step. Command
lines print it as one line and exit with code 2; a traceback means a defect in this project.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DppoError(Exception):
    """Base of every error that a user can cause and can act on."""


class ConfigError(DppoError):
    """A configuration value, key or combination of values is not acceptable."""


class BundleError(DppoError):
    """A policy bundle is missing, incomplete, altered or does not fit its own description."""


class ObservationError(DppoError):
    """An observation (or the noise beside it) has the wrong shape or is not finite."""


class ActionError(DppoError):
    """An action, or a chunk of actions, has the wrong shape or is not finite."""


class SafetyError(DppoError):
    """Safety limits are contradictory, or the gate is used in a way that it cannot guard."""


class BagError(DppoError):
    """A bag cannot be read or lacks the topics that the work needs."""


class CameraError(DppoError):
    """A camera is not connected, cannot be told apart from others, or stopped delivering."""


class DataError(DppoError):
    """A demonstration dataset is missing, incomplete or not usable for training."""


class RunDirectoryError(DppoError):
    """A run directory is busy, or is not what the command expects."""


class CheckpointError(DppoError):
    """A checkpoint is missing, incomplete, altered or belongs to another configuration."""


class TrainingError(DppoError):
    """A training cannot go on: its numbers are none any more."""


class EnvironmentUnavailableError(DppoError):
    """A simulator or another optional part is not installed on this machine."""


class SimulatorError(DppoError):
    """A simulator in a process of its own could not start, failed, hung or died too often."""


class DistributedError(DppoError):
    """The processes of one run do not find each other, lost one of them, or disagree."""


def unknown_name_message(kind: str, name: str, available: Iterable[str]) -> str:
    """Return one sentence about an unknown name, with the near miss and every known name.

    Args:
        kind: What the name stands for, in the singular, such as ``"observation field"``.
        name: The name that was asked for.
        available: Every name that would have been accepted.
    """
    names = sorted(set(available))
    if not names:
        return f"unknown {kind} {name!r}: there is none to choose from"
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names)}"
