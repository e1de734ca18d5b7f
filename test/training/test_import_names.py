# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The map between our names of weights and the reference's: complete, one to one, as documented."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reference_weights import CRITIC, SHAPE, network
from test_import_parity import DENOISING_NETWORKS, OTHERS, PIXELS, VISION
from torch import nn

from sim_training.interop.names import NAMES, reference_names
from sim_training.networks.config import GaussianConfig, GaussianMlpConfig
from sim_training.networks.critic import StateCritic

NETWORKS = {
    **{name: (config, shape, None) for name, (config, shape, _) in DENOISING_NETWORKS.items()},
    **{name: (config, shape, std) for name, (config, shape, std, _) in OTHERS.items()},
}


def networks() -> dict[str, nn.Module]:
    found = {name: network(config, shape, std) for name, (config, shape, std) in NETWORKS.items()}
    found["critic"] = StateCritic(CRITIC, SHAPE)
    found["pixel critic"] = StateCritic(replace(CRITIC, vision=VISION), PIXELS)
    return found


def test_every_weight_has_one_name_on_each_side() -> None:
    for name, module in networks().items():
        names = reference_names(module)
        assert set(names) == set(module.state_dict()), name
        assert len(set(names.values())) == len(names), name


def test_rows_have_equal_placeholders_and_differ() -> None:
    for kind, rows in NAMES.items():
        for row in rows:
            marks = row.theirs.count("*") + row.theirs.count("#")
            assert row.ours.count("*") == marks, (kind, row)
        assert len({row.ours for row in rows}) == len(rows), kind


def test_names_of_13_2() -> None:
    """Names that the reference's own state dictionaries have."""
    expected = {
        "residual MLP, encoder, norm": {
            "mlp_mean.layers.0.weight",
            "mlp_mean.layers.3.l2.bias",
            "mlp_mean.layers.2.norm1.weight",
            "mlp_mean.layers.4.bias",
            "time_embedding.3.weight",
            "cond_mlp.moduleList.1.linear_1.weight",
        },
        "plain MLP, norm": {
            "mlp_mean.moduleList.1.norm_1.bias",
            "mlp_mean.moduleList.2.linear_1.weight",
        },
        "UNet": {
            "down_modules.1.0.residual_conv.weight",
            "down_modules.1.2.conv.weight",
            "mid_modules.1.cond_encoder.4.bias",
            "up_modules.1.0.blocks.1.block.2.weight",
            "up_modules.0.2.conv.bias",
            "final_conv.0.block.0.weight",
            "final_conv.1.weight",
            "time_mlp.1.weight",
        },
        "UNet, small encoder, shift only": {"mid_modules.0.cond_encoder.1.weight"},
        "MLP with two cameras": {
            "backbone.vit.pos_embed",
            "backbone.vit.patch_embed.embed.3.weight",
            "backbone.vit.net.0.mha.qkv_proj.weight",
            "compress1.weight",
            "compress2.input_proj.1.bias",
        },
        "Gaussian, deviation from a shared trunk": {
            "mlp_base.layers.3.weight",
            "mlp_logvar.moduleList.0.linear_1.bias",
        },
        "mixture": {"logvar", "mlp_weights.layers.2.weight"},
        "mixture transformer": {
            "transformer.decoder.layers.1.multihead_attn.in_proj_weight",
            "transformer.cond_pos_emb",
            "modes_head.weight",
        },
        "critic": {"Q1.layers.1.l1.weight"},
    }
    found = networks()
    for name, theirs in expected.items():
        assert theirs <= set(reference_names(found[name]).values()), name


def test_one_camera_has_no_number() -> None:
    config = DENOISING_NETWORKS["MLP with two cameras"][0]
    module = network(config, replace(PIXELS, cameras=1))
    assert "compress.input_proj.0.weight" in reference_names(module).values()


@pytest.mark.parametrize(
    ("vision", "theirs"),
    [
        (replace(VISION, patch_style="plain"), {"conv"}),
        (replace(VISION, patch_norm=True), {"embed.0", "embed.1", "embed.3"}),
        (VISION, {"embed.0", "embed.3"}),
    ],
)
def test_patch_stems(vision: object, theirs: set[str]) -> None:
    config = replace(DENOISING_NETWORKS["MLP with two cameras"][0], vision=vision)  # type: ignore[arg-type]
    names = reference_names(network(config, PIXELS)).values()
    start = "backbone.vit.patch_embed."
    found = {n.removeprefix(start).rpartition(".")[0] for n in names if n.startswith(start)}
    assert found == theirs


def test_norm_that_ends_a_plain_trunk() -> None:
    config = GaussianMlpConfig(mlp_dims=(16, 16), residual_style=False, use_layernorm=True)
    module = network(config, SHAPE, GaussianConfig(std="head"))
    names = reference_names(module)
    assert names["trunk.1.weight"] == "mlp_base.moduleList.1.norm_1.weight"
    assert names["trunk.0.layers.1.weight"] == "mlp_base.moduleList.0.norm_1.weight"
