# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker's types, above all its calls of Isaac Gym, checked against isaacgym-stubs.

One run of the checker over the worker and over copies of its adapter with a fault each.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim_training import remote_worker

PACKAGE = Path(remote_worker.__file__).resolve().parent / "isaac_gym"
FAULTS = {
    "misspelt": ("self._gym.prepare_sim(", "self._gym.prepare_simulation("),
    "argument_missing": (
        "self._gym.fetch_results(self._sim, True)",
        "self._gym.fetch_results(True)",
    ),
    "torch_for_descriptor": ("self._lend(states), self._lend(actors)", "states, actors"),
    "wrong_setting": ("params.substeps = ", "params.sub_steps = "),
    "text_for_number": ("params.dt = physics.call_s", "params.dt = str(physics.call_s)"),
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, list[str]]:
    """Messages of the type checker by file."""
    folder = tmp_path_factory.mktemp("adapter")
    for name, (right, wrong) in FAULTS.items():
        copy = folder / name
        copy.mkdir()
        (copy / "__init__.py").touch()
        for other in ("errors.py", "settings.py"):
            shutil.copy(PACKAGE / other, copy)
        text = (PACKAGE / "gym_calls.py").read_text(encoding="utf-8")
        assert right in text
        (copy / "gym_calls.py").write_text(text.replace(right, wrong), encoding="utf-8")
    settings = {
        "include": [str(PACKAGE), str(folder)],
        "pythonVersion": "3.8",
        "typeCheckingMode": "standard",
        "reportMissingModuleSource": False,
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "-p", str(folder), "--outputjson"]
    command += ["--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] >= 6 + 3 * len(FAULTS), done.stdout
    messages: dict[Path, list[str]] = {}
    for entry in report["generalDiagnostics"]:
        if entry["severity"] in ("error", "warning"):
            messages.setdefault(Path(entry["file"]), []).append(entry["message"])
    return {
        file.relative_to(folder) if folder in file.parents else file: texts
        for file, texts in messages.items()
    }


def test_the_worker_agrees_with_the_stubs(errors: dict[Path, list[str]]) -> None:
    assert not {file: texts for file, texts in errors.items() if PACKAGE in file.parents}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_call_is_found(errors: dict[Path, list[str]], name: str) -> None:
    assert errors.get(Path(name) / "gym_calls.py")


def test_only_the_adapter_module_imports_isaac_gym() -> None:
    importers = [
        path.name
        for path in PACKAGE.parent.rglob("*.py")
        if any(
            line.lstrip().startswith(("import isaacgym", "from isaacgym"))
            for line in path.read_text(encoding="utf-8").splitlines()
        )
    ]
    assert importers == ["gym_calls.py"]
