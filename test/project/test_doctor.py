# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo doctor` tells a working machine from a broken one and names the next step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from dppo_ros.core.errors import BundleError
from sim_training import doctor
from sim_training.doctor import Check, run_doctor


@pytest.fixture
def fast_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the probes that start processes; they have tests of their own below."""
    probes = ("rendering", "ros", "gpu", "bundle", "other_interpreter")
    for name in (f"_{probe}_checks" for probe in probes):
        monkeypatch.setattr(doctor, name, lambda: iter(()))


@pytest.mark.usefixtures("fast_sections")
def test_report_is_one_json_object_and_the_exit_code_agrees(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run_doctor(json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["works"] is (code == 0)
    names = {check["name"] for check in report["checks"]}
    assert {"Python", "machine", "free disk", "numpy", "torch", "mujoco"} <= names


@pytest.mark.usefixtures("fast_sections")
def test_missing_required_package_fails_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = doctor.installed_version
    absent = {"onnxruntime", "h5py"}
    monkeypatch.setattr(doctor, "installed_version", lambda n: None if n in absent else real(n))
    assert run_doctor(json=True) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["onnxruntime"]["status"] == "missing"
    assert "pip install -r requirements/robot.txt" in checks["onnxruntime"]["advice"]
    optional = checks["robomimic (robomimic demonstrations)"]
    assert optional["status"] == "note" and not optional["required"]


@pytest.mark.parametrize(
    ("installed", "status", "text"),
    [("1.31.1", "ok", ""), ("1.32.0", "note", "tested with 1.31.1"), ("1.2", "missing", ">=1.23")],
)
def test_versions_are_compared_with_what_is_asked_for_and_what_was_tested(
    monkeypatch: pytest.MonkeyPatch, installed: str, status: str, text: str
) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: Version(installed))
    pins = {"onnxruntime": Version("1.31.1")}
    check = doctor._package_check(Requirement("onnxruntime>=1.23"), pins, "how")
    assert check.status == status
    assert text in check.advice


def test_local_builds_count_as_the_pinned_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: Version("2.13.0+cpu"))
    pins = {"torch": Version("2.13.0")}
    assert doctor._package_check(Requirement("torch==2.13.0"), pins, "how").status == "ok"


def test_broken_bundle_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise BundleError("policy.onnx has another hash")

    monkeypatch.setattr("dppo_ros.core.bundle.load_bundle", refuse)
    (check,) = doctor._bundle_checks()
    assert check.status == "missing" and check.required
    assert "another hash" in check.value


def test_probe_reports_the_last_line_a_failure_and_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._probe("print('a'); print('b')", {}) == (True, "b")
    assert doctor._probe("import os; print(os.environ['X'])", {"X": "y"}) == (True, "y")
    works, said = doctor._probe("raise ValueError('what is wrong')", {})
    assert not works and said == "ValueError: what is wrong"
    monkeypatch.setattr(doctor, "_PROBE_TIMEOUT_S", 0.2)
    works, said = doctor._probe("import time; time.sleep(60)", {})
    assert not works and "no answer within" in said


def test_absent_ros_is_an_error_with_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_ros_origin", lambda: "")
    (check,) = doctor._ros_checks()
    assert check.status == "missing" and check.required
    assert "requirements/ros.txt" in check.advice and "apt" in check.advice


@pytest.mark.ros
def test_ros_probe_starts_a_real_node() -> None:
    checks = list(doctor._ros_checks())
    assert checks[0].status == "ok", checks[0]
    assert checks[0].value.startswith("rmw_")


def test_table_folds_fine_packages_and_shows_brackets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    fine = [Check("packages", f"p{i}", "ok", "1.0", required=True) for i in range(3)]
    bad = Check("packages", "q", "missing", "not installed", "pip install 'x[gpu]'", required=True)
    doctor._print_table([*fine, bad], works=False)
    shown = capsys.readouterr().out
    assert "3 installed as tested" in shown and "p1" not in shown
    assert "pip install 'x[gpu]'" in shown


@pytest.mark.parametrize("library", ["torch", "mujoco", "onnxruntime"])
def test_command_works_where_a_heavy_library_is_missing(library: str) -> None:
    # The report must come out on the very machine where something is missing.
    program = (
        "import sys\n"
        f"sys.modules[{library!r}] = None\n"
        "from sim_training import cli, doctor\n"
        "for name in ('_rendering_checks', '_ros_checks', '_gpu_checks'):\n"
        "    setattr(doctor, name, lambda: iter(()))\n"
        "cli.main(['doctor', '--json'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["checks"]
