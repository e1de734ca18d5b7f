# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Off-screen graphics are chosen only where they are there, and never against the user."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from sim_training.offscreen import prefer_offscreen_rendering


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No screen, nothing chosen, MuJoCo not yet imported, EGL installed."""
    # Set first, so that the value is restored whatever the function under test does.
    for name in ("MUJOCO_GL", "DISPLAY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "mujoco", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)


@pytest.mark.usefixtures("bare_machine")
def test_egl_is_chosen_without_a_screen() -> None:
    prefer_offscreen_rendering()
    assert os.environ["MUJOCO_GL"] == "egl"


@pytest.mark.usefixtures("bare_machine")
def test_missing_library_leaves_the_choice_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    prefer_offscreen_rendering()
    assert "MUJOCO_GL" not in os.environ


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(("name", "value"), [("MUJOCO_GL", "glfw"), ("DISPLAY", ":0")])
def test_screen_or_choice_of_the_user_stays(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    prefer_offscreen_rendering()
    assert os.environ.get("MUJOCO_GL") != "egl"
