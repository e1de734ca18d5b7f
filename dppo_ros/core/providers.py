# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which ONNX Runtime provider runs a policy, in which order they are tried, and with what options.

Pure decisions on names: ``runtime`` tells what is available and opens the sessions. A TensorRT
engine is built for one graph, one release of the runtime and one device, so the folder that keeps
it is named after all three; an engine that does not fit cannot be picked up by mistake.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dppo_ros.core.errors import ConfigError, unknown_name_message

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"
SHORT_NAMES = {"tensorrt": TENSORRT_PROVIDER, "cuda": CUDA_PROVIDER, "cpu": CPU_PROVIDER}
GPU_PROVIDERS = (TENSORRT_PROVIDER, CUDA_PROVIDER)

_KEY_LENGTH = 16
_GPU_FOLDER = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class SessionSettings:
    """How the policy is to be run.

    Attributes:
        providers: Provider names, short (``cuda``) or full, in order of preference. The CPU is
            always the last resort.
        threads: Threads used inside one operator.
        spinning: Idle threads wait actively; faster answers, but the cores are lost to others.
        engine_cache: Folder that keeps TensorRT engines; None keeps none.
        device_id: Which GPU.
        bind: Keep inputs in buffers on the device; None: only on a GPU.
    """

    providers: tuple[str, ...] = ("cpu",)
    threads: int = 1
    spinning: bool = False
    engine_cache: Path | None = None
    device_id: int = 0
    bind: bool | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            ConfigError: The thread count is below one or the device below zero.
        """
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; it must be at least 1")
        if self.device_id < 0:
            raise ConfigError(f"device_id is {self.device_id}; it must be 0 or more")


def provider_list(text: str) -> tuple[str, ...]:
    """Return the providers named in a parameter such as ``tensorrt,cuda,cpu``.

    Raises:
        ConfigError: A name is neither a short one nor one of ONNX Runtime's, or none is given.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ConfigError(f"providers is {text!r}; name at least one of {', '.join(SHORT_NAMES)}")
    for name in names:
        if name not in SHORT_NAMES and not name.endswith("ExecutionProvider"):
            raise ConfigError(unknown_name_message("provider", name, SHORT_NAMES))
    return names


def choose(
    wanted: Sequence[str], available: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the providers to try in order, and a reason for each that is left out.

    Args:
        wanted: Short or full names in order of preference.
        available: What this ONNX Runtime was built with.
    """
    full = [SHORT_NAMES.get(name, name) for name in wanted]
    chosen = [name for name in dict.fromkeys(full) if name in available]
    reasons = tuple(
        f"provider {name} is not available in this ONNX Runtime (available: "
        f"{', '.join(available)}); trying the next one"
        for name in dict.fromkeys(full)
        if name not in available
    )
    if CPU_PROVIDER not in chosen:
        chosen.append(CPU_PROVIDER)
    return tuple(chosen), reasons


def with_options(
    name: str, available: Sequence[str], settings: SessionSettings, engines: Path | None
) -> list[tuple[str, dict[str, str]]]:
    """Return one provider with its options, and behind it those that take what it cannot run.

    Args:
        name: Provider to start with.
        available: What this ONNX Runtime was built with.
        settings: How the policy is to be run.
        engines: Folder of the TensorRT engines of this graph; None keeps none.
    """
    order = [name]
    if name == TENSORRT_PROVIDER and CUDA_PROVIDER in available:
        order.append(CUDA_PROVIDER)
    if name != CPU_PROVIDER:
        order.append(CPU_PROVIDER)
    device = str(settings.device_id)
    options: dict[str, dict[str, str]] = {
        # A policy is a chain of small products: exhaustive search pays once, at configure.
        CUDA_PROVIDER: {"device_id": device, "cudnn_conv_algo_search": "EXHAUSTIVE"},
        TENSORRT_PROVIDER: {"device_id": device},
    }
    if engines is not None:
        options[TENSORRT_PROVIDER] |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engines),
        }
    return [(entry, options.get(entry, {})) for entry in order]


def engine_folder(root: Path, graph_sha256: str, runtime_version: str, device: str) -> Path:
    """Return where the engines of a graph, a runtime release and a device are kept."""
    key = hashlib.sha256("\n".join((graph_sha256, runtime_version, device)).encode()).hexdigest()
    return root / key[:_KEY_LENGTH]


def device_name(device_id: int, folder: Path = _GPU_FOLDER) -> str:
    """Return model and number of a GPU as the driver tells it, ``unknown`` model without one."""
    gpus = sorted(folder.glob("*/information")) if folder.is_dir() else []
    model = "unknown"
    if device_id < len(gpus):
        found = re.search(r"^Model:\s*(.+)$", gpus[device_id].read_text(), re.MULTILINE)
        model = found.group(1).strip() if found else model
    return f"{model} #{device_id}"
