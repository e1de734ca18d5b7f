# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gradients in bfloat16 behind a float32 forward pass.

PPO compares likelihoods before and after an update that are often less than 1 % apart. With an
exact forward pass these comparisons are exact, and the backward pass tolerates bfloat16: its
rounding is noise on a gradient that averages over thousands of samples. Two thirds of a network's
arithmetic are in the backward pass, and bfloat16 products are about four times as fast on
processors with avx512_bf16 or AMX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_LEAST_ROWS = 64
"""Smaller batches are not worth the conversion."""


class Bf16Gradients(TorchFunctionMode):
    """Inside this context every linear layer on the CPU computes its gradients in bfloat16.

    Forward results, weights, the bias's gradient and all accumulation between layers stay float32.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  (whatever the intercepted function returns)
        """Replace linear layers whose gradients are wanted."""
        if func is functional.linear and not kwargs and _worth_it(args[0]):
            return _LinearBf16Gradient.apply(*args)
        return func(*args, **(kwargs or {}))


def _worth_it(x: Tensor) -> bool:
    return (
        torch.is_grad_enabled()
        and x.dtype == torch.float32
        and x.dim() == 2
        and len(x) >= _LEAST_ROWS
    )


class _LinearBf16Gradient(torch.autograd.Function):
    """y = x w^T + b in float32; both matrix gradients in bfloat16 with float32 results."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: ANN401
        """Compute the layer and keep rounded copies for the gradients."""
        ctx.save_for_backward(x.to(torch.bfloat16), weight.to(torch.bfloat16))
        ctx.has_bias = bias is not None
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # noqa: ANN401
        """Return the gradients of input, weight and bias."""
        (grad,) = grads
        x, weight = ctx.saved_tensors
        rounded = grad.to(torch.bfloat16)
        wanted = ctx.needs_input_grad
        return (
            (rounded @ weight).float() if wanted[0] else None,
            (rounded.t() @ x).float() if wanted[1] else None,
            grad.sum(0) if ctx.has_bias and wanted[2] else None,
        )
