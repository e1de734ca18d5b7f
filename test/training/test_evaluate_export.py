# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation and export of trained policies, end to end on the toy task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import BundleError, ConfigError
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.core.spec import VectorSpec
from dppo_ros.core.statistics import wilson_interval
from sim_training.config import (
    EvalConfig,
    EvaluateConfig,
    ExportConfig,
    FinetuneConfig,
    PretrainConfig,
)
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.envs.toy import ToyReachConfig
from sim_training.evaluate import evaluate_policy, make_eval_env, run_evaluate
from sim_training.export import measure_parity, run_export, sample_pairs
from sim_training.export_graph.chain import build_graph
from sim_training.finetune import run_finetune
from sim_training.policy_loading import load_policy
from sim_training.pretrain import run_pretrain


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_interval_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_evaluation_does_not_depend_on_the_number_of_environments(pretrained: Path) -> None:
    loaded = load_policy(pretrained)
    outcomes = []
    for n_envs in (1, 4, 10):
        config = EvalConfig(n_episodes=10, n_envs=n_envs, seed=7)
        env = make_eval_env(loaded.header, ToyReachConfig(), config, 1)
        result = evaluate_policy(loaded.policy, env, 10)
        assert [episode.seed for episode in result.episodes] == list(range(7, 17))
        outcomes.append([(e.success, e.steps, e.phase) for e in result.episodes])
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_eval_command_writes_a_report(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = EvalConfig(n_episodes=5, n_envs=5)
    assert run_evaluate(EvaluateConfig(policy=pretrained, eval=evaluation, out=tmp_path)) == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["n_episodes"] == len(report["episodes"]) == 5
    assert set(report["phase_reached"]) == {"start", "near", "reached"}
    assert report["wilson_95"][0] <= report["success_rate"] <= report["wilson_95"][1]
    assert "95 % interval" in capsys.readouterr().out


def test_pretrain_finetune_evaluate_export(
    pretrain_config: PretrainConfig, finetune_config: FinetuneConfig, tmp_path: Path
) -> None:
    """The whole way on tiny networks, ending with the bundle's own runtime."""
    import dataclasses

    checkpoint = run_pretrain(pretrain_config)
    config = dataclasses.replace(finetune_config, base_policy=checkpoint)
    run_finetune(config)
    evaluation = EvalConfig(n_episodes=4, n_envs=2)
    run_evaluate(EvaluateConfig(policy=config.run.run_dir, eval=evaluation))
    folder = run_export(ExportConfig(policy=config.run.run_dir, out=tmp_path / "toy_bundle"))
    bundle = load_bundle(folder)
    manifest = bundle.manifest
    assert manifest.task == "toy_reach"
    assert manifest.denoising.ft_denoising_steps == 4
    assert manifest.parity["max_abs_error"] < 1e-4  # type: ignore[operator]
    assert manifest.evaluation is not None
    assert manifest.evaluation["n_episodes"] == 4
    _assert_only_its_own_evaluations(config.run.run_dir, checkpoint, tmp_path)
    runtime = PolicyRuntime(bundle)
    assert runtime.golden_error < 1e-5
    loaded = load_policy(config.run.run_dir)
    _assert_same_actions(runtime, loaded)


def _assert_only_its_own_evaluations(run_dir: Path, pretrained: Path, folder: Path) -> None:
    """Evaluations of other policies, or of this one with other options, get into no bundle."""
    few = EvalConfig(n_episodes=2, n_envs=2)
    run_evaluate(EvaluateConfig(policy=run_dir, eval=few, use_base_policy=True))
    run_evaluate(EvaluateConfig(policy=run_dir, eval=few, ddim_steps=2))
    run_evaluate(EvaluateConfig(policy=pretrained, eval=few, out=folder / "other"))
    for name, changes, episodes in (("plain", {}, 4), ("short", {"ddim_steps": 2}, 2)):
        out = run_export(ExportConfig(policy=run_dir, out=folder / name, **changes))  # type: ignore[arg-type]
        record = load_bundle(out).manifest.evaluation
        assert record is not None
        assert record["n_episodes"] == episodes
    other = folder / "other" / "evaluation.json"
    with pytest.raises(ConfigError, match="an evaluation of something else: its weights_sha256"):
        run_export(ExportConfig(policy=run_dir, out=folder / "wrong", evaluation=other))
    damaged = folder / "damaged.json"
    damaged.write_text("[1")
    with pytest.raises(ConfigError, match="is not an evaluation of `dppo eval`"):
        run_export(ExportConfig(policy=run_dir, out=folder / "wrong", evaluation=damaged))
    # One that is out of date, as after more training, is left out.
    mine = next((run_dir / "eval").glob("*/evaluation.json"))
    mine.write_text(other.read_text())
    out = run_export(ExportConfig(policy=run_dir, out=folder / "stale"))
    assert load_bundle(out).manifest.evaluation is None


def _assert_same_actions(runtime: PolicyRuntime, loaded: object) -> None:
    """The graph at raw inputs equals normalise, policy, de-normalise done by hand."""
    import torch

    from sim_training.policy_loading import LoadedPolicy

    assert isinstance(loaded, LoadedPolicy)
    header, policy = loaded.header, loaded.policy
    rng = np.random.default_rng(3)
    for _ in range(5):
        observation = rng.uniform(-0.5, 0.5, (1, 4)).astype(np.float32)
        noise = rng.standard_normal((4, 2), dtype=np.float32)
        scaled = header.observation_normalizer.normalize(observation, clip=5.0)
        block = torch.zeros(1, policy.chain_steps + 1, 4, 2)
        block[0, 0] = torch.from_numpy(noise)
        chunk = policy.act({"state": torch.from_numpy(scaled.astype(np.float32)[None])}, block)
        expected = header.action_normalizer.denormalize(chunk[0, :4].numpy())
        np.testing.assert_allclose(runtime.infer(observation, noise), expected, atol=1e-5)


def test_a_partly_fine_tuned_chain_exports_both_networks(
    finetune_config: FinetuneConfig, tmp_path: Path
) -> None:
    import dataclasses

    from sim_training.diffusion.config import DiffusionConfig

    chain = DiffusionConfig(use_ddim=True, ddim_steps=4, ft_denoising_steps=2)
    run_finetune(dataclasses.replace(finetune_config, diffusion=chain))
    run_dir = finetune_config.run.run_dir
    both = run_export(ExportConfig(policy=run_dir, out=tmp_path / "both"))
    PolicyRuntime(load_bundle(both))
    shorter = run_export(ExportConfig(policy=run_dir, out=tmp_path / "short", ddim_steps=1))
    sizes = [(folder / "policy.onnx").stat().st_size for folder in (both, shorter)]
    assert sizes[0] > 1.5 * sizes[1]


def test_posterior_noise_is_exported_and_takes_a_block_for_every_step(
    pretrained: Path, tmp_path: Path
) -> None:
    """With eta 1 the graph draws what evaluation draws, and the noise decides the outcome."""
    bundle = load_bundle(
        run_export(ExportConfig(policy=pretrained, out=tmp_path / "b", ddim_steps=3, eta=1.0))
    )
    manifest = bundle.manifest
    assert manifest.denoising.eta == 1.0
    assert manifest.noise_shape == (4 * manifest.horizon_steps, manifest.action.dim)
    runtime = PolicyRuntime(bundle)
    rng = np.random.default_rng(0)
    middle = manifest.observation_normalizer.denormalize(np.zeros((1, manifest.observation.dim)))
    noise = runtime.sample_noise(rng)
    other = noise.copy()
    other[manifest.horizon_steps : 2 * manifest.horizon_steps] *= -1.0
    last = noise.copy()
    last[-manifest.horizon_steps :] *= -1.0
    actions = runtime.infer(middle, noise)
    assert np.abs(runtime.infer(middle, other) - actions).max() > 1e-3
    np.testing.assert_array_equal(runtime.infer(middle, last), actions)


def test_exports_name_no_path_of_this_machine(pretrained: Path, tmp_path: Path) -> None:
    folder = run_export(ExportConfig(policy=pretrained, out=tmp_path / "bundle"))
    for name in ("policy.onnx", "bundle.json"):
        content = (folder / name).read_bytes()
        assert str(tmp_path).encode() not in content
        assert str(Path(__file__).resolve().parents[2]).encode() not in content
    with pytest.raises(BundleError, match="exists already"):
        run_export(ExportConfig(policy=pretrained, out=folder))


def test_a_graph_that_is_not_the_policy_is_refused(pretrained: Path, tmp_path: Path) -> None:
    import torch

    loaded = load_policy(pretrained)
    assert isinstance(loaded.policy, DiffusionPolicy)
    graph = build_graph(loaded.policy, loaded.header)
    samples = sample_pairs(loaded.policy, loaded.header, 4)
    with torch.no_grad():
        next(loaded.policy.base.parameters()).add_(0.5)
    other = sample_pairs(loaded.policy, loaded.header, 4)
    assert measure_parity(graph, samples, loaded.header)["rows"] == 4
    with pytest.raises(BundleError, match="differs from the policy"):
        measure_parity(graph, other, loaded.header)
    with pytest.raises(ConfigError, match="does not exist"):
        run_export(
            ExportConfig(policy=pretrained, out=tmp_path / "x", evaluation=tmp_path / "none.json")
        )


def test_a_task_of_the_same_size_is_still_another_task(pretrained: Path) -> None:
    header = load_policy(pretrained).header
    names = replace(header.observation_spec.fields[0], components=("north", "east"))
    other = VectorSpec((names, *header.observation_spec.fields[1:]))
    with pytest.raises(ConfigError, match="'toy_reach' has another observation than the policy"):
        make_eval_env(replace(header, observation_spec=other), ToyReachConfig(), EvalConfig(), 1)
