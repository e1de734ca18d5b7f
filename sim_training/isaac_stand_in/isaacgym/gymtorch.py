# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From descriptors of tensors to torch tensors and back."""

import torch

from sim_training.isaac_stand_in.api import Tensor


def wrap_tensor(descriptor: Tensor) -> torch.Tensor:
    """Return the tensor whose memory a descriptor points to."""
    return descriptor.memory


def unwrap_tensor(tensor: torch.Tensor) -> Tensor:
    """Return a descriptor of a tensor's memory.

    Raises:
        ValueError: the tensor is not contiguous, or of a type Isaac Gym has no descriptor for.
    """
    if not tensor.is_contiguous():
        raise ValueError("Input tensor must be contiguous")
    if tensor.dtype not in (torch.float32, torch.int32, torch.uint8, torch.int16, torch.int64):
        raise ValueError(f"Unsupported tensor type {tensor.dtype}")
    return Tensor(tensor)
