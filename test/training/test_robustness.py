# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo robustness` and `dppo ablate`: conditions, pairing, resuming, bundles and runs alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dppo_ros.core.errors import ConfigError, DppoError
from sim_training.cli import EXIT_BAD_INPUT, main
from sim_training.config import EvalConfig, ExportConfig
from sim_training.envs.furniture.randomisation import PRESETS, SWITCHES, RandomisationConfig
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.make import make_env_config
from sim_training.evaluation_result import Episode, EvaluationResult
from sim_training.robustness.conditions import SWEEPS, ablation_conditions
from sim_training.robustness.measure import POINTS, paired
from sim_training.robustness.subject import open_subject
from sim_training.robustness.sweeps import RobustnessConfig, run_robustness

ROOT = Path(__file__).resolve().parents[2]
SHORT = FurnitureConfig(max_episode_steps=16)
TWO = EvalConfig(n_episodes=2, n_envs=2)


@pytest.fixture(scope="module")
def bundle(one_leg_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sim_training.export import run_export

    out = tmp_path_factory.mktemp("bundles") / "tiny"
    return run_export(ExportConfig(policy=one_leg_policy, out=out))


def result(outcomes: str, first_seed: int = 0) -> EvaluationResult:
    """Return an evaluation whose episodes succeeded where the text says y."""
    episodes = tuple(
        Episode(first_seed + i, letter == "y", int(letter == "y"), 5, float(letter == "y"))
        for i, letter in enumerate(outcomes)
    )
    return EvaluationResult("one_leg", ("start", "assembled"), episodes, 1.0)


def test_pairs_are_compared_by_seed_with_mcnemars_exact_test() -> None:
    """Five lost, none gained: 2 / 2^5. One each way: no difference at all."""
    pair = paired(result("yyyyyyyn"), result("nnnnnyyn"))
    assert (pair.lost, pair.gained) == (5, 0)
    assert pair.p_value == pytest.approx(2 / 2**5)
    assert paired(result("yn"), result("ny")).p_value == 1.0
    shifted = paired(result("yyyy"), result("ny", first_seed=3))
    assert (shifted.lost, shifted.gained) == (1, 0)


def test_a_stored_evaluation_is_read_back_as_it_was() -> None:
    stored = json.loads(json.dumps(result("yny").to_json()))
    assert EvaluationResult.from_json(stored) == result("yny")
    with pytest.raises(DppoError, match="not an evaluation"):
        EvaluationResult.from_json({"task": "one_leg"})


@pytest.mark.parametrize("name", sorted(SWEEPS))
def test_every_sweep_changes_one_thing_only(name: str) -> None:
    start = FurnitureConfig(randomisation=RandomisationConfig(preset="measured"))
    value = 20.0 if name == "control_rate_hz" else 4.0
    (condition,) = SWEEPS[name].conditions(start, [value])
    before, after = (vars(env.randomisation.resolved()) for env in (start, condition.env))
    changed = [key for key in before if before[key] != after[key]]
    if name == "control_rate_hz":
        assert changed == [] and condition.env.control_rate_hz == 20.0
    else:
        assert len(changed) == 1
        assert after[changed[0]] == pytest.approx(4.0 if name == "latency_ms" else 0.004)
    with pytest.raises(ConfigError, match="must be in"):
        SWEEPS[name].conditions(start, [1000.0])


def test_the_ablation_switches_one_at_a_time_and_then_all() -> None:
    conditions = ablation_conditions(SHORT, "wide", ())
    assert [c.label for c in conditions] == ["none", *SWITCHES, "all"]
    plain, together = conditions[0].env.randomisation, conditions[-1].env.randomisation
    assert plain == RandomisationConfig()
    assert together == RandomisationConfig(preset="wide").resolved()
    for condition in conditions[1:-1]:
        values = vars(condition.env.randomisation)
        allowed = set(SWITCHES[condition.label])
        assert {key for key in values if values[key] != getattr(plain, key)} <= allowed
        for key in allowed & set(PRESETS["wide"]):
            assert values[key] == PRESETS["wide"][key]
    few = ablation_conditions(SHORT, "measured", ("mass", "friction"))
    assert [c.label for c in few] == ["none", "mass", "friction", "all"]
    assert few[-1].env.randomisation.push_rate == 0.0
    with pytest.raises(ConfigError, match="did you mean 'pushes'"):
        ablation_conditions(SHORT, "wide", ("push",))


def test_a_bundle_and_the_run_it_came_from_do_the_same(one_leg_policy: Path, bundle: Path) -> None:
    import numpy as np

    run, exported = open_subject(one_leg_policy, SHORT), open_subject(bundle, SHORT)
    assert run.env == exported.env == SHORT and run.identity != exported.identity
    generator = np.random.default_rng(0)
    header = run.settings
    low, high = header.observation_normalizer.minimum, header.observation_normalizer.maximum
    raw = generator.uniform(low, high, (3, 1, len(low))).astype(np.float32)
    seeds = np.array([4, 5, 6])
    scaled = header.observation_normalizer.normalize(raw, clip=header.observation_clip)
    chunk = run.make_act(3)({"state": scaled}, seeds)
    ours = header.action_normalizer.denormalize(chunk)
    theirs = exported.make_act(3)({"state": raw}, seeds)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_report_of_a_bundle_from_start_to_end_and_again(bundle: Path, tmp_path: Path) -> None:
    config = RobustnessConfig(
        policy=bundle,
        out=tmp_path,
        part_noise_mm=(2.0,),
        hole_offset_mm=(),
        latency_ms=(150.0,),
        control_rate_hz=(20.0,),
        env=SHORT,
        eval=TWO,
    )
    page = run_robustness(config)
    document = json.loads((tmp_path / "robustness.json").read_text())
    assert sorted(document["sweeps"]) == ["control_rate_hz", "latency_ms", "part_noise_mm"]
    for name, points in document["sweeps"].items():
        assert len(points) == 2
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        for point in points:
            assert point["n_episodes"] == 2 and point["wilson_95"][0] <= point["success_rate"]
    assert [p["value"] for p in document["sweeps"]["control_rate_hz"]] == [10.0, 20.0]
    text = page.read_text()
    assert "McNemar" in text and "What stays" in text and text.count("<svg") == 3
    # Finished points are kept: only the new value is evaluated.
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / POINTS).iterdir()}
    assert len(files) == 4
    run_robustness(RobustnessConfig(**{**vars(config), "latency_ms": (150.0, 300.0)}))
    later = {path: path.stat().st_mtime_ns for path in (tmp_path / POINTS).iterdir()}
    assert len(later) == 5 and files.items() <= later.items()


