# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported graphs against the policies they come from, for every kind of layer and chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_policies import CHAINS, DDIM, DDPM, NETWORKS, SHAPE, make_header, make_policy
from torch import nn

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import BundleError, ConfigError
from dppo_ros.core.runtime import PolicyRuntime, golden_tolerance
from sim_training.config import ExportConfig
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.export import PARITY_LIMIT, measure_parity, run_export, sample_pairs
from sim_training.export_graph.builder import GraphBuilder
from sim_training.export_graph.chain import build_graph, noise_rows
from sim_training.export_graph.layers import activation, linear
from sim_training.networks.config import (
    DiffusionMlpConfig,
    VisionConfig,
)
from sim_training.networks.layers import ACTIVATIONS
from sim_training.policy_loading import load_policy


@pytest.mark.parametrize(
    ("network", "chain"),
    [
        ("residual", "ddim"),
        ("residual", "ddpm"),
        ("residual", "one_step"),
        ("residual_norm", "ddpm"),
        ("plain_norm", "ddim_noise"),
        ("unet", "ddpm"),
        ("unet_shift", "ddim_noise"),
        ("residual_norm", "ddim_sample"),
        ("plain_norm", "ddpm_sample"),
        ("unet", "ddim_sample"),
    ],
)
def test_the_graph_computes_what_the_policy_does(network: str, chain: str) -> None:
    header = make_header(NETWORKS[network], CHAINS[chain])
    policy = make_policy(header)
    graph = build_graph(policy, header)
    samples = sample_pairs(policy, header, 16)
    parity = measure_parity(graph, samples, header)
    assert 0.0 < float(str(parity["max_abs_error_normalised"])) < 2e-5
    assert np.abs(samples.actions[0] - samples.actions[1]).max() > 1e-2
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    single = {name: rows[3:4] for name, rows in samples.inputs.items()}
    np.testing.assert_allclose(
        session.run(["actions"], single)[0], samples.actions[3:4], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_hold_at_large_arguments(name: str) -> None:
    layer = ACTIVATIONS[name]()
    builder = GraphBuilder()
    out = activation(builder, "x", layer)
    graph = builder.to_bytes({"x": (onnx.TensorProto.FLOAT, (9,))}, out, "y", (9,))
    x = np.array([[-200, -90, -5, -0.3, 0, 0.3, 5, 90, 200]], dtype=np.float32)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    expected = layer(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(session.run(["y"], {"x": x})[0], expected, rtol=2e-6, atol=3e-6)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ConfigError, match="Hardswish cannot be exported"):
        activation(GraphBuilder(), "x", nn.Hardswish())


def test_equal_constants_are_stored_once_and_shared_weights_too() -> None:
    header = make_header(NETWORKS["residual"], DDIM)
    policy = make_policy(header)
    for chain, networks in ((policy.with_ddim(1), 1), (policy.with_ddim(4), 2)):
        constants = onnx.load_from_string(build_graph(chain, header)).graph.initializer
        square = [tensor for tensor in constants if list(tensor.dims) == [24, 24]]
        assert len(square) == 2 * networks


def test_bytes_times_scales_are_the_weights_and_products_are_close() -> None:
    """Columns are not a multiple of the block, so the last block is padded."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((256, 300)).astype(np.float32)
    bias = rng.standard_normal(256).astype(np.float32)
    builder = GraphBuilder("int8")
    graph = builder.to_bytes(
        {"x": (onnx.TensorProto.FLOAT, (300,))}, linear(builder, "x", weight, bias), "y", (256,)
    )
    node = onnx.load_from_string(graph).graph.node[0]
    assert node.op_type == "MatMulNBits"
    stored, scale = (
        onnx.numpy_helper.to_array(t)
        for t in onnx.load_from_string(graph).graph.initializer
        if t.name in node.input[1:3]
    )
    decoded = (stored.astype(np.float32) - 128.0) * scale.reshape(256, -1, 1)
    error = np.abs(decoded.reshape(256, -1)[:, :300] - weight)
    assert (error <= 0.5 * scale.reshape(256, -1).repeat(64, 1)[:, :300] * 1.0001).all()
    x = rng.standard_normal((2, 300)).astype(np.float32)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    difference = session.run(["y"], {"x": x})[0] - (x @ weight.T + bias)
    assert 0.0 < np.abs(difference).std() < 0.01 * np.sqrt(300)


@pytest.mark.parametrize("diffusion", [DDIM, DDPM])
def test_eight_bit_graphs_are_smaller_and_near(diffusion: DiffusionConfig) -> None:
    header = make_header(DiffusionMlpConfig(mlp_dims=(256, 256, 256)), diffusion)
    torch.manual_seed(0)
    policy = header.build_policy().eval().requires_grad_(False)
    assert isinstance(policy, DiffusionPolicy)
    samples = sample_pairs(policy, header, 32)
    exact, coarse = build_graph(policy, header), build_graph(policy, header, "int8")
    assert len(coarse) < 0.5 * len(exact)
    parity = measure_parity(coarse, samples, header, "int8")
    assert 1e-5 < float(str(parity["mean_abs_error_normalised"])) < 5e-3
    with pytest.raises(BundleError, match=r"more than 0.001 \(precision fp32\)"):
        measure_parity(coarse, samples, header)
    wrong = samples.actions + 0.2 * (header.action_normalizer.maximum + 10.0).astype(np.float32)
    changed = replace(samples, actions=wrong)
    with pytest.raises(BundleError, match="Export with --precision fp32"):
        measure_parity(coarse, changed, header, "int8")


def test_a_bundle_states_its_precision(pretrained: Path, tmp_path: Path) -> None:
    folder = run_export(ExportConfig(policy=pretrained, out=tmp_path / "b", precision="int8"))
    bundle = load_bundle(folder)
    parity = bundle.manifest.parity
    assert parity["precision"] == "int8"
    assert parity["limit_normalised"] == PARITY_LIMIT["int8"]
    recorded = float(str(parity["golden_tolerance"]))
    assert recorded == 2.0 * float(str(parity["max_abs_error"]))
    assert golden_tolerance(bundle) == max(1e-4, recorded)
    assert PolicyRuntime(bundle).golden_error <= golden_tolerance(bundle)


def test_a_ddpm_policy_is_exported_with_its_posterior_noise(
    pretrained: Path, tmp_path: Path
) -> None:
    """Also as DDIM where one asks for it; the manifest then says so."""
    loaded = load_policy(pretrained)
    assert isinstance(loaded.policy, DiffusionPolicy)
    ddpm = loaded.policy.with_chain(DiffusionConfig(ft_denoising_steps=0))
    assert noise_rows(ddpm) == 21 * 4
    assert noise_rows(ddpm.with_ddim(20)) == 4
    # DDPM is DDIM with every step and eta 1.
    both = ddpm.with_ddim(20).with_eval_eta(1.0)
    noise = ddpm.draw_noise(3, torch.Generator().manual_seed(0))
    seen = {"state": torch.zeros(3, 1, 4)}
    torch.testing.assert_close(ddpm.act(seen, noise), both.act(seen, noise), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("cameras", [1, 2])
def test_policies_that_see_images_take_them_as_bytes(cameras: int) -> None:
    shape = replace(SHAPE, cameras=cameras, image_size_px=24, img_cond_steps=2)
    vision = VisionConfig(embed_dim=8, num_heads=2, spatial_dim=6)
    network = DiffusionMlpConfig(mlp_dims=(16, 16, 16), vision=vision)
    header = replace(make_header(network, DDIM), shape=shape)
    policy = make_policy(header)
    samples = sample_pairs(policy, header, 3)
    assert samples.rgb is not None and samples.rgb.shape == (3, 2, 3 * cameras, 24, 24)
    graph = build_graph(policy, header)
    parity = measure_parity(graph, samples, header)
    assert float(str(parity["max_abs_error_normalised"])) < 1e-4
    blind = replace(samples, rgb=samples.rgb * 0)
    with pytest.raises(BundleError, match="differs from the policy"):
        measure_parity(graph, blind, header)
