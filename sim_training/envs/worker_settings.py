# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of simulators that run in an interpreter of their own, and where that interpreter is."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class WorkerSettings:
    """How worker processes of a remote simulator are started, watched and replaced."""

    python: Path | None = None
    """Interpreter of the simulator; None: found by its environment variable or its venv."""
    processes: int = 0
    """Worker processes that share the environments; 0: one for each of env_threads."""
    start_timeout_s: float = 180.0
    """How long a simulator may take to start."""
    step_timeout_s: float = 60.0
    """A worker that does not answer for so long is killed and replaced."""
    max_restarts: int = 5
    """More failures than this within the window end the run with the last one's message."""
    restart_window_s: float = 600.0
    """Failures longer ago are forgotten."""
    chunk_steps: int = 16
    """Most control steps in one round trip."""

    def __post_init__(self) -> None:
        """Refuse times and numbers that cannot work.

        Raises:
            ConfigError: a value is out of range.
        """
        for name in ("start_timeout_s", "step_timeout_s", "restart_window_s", "chunk_steps"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"worker.{name} is {getattr(self, name)}; it must be positive")
        for name in ("processes", "max_restarts"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"worker.{name} is {getattr(self, name)}; it must not be negative"
                )


def find_interpreter(simulator: str, configured: Path | None, remedy: str | None = None) -> Path:
    """Return the Python that has a simulator.

    Tried in this order: the setting, the variable `DPPO_<SIMULATOR>_PYTHON`, and the folder
    `.venv-<simulator>` of the working directory or of this checkout.

    Args:
        simulator: its name, such as "robomimic".
        configured: the setting `worker.python`.
        remedy: how to get one, after "; "; None: a make target of the simulator's name.

    Raises:
        EnvironmentUnavailableError: nowhere, or what was named is not an executable file.
    """
    remedy = remedy or f"run `make {simulator}`"
    variable = f"DPPO_{simulator.upper()}_PYTHON"
    named = configured or os.environ.get(variable)
    if named:
        found = shutil.which(str(named))
        if found is None:
            source = "worker.python" if configured else variable
            raise EnvironmentUnavailableError(
                f"{source} is {str(named)!r}, which is not an executable file; name a Python that "
                f"has {simulator}, or {remedy}"
            )
        return Path(found)
    looked_at = [folder / f".venv-{simulator}" for folder in (Path.cwd(), _CHECKOUT)]
    for folder in looked_at:
        if (folder / "bin/python").exists():
            return folder / "bin/python"
    raise EnvironmentUnavailableError(
        f"{simulator} needs an interpreter of its own, and there is none in "
        f"{' or '.join(dict.fromkeys(map(str, looked_at)))}; {remedy}, or set "
        f"{variable} to a Python that has it"
    )
