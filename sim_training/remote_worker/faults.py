# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults on purpose, for drills: what a simulator may do to a training run (Python 3.8)."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .service import StepResult, WorkerEnv

KINDS = ("kill", "exit", "hang", "error", "nan")


class FaultyEnv:
    """A `WorkerEnv` that fails at one of its control steps.

    Settings: "kind" (one of `KINDS`), "step" (which call of `step`, from 0), "env" (for nan: which
    environment), "once" (a file: the fault happens only while it does not exist, and makes it).
    """

    def __init__(self, env: WorkerEnv, fault: Mapping[str, Any]) -> None:
        """Wrap an environment.

        Raises:
            ValueError: unknown kind of fault.
        """
        if fault["kind"] not in KINDS:
            raise ValueError(f"unknown fault {fault['kind']!r}; known: {', '.join(KINDS)}")
        self._env, self._fault, self._steps = env, fault, 0
        self.description = env.description

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the environment offers)
        return getattr(self._env, name)

    def step(self, actions: np.ndarray, active: np.ndarray) -> StepResult:
        """Advance, or fail."""
        due = self._steps == int(self._fault["step"]) and self._armed()
        self._steps += 1
        if due and self._fault["kind"] != "nan":
            self._fail(self._fault["kind"])
        result = self._env.step(actions, active)
        if due:
            observation = np.array(result.observation, copy=True)
            observation[int(self._fault.get("env", 0)), 0] = np.nan
            result = result._replace(observation=observation)
        return result

    def _armed(self) -> bool:
        once = self._fault.get("once")
        if once is None:
            return True
        try:
            Path(once).touch(exist_ok=False)  # two workers may come here in the same instant
        except FileExistsError:
            return False
        return True

    def _fail(self, kind: str) -> None:
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "exit":
            print("simulator: fatal error 42", file=sys.stderr, flush=True)
            os._exit(7)
        while kind == "hang":
            time.sleep(3600.0)
        raise RuntimeError("the simulator refused on purpose")
