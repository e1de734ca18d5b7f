# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoder and random shifts, against hand-made crops and the written-out formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.augmentation import random_shift, shift, shift_observation
from sim_training.networks.config import CriticConfig, VisionConfig
from sim_training.networks.critic import StateCritic
from sim_training.networks.shape import PolicyShape
from sim_training.networks.vision import (
    SpatialEmbedding,
    VisionEncoder,
    VisionTransformer,
    tokens_per_side,
)

SMALL = VisionConfig(embed_dim=8, num_heads=2, spatial_dim=6)


def images(
    batch: int, frames: int = 1, cameras: int = 1, size: int = 32, seed: int = 0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, frames, 3 * cameras, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("style", "size", "side"),
    [
        ("overlapping", 96, 11),
        ("overlapping", 128, 15),
        ("overlapping", 84, 9),  # 84 -> 20 -> 9; rounding up would claim 10
        ("overlapping", 76, 8),
        ("plain", 96, 12),
        ("plain", 84, 10),
    ],
)
def test_token_count_is_what_the_convolutions_give(style: str, size: int, side: int) -> None:
    assert tokens_per_side(style, size) == side
    config = VisionConfig(patch_style=style, embed_dim=8, num_heads=2)  # type: ignore[arg-type]
    network = VisionTransformer(config, 3, size)
    assert network(torch.zeros(1, 3, size, size)).shape == (1, side * side, 8)


def test_images_below_one_token_are_refused() -> None:
    with pytest.raises(ConfigError, match="12 px are too small"):
        tokens_per_side("overlapping", 12)


def test_image_encoder_without_a_camera_is_refused() -> None:
    with pytest.raises(ConfigError, match="the task has no camera"):
        VisionEncoder(SMALL, PolicyShape(5, 2, 1, 4, 4))


def test_transformer_starts_with_small_weights_and_zero_biases() -> None:
    network = VisionTransformer(VisionConfig(), 3, 32)
    for module in network.layers.modules():
        if isinstance(module, nn.Linear):
            assert not module.bias.any()
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert network.position.std().item() == pytest.approx(0.02, rel=0.15)


def test_pixels_enter_between_minus_and_plus_one_half() -> None:
    encoder = VisionEncoder(SMALL, PolicyShape(2, 1, 1, 1, 1, cameras=1, image_size_px=16))
    seen: list[torch.Tensor] = []
    encoder.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rgb = torch.zeros(1, 1, 3, 16, 16, dtype=torch.uint8)
    rgb[0, 0, 1], rgb[0, 0, 2] = 255, 51
    encoder(rgb, torch.zeros(1, 1, 2))
    channels = seen[0][0, :, 0, 0]
    torch.testing.assert_close(channels, torch.tensor([-0.5, 0.5, -0.3]))


def test_spatial_embedding_equals_the_concatenated_formula() -> None:
    torch.manual_seed(0)
    embedding = SpatialEmbedding(tokens=9, width=4, proprioception=3, features=5)
    tokens, state = torch.randn(2, 9, 4), torch.randn(2, 3)
    maps = torch.cat([tokens.transpose(1, 2), state.unsqueeze(1).expand(2, 4, 3)], dim=-1)
    hidden = torch.relu(embedding.norm(embedding.projection(maps)))
    expected = torch.stack([(embedding.weight[0] * row).sum(0) for row in hidden])
    torch.testing.assert_close(embedding(tokens, state), expected)


def test_cameras_share_the_transformer_and_start_with_equal_embeddings() -> None:
    torch.manual_seed(0)
    sizes = PolicyShape(2, 1, 1, 1, 1, cameras=2, image_size_px=32)
    encoder = VisionEncoder(SMALL, sizes)
    first, second = images(3, seed=1), images(3, seed=2)
    state = torch.randn(3, 1, 2)
    both = encoder(torch.cat([first, second], dim=2), state)
    swapped = encoder(torch.cat([second, first], dim=2), state)
    assert both.shape == (3, 12)
    torch.testing.assert_close(both[:, :6], swapped[:, 6:])
    assert not torch.allclose(both[:, :6], both[:, 6:])
    assert not any(
        a is b
        for a, b in zip(
            encoder.embeddings[0].parameters(), encoder.embeddings[1].parameters(), strict=True
        )
    )


