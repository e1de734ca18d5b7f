# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Workers of the toy task."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_workers import TOY, OpenToy

from sim_training.envs.remote import RemoteEnv, RemoteTask, open_remote_env
from sim_training.envs.worker_settings import WorkerSettings


@pytest.fixture
def open_toy() -> Iterator[OpenToy]:
    """Opens the toy task in real workers: n_envs, processes, a fault, settings."""
    opened: list[RemoteEnv] = []

    def open_it(
        n_envs: int,
        processes: int = 1,
        fault: dict[str, Any] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> RemoteEnv:
        values = TOY.task_settings() | ({} if fault is None else {"fault": fault})
        task = RemoteTask("toy", Path(sys.executable), values)
        opened.append(open_remote_env(task, n_envs, processes, WorkerSettings(**settings)))
        return opened[-1]

    yield open_it
    for env in opened:
        env.close()
