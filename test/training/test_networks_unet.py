# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The UNet: a FiLM block worked by hand, chunk lengths, refusals, shared protocol."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import DiffusionUnetConfig
from sim_training.networks.shape import PolicyShape
from sim_training.networks.unet import DiffusionUnet, FilmBlock

TINY = DiffusionUnetConfig(dim=8, dim_mults=(1, 2), n_groups=4, time_dim=4)


def film_block(scales: bool) -> FilmBlock:
    """Two channels, convolutions that copy, no activation, one group: only norm and FiLM act."""
    config = DiffusionUnetConfig(
        dim=2,
        dim_mults=(1,),
        kernel_size=1,
        n_groups=1,
        groupnorm_eps=1e-12,
        activation_type="Identity",
        smaller_encoder=True,
        cond_predict_scale=scales,
    )
    block = FilmBlock(config, 2, 2, 1)
    for conv in (block.first[0], block.second[0]):
        assert isinstance(conv, nn.Conv1d) and conv.bias is not None
        nn.init.zeros_(conv.bias)
        with torch.no_grad():
            conv.weight.copy_(torch.eye(2).unsqueeze(-1))
    return block


def set_film(block: FilmBlock, numbers: list[float]) -> None:
    layer = block.film[-1]
    assert isinstance(layer, nn.Linear)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(numbers))


def test_film_block_by_hand_with_scale_and_shift() -> None:
    """Scales 2, 4 and shifts 1, -1 give (3, -1 | 3, -5): mean 0, variance 11; no "+ 1" anywhere.

    The input (1, -1 | 1, -1) is already normalised; the shortcut adds it at the end.
    """
    block = film_block(scales=True)
    set_film(block, [2.0, 4.0, 1.0, -1.0])
    x = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    root = math.sqrt(11.0)
    expected = torch.tensor([[[3 / root + 1, -1 / root - 1], [3 / root + 1, -5 / root - 1]]])
    torch.testing.assert_close(block(x, torch.zeros(1, 1)), expected)


def test_film_block_by_hand_with_shift_only() -> None:
    """Shifts 1, -1 give (2, 0 | 0, -2): mean 0, variance 2."""
    block = film_block(scales=False)
    set_film(block, [1.0, -1.0])
    x = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    root = math.sqrt(2.0)
    expected = torch.tensor([[[2 / root + 1, -1.0], [1.0, -2 / root - 1]]])
    torch.testing.assert_close(block(x, torch.zeros(1, 1)), expected)


def test_large_encoder_has_three_layers_and_the_small_one_a_single_layer() -> None:
    large = FilmBlock(TINY, 8, 8, 5).film
    small = FilmBlock(DiffusionUnetConfig(dim=8, smaller_encoder=True), 8, 8, 5).film
    sizes = [(m.in_features, m.out_features) for m in large if isinstance(m, nn.Linear)]
    assert sizes == [(5, 16), (16, 16), (16, 16)]
    assert isinstance(small[0], nn.Mish) and isinstance(small[1], nn.Linear)


@pytest.mark.parametrize(("mults", "horizon"), [((1,), 3), ((1, 2), 4), ((1, 2, 4), 16)])
def test_prediction_has_the_shape_of_the_chunk(mults: tuple[int, ...], horizon: int) -> None:
    config = DiffusionUnetConfig(dim=8, dim_mults=mults, n_groups=4, time_dim=4)
    network = DiffusionUnet(config, PolicyShape(5, 3, 2, horizon, horizon))
    x = torch.randn(2, horizon, 3)
    predicted = network(x, torch.tensor([0, 7]), {"state": torch.randn(2, 2, 5)})
    assert predicted.shape == x.shape


def test_cached_features_give_the_same_prediction() -> None:
    network = DiffusionUnet(TINY, PolicyShape(5, 3, 1, 4, 4))
    x, time, state = torch.randn(2, 4, 3), torch.tensor([1, 2]), {"state": torch.randn(2, 1, 5)}
    parts = network.denoise(x, network.encode_time(time), network.encode_observation(state))
    torch.testing.assert_close(network(x, time, state), parts)


def test_way_up_joins_the_deep_path_with_the_skip() -> None:
    """Without the deep path the chunk arrives through the skip; without both it does not."""
    network = DiffusionUnet(TINY, PolicyShape(5, 3, 1, 4, 4))
    time, state = torch.zeros(2), {"state": torch.zeros(2, 1, 5)}
    x = torch.randn(2, 4, 3)
    first = network.up[0].blocks[0]
    channels = 16  # of the deepest level: the first half of the joined input is the deep path

    def cut(part: slice) -> None:
        with torch.no_grad():
            first.first[0].weight[:, part] = 0.0
            first.shortcut.weight[:, part] = 0.0

    cut(slice(None, channels))
    through_skip = network(x, time, state)
    assert not torch.allclose(through_skip[0], through_skip[1])
    cut(slice(channels, None))
    constant = network(x, time, state)
    torch.testing.assert_close(constant[0], constant[1])


@pytest.mark.parametrize(
    ("horizon", "mults", "message"),
    [
        (6, (1, 2, 4), "divisible by 4; use 4 or 8"),
        (1, (1, 2), "divisible by 2; use 2"),
    ],
)
def test_refuses_chunks_it_cannot_halve(horizon: int, mults: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DiffusionUnet(DiffusionUnetConfig(dim_mults=mults), PolicyShape(5, 3, 1, horizon, 1))


def test_refuses_groups_and_kernels_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="n_groups is 8 but the levels have"):
        DiffusionUnetConfig(dim=20)
    with pytest.raises(ConfigError, match="kernel_size is 4"):
        DiffusionUnetConfig(kernel_size=4)
