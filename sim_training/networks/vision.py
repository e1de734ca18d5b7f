# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoder: a small vision transformer, then a spatial embedding per camera.

Legend: B batch, Ti stacked images, C image channels (3 per camera), N tokens of an image,
e token width, P proprioception size, D features per camera.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError
from sim_training.networks.config import VisionConfig
from sim_training.networks.shape import PolicyShape

_INIT_STD = 0.02
CHANNELS_PER_CAMERA = 3
_STEM_CONVOLUTIONS = {"overlapping": ((8, 4), (3, 2)), "plain": ((8, 8),)}
"""(kernel, stride) of every convolution of a patch stem; no padding."""


def tokens_per_side(patch_style: str, image_size_px: int) -> int:
    """Return how many tokens a patch stem makes of one image side.

    Raises:
        ConfigError: the image is smaller than one token.
    """
    size = image_size_px
    for kernel, stride in _STEM_CONVOLUTIONS[patch_style]:
        if size < kernel:
            raise ConfigError(
                f"images of {image_size_px} px are too small for patch_style {patch_style!r}; use "
                "at least 16 px"
            )
        size = (size - kernel) // stride + 1
    return size


class SelfAttention(nn.Module):
    """Multi-head self-attention without mask; query, key and value in one linear layer."""

    def __init__(self, width: int, heads: int) -> None:
        """Build both linear layers for tokens of this width."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, e) to (B, N, e)."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer: attention, then a GELU network of four times the width."""

    def __init__(self, width: int, heads: int) -> None:
        """Build the layer for tokens of this width."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, e) to (B, N, e)."""
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class VisionTransformer(nn.Module):
    """From images to tokens."""

    def __init__(self, config: VisionConfig, channels: int, image_size_px: int) -> None:
        """Build stem, position embedding and layers.

        Args:
            config: sizes.
            channels: of an image; 3 per stacked frame.
            image_size_px: height and width.

        Raises:
            ConfigError: the image is smaller than one token.
        """
        super().__init__()
        self.tokens = tokens_per_side(config.patch_style, image_size_px) ** 2
        self.stem = _patch_stem(config, channels)
        self.position = nn.Parameter(torch.empty(1, self.tokens, config.embed_dim))
        self.layers = nn.Sequential(
            *(TransformerLayer(config.embed_dim, config.num_heads) for _ in range(config.depth))
        )
        self.norm = nn.LayerNorm(config.embed_dim)
        nn.init.trunc_normal_(self.position, std=_INIT_STD)
        self.layers.apply(_init_linear)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, channels, h, w) in [-0.5, 0.5] to tokens (B, N, e)."""
        tokens = self.stem(images).flatten(2).transpose(1, 2)
        return self.norm(self.layers(tokens + self.position))


class SpatialEmbedding(nn.Module):
    """Compress tokens to one feature vector, told by proprioception where to look.

    Each of the e token channels is a map over the N patches. A shared linear layer reads every
    map together with the proprioception; a learned weight sums the results over channels.
    """

    def __init__(self, tokens: int, width: int, proprioception: int, features: int) -> None:
        """Build the layers.

        Args:
            tokens: N.
            width: e.
            proprioception: P.
            features: D.
        """
        super().__init__()
        self.tokens = tokens
        self.projection = nn.Linear(tokens + proprioception, features)
        self.norm = nn.LayerNorm(features)
        self.weight = nn.Parameter(torch.randn(1, width, features))

    def forward(self, tokens: Tensor, proprioception: Tensor) -> Tensor:
        """Map tokens (B, N, e) and proprioception (B, P) to features (B, D)."""
        # The proprioception is the same for all channels: its part of the layer is computed once.
        weight = self.projection.weight
        maps = nn.functional.linear(tokens.transpose(1, 2), weight[:, : self.tokens])
        shared = nn.functional.linear(
            proprioception, weight[:, self.tokens :], self.projection.bias
        )
        hidden = torch.relu(self.norm(maps + shared.unsqueeze(1)))
        return (self.weight * hidden).sum(1)


class VisionEncoder(nn.Module):
    """From the images of all cameras to one feature vector: one transformer serves them all."""

    def __init__(self, config: VisionConfig, shape: PolicyShape) -> None:
        """Build the transformer and a spatial embedding per camera, all starting alike.

        Args:
            config: sizes.
            shape: cameras, image size, stacked frames, proprioception.

        Raises:
            ConfigError: the policy has no camera, or its images are too small.
        """
        super().__init__()
        if shape.cameras < 1:
            raise ConfigError(
                "network.vision is set but the task has no camera; choose a pixel task or set "
                "network.vision to null"
            )
        self.cameras, self.frames = shape.cameras, shape.img_cond_steps
        self.transformer = VisionTransformer(
            config, CHANNELS_PER_CAMERA * self.frames, shape.image_size_px
        )
        embedding = SpatialEmbedding(
            self.transformer.tokens,
            config.embed_dim,
            shape.cond_steps * shape.obs_dim,
            config.spatial_dim,
        )
        self.embeddings = nn.ModuleList(copy.deepcopy(embedding) for _ in range(shape.cameras))
        self.output_dim = shape.cameras * config.spatial_dim

    def forward(self, rgb: Tensor, state: Tensor) -> Tensor:
        """Return features (B, cameras D), the first camera's first.

        Args:
            rgb: (B, Ti, C, h, w), 0 ... 255; the last frames are used.
            state: (B, To, Do) proprioception.
        """
        by_camera = rgb[:, -self.frames :].unflatten(2, (self.cameras, CHANNELS_PER_CAMERA))
        images = by_camera.transpose(1, 2).flatten(2, 3).flatten(0, 1)
        scaled = images.to(self.transformer.position.dtype) / 255.0 - 0.5
        tokens = self.transformer(scaled).unflatten(0, (-1, self.cameras))
        proprioception = state.flatten(1)
        features = [
            embedding(tokens[:, camera], proprioception)
            for camera, embedding in enumerate(self.embeddings)
        ]
        return torch.cat(features, dim=-1)


def _patch_stem(config: VisionConfig, channels: int) -> nn.Sequential:
    width = config.embed_dim
    first, *rest = _STEM_CONVOLUTIONS[config.patch_style]
    stem = nn.Sequential(nn.Conv2d(channels, width, first[0], stride=first[1]))
    for kernel, stride in rest:
        if config.patch_norm:
            stem.append(nn.GroupNorm(width, width))
        stem.extend([nn.ReLU(), nn.Conv2d(width, width, kernel, stride=stride)])
    return stem


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_INIT_STD)
        nn.init.zeros_(module.bias)
