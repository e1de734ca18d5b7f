# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers as nodes: linear in two precisions, activations, normalisation.

Legend: B batch, d_in and d_out sizes of a layer.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dppo_ros.core.errors import ConfigError
from sim_training.export_graph.builder import MICROSOFT, GraphBuilder

FloatArray = NDArray[np.float32]

INT8_BLOCK = 64
"""Weights that share a scale in 8-bit layers; the activations are scaled in the same blocks."""
INT8_SMALLEST = 256 * 256
"""Matrices with fewer weights stay in float32: they cost little and touch the actions directly."""
_INT8_COMPUTE = 4  # ONNX Runtime's name for products of 8-bit weights and 8-bit activations


def values(tensor: torch.Tensor) -> FloatArray:
    """Return a parameter as a float32 array."""
    array: FloatArray = tensor.detach().cpu().float().numpy()
    return array


def linear(builder: GraphBuilder, x: str, weight: FloatArray, bias: FloatArray) -> str:
    """Return x W^T + b, (B, d_in) to (B, d_out), for a weight (d_out, d_in).

    In 8-bit precision large matrices are stored as bytes with a scale per `INT8_BLOCK` inputs;
    ONNX Runtime scales the activations likewise while running.
    """
    if builder.precision == "int8" and weight.size >= INT8_SMALLEST:
        return _linear_int8(builder, x, weight, bias)
    return builder.node("Gemm", x, builder.constant(weight.T), builder.constant(bias))


def module_linear(builder: GraphBuilder, x: str, layer: nn.Linear) -> str:
    """Return the output of a torch layer."""
    return linear(builder, x, values(layer.weight), values(layer.bias))


def _linear_int8(builder: GraphBuilder, x: str, weight: FloatArray, bias: FloatArray) -> str:
    rows, columns = weight.shape
    blocks = -(-columns // INT8_BLOCK)
    padded = np.zeros((rows, blocks * INT8_BLOCK), dtype=np.float32)
    padded[:, :columns] = weight
    grouped = padded.reshape(rows, blocks, INT8_BLOCK)
    scale = np.maximum(np.abs(grouped).max(axis=2), 1e-12) / 127.0
    # Unsigned bytes around 128, the operator's convention where no zero point is given.
    stored = (np.rint(grouped / scale[:, :, None]) + 128.0).astype(np.uint8)
    return builder.node(
        "MatMulNBits",
        x,
        builder.constant(stored),
        builder.constant(scale.astype(np.float32).reshape(-1)),
        "",
        "",
        builder.constant(bias),
        domain=MICROSOFT,
        K=columns,
        N=rows,
        bits=8,
        block_size=INT8_BLOCK,
        accuracy_level=_INT8_COMPUTE,
    )


def layer_norm(builder: GraphBuilder, x: str, layer: nn.Module) -> str:
    """Return x normalised over its last axis; nn.Identity: x itself."""
    if isinstance(layer, nn.Identity):
        return x
    assert isinstance(layer, nn.LayerNorm)
    return builder.node(
        "LayerNormalization",
        x,
        builder.constant(values(layer.weight)),
        builder.constant(values(layer.bias)),
        axis=-1,
        epsilon=layer.eps,
    )


def activation(builder: GraphBuilder, x: str, layer: nn.Module) -> str:
    """Return an activation function of x.

    Raises:
        ConfigError: the function has no form here.
    """
    if isinstance(layer, nn.Identity):
        return x
    if isinstance(layer, nn.Mish):
        return _mish(builder, x)
    if isinstance(layer, nn.GELU) and layer.approximate == "none":
        half = builder.node("Mul", x, builder.scalar(0.5))
        error = builder.node("Erf", builder.node("Mul", x, builder.scalar(math.sqrt(0.5))))
        return builder.node("Mul", half, builder.node("Add", error, builder.scalar(1.0)))
    if isinstance(layer, nn.ELU):
        return builder.node("Elu", x, alpha=float(layer.alpha))
    plain = {nn.ReLU: "Relu", nn.Tanh: "Tanh", nn.Softplus: "Softplus"}
    if type(layer) not in plain:
        raise ConfigError(
            f"activation {type(layer).__name__} cannot be exported; choose another activation_type"
        )
    return builder.node(plain[type(layer)], x)


def _mish(builder: GraphBuilder, x: str) -> str:
    """Return x tanh(log(1 + e^x)) = x - 2 x / ((1 + e^x)^2 + 1).

    ONNX Runtime has no kernel for Mish and a slow one for its logarithm; this form needs one
    exponential. Where e^x overflows, the quotient is 0 and the result x, as it should be.
    """
    one = builder.scalar(1.0)
    raised = builder.node("Add", builder.node("Exp", x), one)
    squared = builder.node("Mul", raised, raised)
    divisor = builder.node("Add", squared, one)
    doubled = builder.node("Add", x, x)
    return builder.node("Sub", x, builder.node("Div", doubled, divisor))
