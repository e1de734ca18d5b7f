# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the training side may import: environments without torch, nothing with rclpy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("sim_training.envs.protocol", ("torch", "rclpy", "mujoco")),
        ("sim_training.envs.chunk", ("torch", "rclpy", "mujoco")),
        ("sim_training.envs.make", ("torch", "rclpy", "mujoco")),
        ("sim_training.data.formats", ("torch", "rclpy")),
        ("sim_training.finetune", ("rclpy",)),
        ("sim_training.export", ("rclpy",)),
    ],
)
def test_importing_a_module_does_not_pull_in(module: str, forbidden: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print(*[n for n in {forbidden!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
