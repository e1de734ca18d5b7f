# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Importable as ``isaacgym`` when this folder's parent is on the path; see the package above."""

import sys

# The original refuses this too, since both bring their own CUDA libraries.
if "torch" in sys.modules:
    raise ImportError("PyTorch was imported before isaacgym modules. Please import torch after.")
