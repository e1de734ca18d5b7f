# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies as ONNX graphs, written node by node so that nothing is computed twice.

What depends only on the denoising step becomes a constant, what depends only on the observation
is computed once per chunk, and each step does the rest. At batch 1 a chain is limited by how fast
weights can be read, and after that by the number of nodes; both are counted here on purpose.
"""