def test_an_ablation_of_a_run_writes_table_picture_and_numbers(
    one_leg_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--policy", str(one_leg_policy), "--out", str(tmp_path), "--switches", "mass"]
    words += ["part_noise", "--env.name", "one_leg", "--env.max-episode-steps", "8"]
    words += ["--eval.n-episodes", "1", "--eval.n-envs", "1", "--preset", "measured"]
    assert main(["ablate", *words]) == 0
    shown = capsys.readouterr().out
    assert "mass" in shown and "all" in shown
    document = json.loads((tmp_path / "ablation_measured.json").read_text())
    assert [row["label"] for row in document["switches"]] == ["none", "mass", "part_noise", "all"]
    assert document["switches"][1]["randomisation"]["part_mass_spread"] == 0.15
    assert (tmp_path / "ablation_measured.png").is_file()


@pytest.mark.parametrize("command", ["robustness", "ablate"])
def test_a_task_without_randomisation_is_refused(
    command: str, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, "--policy", str(pretrained), "--out", str(tmp_path)]
    assert main(words) == EXIT_BAD_INPUT
    assert "task 'toy_reach' has no randomisation" in capsys.readouterr().err


def test_switches_come_from_the_command_line_and_old_policies_have_none() -> None:
    from sim_training.cli import parse
    from sim_training.config import EvaluateConfig

    words = ["--env.name", "one_leg", "--env.randomisation.part-noise-m", "0.001"]
    env = parse(EvaluateConfig(), words, "dppo eval").env
    assert isinstance(env, FurnitureConfig) and env.randomisation.part_noise_m == 0.001
    old = make_env_config({"name": "one_leg", "randomness": "low", "max_episode_steps": 700})
    assert isinstance(old, FurnitureConfig) and not old.randomisation.senses


def test_bundles_are_measured_without_torch(bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from sim_training.robustness.subject import open_subject; "
        "import sim_training.robustness.ablation; "
        f"open_subject(Path({str(bundle)!r})).make_act(1); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
