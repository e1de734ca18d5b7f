# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random shifts of training images.

A shifted image is a crop of the image with its border repeated. Shifts are whole pixels, so
copying gives what the reference gets from bilinear sampling, exactly and in 8 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sim_training.networks.observation import TensorObservation
from sim_training.networks.vision import CHANNELS_PER_CAMERA
from sim_training.share import Share, whole


def random_shift(
    rgb: Tensor,
    pad: int,
    generator: torch.Generator,
    cameras: int = 1,
    share: Share | None = None,
) -> Tensor:
    """Return images shifted by up to `pad` pixels in each direction.

    Every row and camera draws its own shift; stacked frames of a camera move together.

    Args:
        rgb: (B, Ti, C, h, w), C = 3 per camera.
        pad: largest shift; 0 returns the images themselves.
        generator: source of the shifts, on the CPU.
        cameras: cameras along C.
        share: the rows that these are of a batch for all of which is drawn; None: all.
    """
    if pad == 0:
        return rgb
    share = share or whole(len(rgb))
    offsets = torch.randint(0, 2 * pad + 1, (share.total, cameras, 2), generator=generator)
    offsets = share.of(offsets)
    per_camera = rgb.chunk(cameras, dim=2)
    shifted = [shift(images, offsets[:, i], pad) for i, images in enumerate(per_camera)]
    return torch.cat(shifted, dim=2) if cameras > 1 else shifted[0]


def shift(images: Tensor, offsets: Tensor, pad: int) -> Tensor:
    """Return crops of images whose border is repeated `pad` times.

    Args:
        images: (B, ..., h, w).
        offsets: (B, 2) row and column of the crop, 0 ... 2 pad; (pad, pad) changes nothing.
        pad: width of the border.
    """
    height, width = images.shape[-2:]
    moves = (offsets - pad).to(images.device)
    rows = (torch.arange(height, device=images.device) + moves[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moves[:, 1:]).clamp(0, width - 1)
    source = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).flatten(1)
    pixels = images.reshape(len(images), -1, height * width)
    return pixels.gather(2, source.unsqueeze(1).expand_as(pixels)).view_as(images)


def shift_observation(
    observation: TensorObservation,
    pad: int,
    generator: torch.Generator,
    share: Share | None = None,
) -> TensorObservation:
    """Return the observation with shifted images; without images, or with pad 0, as it is.

    Args:
        observation: B rows.
        pad: largest shift in pixels, `VisionConfig.random_shift_px`.
        generator: source of the shifts, on the CPU.
        share: as for `random_shift`.
    """
    if "rgb" not in observation or pad == 0:
        return observation
    rgb = observation["rgb"]
    cameras = rgb.shape[2] // CHANNELS_PER_CAMERA
    return {**observation, "rgb": random_shift(rgb, pad, generator, cameras, share)}
