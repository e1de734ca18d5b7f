# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Guided graphs: the limits of the weight, hand-worked values, and bundles that get guidance."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from exported_policies import CHAINS, NETWORKS, SHAPE, make_header, make_policy

from dppo_ros.core.bundle import PolicyBundle, load_bundle, write_bundle
from dppo_ros.core.errors import BundleError, ConfigError
from dppo_ros.core.manifest import ActionEnvelope, BundleManifest, DenoisingSettings
from dppo_ros.core.runtime import PolicyRuntime
from sim_training.config import ExportConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.export import Samples, sample_pairs
from sim_training.export_graph.chain import build_graph
from sim_training.export_graph.retrofit import add_guidance
from sim_training.export_guided import run_guided_export
from sim_training.policies.header import PolicyHeader


@pytest.mark.parametrize(
    ("network", "chain"),
    [("residual", "ddim"), ("unet", "ddim_noise"), ("residual", "ddpm")],
)
def test_guidance_of_weight_zero_changes_no_bit_and_of_weight_one_gives_the_prefix(
    network: str, chain: str
) -> None:
    policy, header = _policy(network, chain)
    samples = sample_pairs(policy, header, 8)
    plain = _run(_graph(network, chain, guided=False), _free(samples))
    graph = _graph(network, chain)
    weight = np.zeros_like(samples.prefix_weight)
    np.testing.assert_array_equal(_run(graph, {**samples.inputs, "prefix_weight": weight}), plain)
    # What the policy itself gave lies within its clips, so weight 1 returns it as it is.
    prefix = np.roll(np.pad(plain, ((0, 0), (0, 1), (0, 0)), mode="edge"), 1, axis=0)
    frozen = _run(
        graph, {**samples.inputs, "prefix": prefix, "prefix_weight": np.ones_like(weight)}
    )
    np.testing.assert_array_equal(frozen, prefix[:, : SHAPE.act_steps])


def test_guidance_of_half_weight_in_one_step_is_the_middle() -> None:
    """A chain of one step returns its clean chunk, so the answer can be worked by hand."""
    policy, header = _policy("residual", "one_step")
    samples = sample_pairs(policy, header, 4)
    graph = _graph("residual", "one_step")
    weight = np.zeros_like(samples.prefix_weight)
    free = _run(graph, {**samples.inputs, "prefix_weight": weight})
    ends = header.action_normalizer
    prefix = np.broadcast_to(ends.maximum, (4, 4, 3)).astype(np.float32)
    half = _run(graph, {**samples.inputs, "prefix": prefix, "prefix_weight": weight + 0.5})
    np.testing.assert_allclose(half, 0.5 * (free + prefix[:, :3]), atol=1e-5)
    beyond = _run(graph, {**samples.inputs, "prefix": prefix + 9.0, "prefix_weight": weight + 1.0})
    np.testing.assert_array_equal(beyond, prefix[:, :3])


@pytest.mark.parametrize(("network", "chain"), [("residual", "ddim"), ("unet", "ddim_noise")])
def test_a_bundle_without_guidance_gets_it_without_its_checkpoint(
    network: str, chain: str, tmp_path: Path
) -> None:
    policy, header = _policy(network, chain)
    old = _old_bundle(network, chain, tmp_path / "old")
    assert not old.manifest.guidance
    assert "guidance" not in (tmp_path / "old" / "bundle.json").read_text()
    config = ExportConfig(from_bundle=tmp_path / "old", out=tmp_path / "new")
    new = load_bundle(run_guided_export(config))
    assert new.manifest.guidance and new.manifest.name == old.manifest.name
    count = len(old.golden["actions"])
    np.testing.assert_array_equal(new.golden["actions"][:count], old.golden["actions"])
    assert (new.golden["prefix_weight"][:count] == 0.0).all()
    assert (new.golden["prefix_weight"][count:] > 0.0).any()
    # The graph is the one that an export from the checkpoint would have given.
    samples = sample_pairs(policy, header, 16)
    np.testing.assert_array_equal(
        _run(new.graph, samples.inputs), _run(_graph(network, chain), samples.inputs)
    )
    runtime = PolicyRuntime(new)
    assert runtime.golden_error < 1e-4
    with pytest.raises(BundleError, match="takes a prefix already"):
        run_guided_export(replace(config, from_bundle=tmp_path / "new", out=tmp_path / "third"))
    with pytest.raises(ConfigError, match="ddim_steps cannot be combined with from_bundle"):
        run_guided_export(replace(config, ddim_steps=2))


def test_a_foreign_graph_gets_no_guidance(tmp_path: Path) -> None:
    bundle = _old_bundle("residual", "ddim", tmp_path / "old")
    claimed = replace(bundle.manifest.denoising, ddim_steps=5)
    with pytest.raises(BundleError, match=r"found 5 clips .* where a chain of 5 steps has 6"):
        add_guidance(replace(bundle, manifest=replace(bundle.manifest, denoising=claimed)))


def _policy(network: str, chain: str) -> tuple[DiffusionPolicy, PolicyHeader]:
    header = make_header(NETWORKS[network], CHAINS[chain])
    return make_policy(header), header


@cache
def _graph(network: str, chain: str, guided: bool = True) -> bytes:
    """Return a graph; translating the part that reads observations takes a second."""
    return build_graph(*_policy(network, chain), guided=guided)


def _old_bundle(network: str, chain_name: str, folder: Path) -> PolicyBundle:
    policy, header = _policy(network, chain_name)
    samples = sample_pairs(policy, header, 3, guided=False)
    graph = _graph(network, chain_name, guided=False)
    chain, ends = policy.config, header.action_normalizer
    manifest = BundleManifest(
        name="old",
        task=header.task,
        simulator="none",
        observation=header.observation_spec,
        action=header.action_spec,
        observation_normalizer=header.observation_normalizer,
        action_normalizer=ends,
        observation_clip=header.observation_clip,
        denoising=DenoisingSettings(
            chain.denoising_steps,
            chain.ft_denoising_steps,
            chain.chain_steps,
            chain.eval_eta,
            chain.denoised_clip_value,
            chain.final_action_clip_value,
        ),
        horizon_steps=SHAPE.horizon_steps,
        act_steps=SHAPE.act_steps,
        cond_steps=header.shape.cond_steps,
        control_rate_hz=10.0,
        envelope=ActionEnvelope(ends.minimum, ends.maximum, ends.maximum - ends.minimum),
        training={},
        git_commit="unknown",
        data_hash="unknown",
        parity={"max_abs_error": 1e-6},
    )
    return write_bundle(folder, manifest, graph, {**samples.inputs, "actions": samples.actions})


def _free(samples: Samples) -> dict[str, np.ndarray]:
    return {"observation": samples.observation, "noise": samples.noise}


def _run(graph: bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["actions"], inputs)[0])