def test_frames_of_a_camera_are_stacked_and_only_the_newest_count() -> None:
    """Two cameras, two frames: the transformer sees (frame 0 RGB, frame 1 RGB) of one camera."""
    sizes = PolicyShape(2, 1, 2, 1, 1, cameras=2, image_size_px=16, img_cond_steps=2)
    encoder = VisionEncoder(SMALL, sizes)
    seen: list[torch.Tensor] = []
    encoder.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rgb = torch.zeros(1, 3, 6, 16, 16)
    for frame in range(3):
        for channel in range(6):
            rgb[0, frame, channel] = 255 * (10 * frame + channel) / 100
    encoder(rgb, torch.zeros(1, 2, 2))
    levels = ((seen[0][:, :, 0, 0] + 0.5) * 100).round().int().tolist()
    assert levels == [[10, 11, 12, 20, 21, 22], [13, 14, 15, 23, 24, 25]]


def test_pixel_critic_reads_image_and_state() -> None:
    torch.manual_seed(0)
    sizes = PolicyShape(2, 1, 1, 1, 1, cameras=1, image_size_px=32)
    critic = StateCritic(CriticConfig(mlp_dims=(8,) * 3, vision=SMALL), sizes)
    state, rgb = torch.zeros(2, 1, 2), images(2)
    values = critic({"state": state, "rgb": rgb})
    assert values.shape == (2,)
    assert values[0] != values[1]
    assert not torch.allclose(values, critic({"state": state + 1, "rgb": rgb}))


def test_shift_by_hand() -> None:
    """Offset (0, 2) of pad 1 on a 2 x 3 image: content moves one row down and one column left."""
    image = torch.tensor([[[1, 2, 3], [4, 5, 6]]], dtype=torch.uint8)
    down_left = shift(image, torch.tensor([[0, 2]]), pad=1)
    assert down_left.tolist() == [[[2, 3, 3], [2, 3, 3]]]
    up_right = shift(image, torch.tensor([[2, 0]]), pad=1)
    assert up_right.tolist() == [[[4, 4, 5], [4, 4, 5]]]
    assert torch.equal(shift(image, torch.tensor([[1, 1]]), pad=1), image)


def test_random_shift_equals_crops_of_the_padded_image() -> None:
    rgb = images(6, size=12)
    shifted = random_shift(rgb, 4, torch.Generator().manual_seed(5))
    offsets = torch.randint(0, 9, (6, 1, 2), generator=torch.Generator().manual_seed(5))
    padded = nn.functional.pad(rgb[:, 0].float(), (4, 4, 4, 4), mode="replicate")
    for row, (top, left) in enumerate(offsets[:, 0].tolist()):
        expected = padded[row, :, top : top + 12, left : left + 12]
        assert torch.equal(shifted[row, 0].float(), expected)
    assert shifted.dtype == torch.uint8


def test_stacked_frames_move_together_and_cameras_apart() -> None:
    rgb = images(40, size=16)
    twice = torch.cat([rgb, rgb], dim=2).expand(-1, 2, -1, -1, -1)
    shifted = random_shift(twice, 4, torch.Generator().manual_seed(0), cameras=2)
    assert torch.equal(shifted[:, 0], shifted[:, 1])
    same = (shifted[:, 0, :3] == shifted[:, 0, 3:]).flatten(1).all(1)
    assert same.sum() <= 3  # one in 81 by chance


def test_shifting_an_observation_tells_the_cameras_apart() -> None:
    seen = {"state": torch.zeros(2, 1, 2), "rgb": images(2, cameras=2)}
    shifted = shift_observation(seen, 4, torch.Generator().manual_seed(7))
    expected = random_shift(seen["rgb"], 4, torch.Generator().manual_seed(7), cameras=2)
    assert torch.equal(shifted["rgb"], expected)
    assert shifted["state"] is seen["state"]


def test_no_shift_returns_the_images_and_a_negative_one_is_refused() -> None:
    rgb = images(2)
    assert random_shift(rgb, 0, torch.Generator()) is rgb
    state_only = {"state": torch.zeros(2, 1, 2)}
    assert shift_observation(state_only, 4, torch.Generator()) is state_only
    with pytest.raises(ConfigError, match="random_shift_px is -1"):
        VisionConfig(random_shift_px=-1)
    with pytest.raises(ConfigError, match="multiple of num_heads"):
        VisionConfig(embed_dim=10, num_heads=4)
