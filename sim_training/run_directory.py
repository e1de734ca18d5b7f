# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run directories: refuse busy ones, note configuration, versions and source state, open the logs.

Layout: .lock, config.yaml, git.json, metrics.jsonl, console.log, tensorboard/, checkpoints/.
"""

from __future__ import annotations

import fcntl
import json
import logging
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import yaml

from dppo_ros.core.errors import RunDirectoryError
from sim_training.config import RunConfig
from sim_training.config_file import save_config, to_plain
from sim_training.metrics import (
    JsonlWriter,
    MetricLog,
    MetricWriter,
    TensorBoardWriter,
    WandbWriter,
)
from sim_training.run_progress import progress_logger

_PACKAGES = ("torch", "numpy", "mujoco", "onnx", "onnxruntime")
_MAX_DIFF_CHARACTERS = 200_000


def open_run_directory(run: RunConfig) -> RunLock:
    """Create the run directory, and keep others out of it until the lock is released.

    Raises:
        RunDirectoryError: it holds something and `resume` is off, is not a directory, or another
            training is at work in it.
    """
    folder = run.run_dir
    if folder.exists() and not folder.is_dir():
        raise RunDirectoryError(f"{folder} is a file; choose another --run-dir")
    if folder.exists() and any(folder.iterdir()) and not run.resume:
        raise RunDirectoryError(
            f"{folder} is not empty; continue it with --resume or choose another --run-dir"
        )
    folder.mkdir(parents=True, exist_ok=True)
    lock = RunLock(folder)
    _open_console_log(folder / "console.log")
    return lock


class RunLock:
    """Keeps a second training out of a run directory, until it is released or the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            RunDirectoryError: another training has it.
        """
        self._file: IO[str] | None = (folder / ".lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise RunDirectoryError(
                f"another training is at work in {folder}; wait until it ends, or stop it"
            ) from error
        except OSError:  # a file system without locks
            self.release()

    def release(self) -> None:
        """Let others in."""
        if self._file is not None:
            self._file.close()
            self._file = None


def describe_run(run: RunConfig, config: object) -> None:
    """Write what describes the run: its configuration, and the sources that run it."""
    save_config(run.run_dir / "config.yaml", config)
    state = json.dumps(source_state(), indent=1)
    (run.run_dir / "git.json").write_text(state + "\n", encoding="utf-8")


def changed_settings(run: RunConfig, config: object) -> list[str]:
    """Return in words which settings differ from those with which the run was started last."""
    path = run.run_dir / "config.yaml"
    if not path.is_file():
        return []
    before = dict(_flat(yaml.safe_load(path.read_text(encoding="utf-8"))))
    now = dict(_flat(to_plain(config)))
    names = sorted((before.keys() | now.keys()) - {"run.resume"})
    return [
        f"{name} {before.get(name)!r} -> {now.get(name)!r}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  (any YAML)
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def open_metric_log(run: RunConfig, resumed: int | None, config: object) -> MetricLog:
    """Return the writers of a run; `resumed` is the iteration continued from, if any."""
    writers: list[MetricWriter] = [JsonlWriter(run.run_dir / "metrics.jsonl", resumed)]
    if run.tensorboard:
        writers.append(TensorBoardWriter(run.run_dir / "tensorboard", resumed))
    if run.wandb_project:
        name = run.run_dir.name
        writers.append(WandbWriter(run.wandb_project, name, to_plain(config), run.run_dir))
    return MetricLog(writers)


def source_state() -> dict[str, Any]:
    """Return commit, uncommitted changes and package versions."""
    folder = Path(__file__).resolve().parent
    return {
        "commit": git_output(folder, "rev-parse", "HEAD"),
        "status": git_output(folder, "status", "--porcelain", "--untracked-files=no"),
        "diff": (git_output(folder, "diff", "HEAD") or "")[:_MAX_DIFF_CHARACTERS],
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_output(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _open_console_log(path: Path) -> None:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    progress_logger.propagate = False
    for logger in (logging.getLogger("sim_training"), progress_logger):
        for old in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(old)
            old.close()
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
