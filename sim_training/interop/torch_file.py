# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read a torch file as nested dictionaries of tensors and numbers, and nothing else.

Torch files are pickles, and a pickle can run any program while it is read. Here torch's restricted
reader does the reading, which builds tensors and plain containers only, and the result is checked
once more. Files from strangers are thus as harmless as any other wrong input.
"""

from __future__ import annotations

import math
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, Union

import torch
from torch import Tensor

from dppo_ros.core.errors import CheckpointError

TorchValue: TypeAlias = Union[Tensor, int, float, "dict[str, TorchValue]"]

_MAX_ELEMENTS = 1_000_000_000
_MAX_DEPTH = 4
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)


def read_torch_file(path: Path) -> dict[str, TorchValue]:
    """Return the contents of a torch file.

    Args:
        path: file written by `torch.save`.

    Returns:
        Nested dictionaries with text keys; leaves are numbers and dense CPU tensors, floating point
        as float32.

    Raises:
        CheckpointError: missing, cut off, not a torch file, or holding anything else.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the reference's state_<n>.pt")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds something other than tensors, numbers and dictionaries, or is cut off; "
            f"it was not executed. Reader's words: {_first_sentence(error)}. Use a checkpoint that "
            "holds plain weights (`torch.save` of a dictionary of state dictionaries)"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is not a readable torch file ({_first_sentence(error)}); it may be cut off, "
            "so download or copy it again"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}; a checkpoint is a dictionary with the keys "
            "epoch/itr, model, ema"
        )
    checked = _checked(content, path, "", 0)
    assert isinstance(checked, dict)  # the argument was a mapping
    return checked


def _checked(value: object, path: Path, where: str, depth: int) -> TorchValue:
    if isinstance(value, Tensor):
        return _checked_tensor(value, path, where)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        for key in value:
            if not isinstance(key, str):
                raise CheckpointError(f"{path}: key {key!r} under {where!r} is not text")
        return {
            key: _checked(entry, path, f"{where}.{key}" if where else key, depth + 1)
            for key, entry in value.items()
        }
    raise CheckpointError(
        f"{path}: {where} holds a {type(value).__name__}; only tensors, numbers and dictionaries "
        f"nested at most {_MAX_DEPTH} deep are accepted"
    )


def _checked_tensor(value: Tensor, path: Path, where: str) -> Tensor:
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        raise CheckpointError(f"{path}: {where} is not a dense tensor; only those are accepted")
    if value.dtype not in _DTYPES:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
        raise CheckpointError(f"{path}: {where} has type {value.dtype}; accepted: {names}")
    # A few bytes on disk can claim any size by repeating themselves (stride 0).
    stored = value.untyped_storage().nbytes() // value.element_size()
    if value.numel() > min(stored, _MAX_ELEMENTS):
        raise CheckpointError(
            f"{path}: {where} claims shape {tuple(value.shape)} but stores {stored} numbers; the "
            "file is damaged or was made to mislead"
        )
    own = value.detach().to(torch.float32 if value.is_floating_point() else torch.int64)
    return own.contiguous().clone()


def find_non_finite(tensors: Mapping[str, Tensor], accepted: tuple[str, ...] = ()) -> str | None:
    """Return the name of the first tensor with NaN or infinite numbers, or None.

    Args:
        tensors: by name.
        accepted: names that may be infinite.
    """
    for name, value in tensors.items():
        if name not in accepted and not bool(torch.isfinite(value).all()):
            return name
    return None


def scalar(value: Tensor, name: str) -> float:
    """Return the number in a tensor of one element.

    Raises:
        CheckpointError: it has another number of elements, or is NaN.
    """
    if value.numel() != 1 or math.isnan(float(value)):
        raise CheckpointError(f"{name} should be one number, got shape {tuple(value.shape)}")
    return float(value)


def _first_sentence(error: BaseException) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words.split(". ")[0][:200]
