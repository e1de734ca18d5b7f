# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench policy`: latency of exported policies at batch 1, idle and beside busy processes.

At batch 1 every weight is read once per use, so reading is the limit. The share of the peak counts
the bytes of weights that the graph's nodes read, against the speed at which this machine reads an
array of the same size over and over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch.utils.flop_counter import FlopCounterMode

from dppo_ros.core.bundle import PolicyBundle, load_bundle
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.paths import find_bundle
from sim_training.bench.config import BenchPolicyConfig
from sim_training.bench.load import busy_processes
from sim_training.bench.report import Row, Value, print_rows
from sim_training.bench.subjects import Subject, make_bundle, make_subject
from sim_training.bench.yardstick import Yardstick, measure_yardstick, read_bandwidth_gb_s

_WARM_UP = 20
_WEIGHTED = ("Gemm", "MatMul", "MatMulNBits", "Conv", "ConvTranspose")


@dataclass(frozen=True)
class Contender:
    """One way to run one policy.

    Attributes:
        policy: name of the policy.
        runtime: how it runs.
        call: makes one chunk.
        facts: more columns.
    """

    policy: str
    runtime: str
    call: Callable[[], object]
    facts: Row


def bench_policy(config: BenchPolicyConfig) -> int:
    """Measure and print latencies."""
    if config.n_calls < 1:
        raise ConfigError(f"n_calls is {config.n_calls}; it must be at least 1")
    peak = measure_yardstick(config.threads)
    contenders = list(_contenders(config, peak))
    rows: list[dict[str, Value]] = []
    for busy in sorted(set(config.busy)):
        with busy_processes(busy):
            rows += [_row(one, busy, time_calls(one.call, config.n_calls)) for one in contenders]
    if config.compare_eager:
        _add_speedups(rows)
    machine: dict[str, Value] = {
        "threads": peak.threads,
        "fp32_matmul_gflops": peak.fp32_gflops,
        "bf16_matmul_gflops": peak.bf16_gflops,
        "memory_gb_s": peak.memory_gb_s,
    }
    print_rows(machine, rows, config.json)
    return 0


def time_calls(call: Callable[[], object], count: int) -> list[float]:
    """Return durations in milliseconds, after a warm-up."""
    durations = []
    for index in range(count + _WARM_UP):
        begun = time.perf_counter()
        call()
        if index >= _WARM_UP:
            durations.append(1e3 * (time.perf_counter() - begun))
    return durations


def weight_bytes(graph: bytes) -> int:
    """Return the bytes of weights that one execution reads, repeated uses counted repeatedly."""
    model = onnx.load_from_string(graph).graph
    sizes = {tensor.name: len(tensor.raw_data) for tensor in model.initializer}
    nodes = [node for node in model.node if node.op_type in _WEIGHTED]
    return sum(sizes.get(name, 0) for node in nodes for name in node.input)


def _contenders(config: BenchPolicyConfig, peak: Yardstick) -> Iterator[Contender]:
    for path in config.bundles:
        bundle = load_bundle(find_bundle(str(path)))
        yield _exported(bundle, str(bundle.manifest.parity.get("precision", "fp32")), config, None)
    for name in config.subjects if not config.bundles else ():
        subject = make_subject(name)
        flops = _flops(subject)
        for precision in config.precisions:
            bundle = make_bundle(subject, precision)
            yield _exported(bundle, precision, config, flops / (1e9 * peak.fp32_gflops))
        if config.compare_eager:
            yield Contender(name, "torch eager", _eager_call(subject), _facts())


def _exported(
    bundle: PolicyBundle, precision: str, config: BenchPolicyConfig, least_matmul_s: float | None
) -> Contender:
    runtime = PolicyRuntime(bundle, threads=config.threads)
    rng = np.random.default_rng(0)
    observation = bundle.golden["observation"][0]

    def call() -> object:
        return runtime.infer(observation, runtime.sample_noise(rng))

    read = weight_bytes(bundle.graph)
    error = bundle.manifest.parity.get("max_abs_error_normalised")
    facts = _facts(
        read,
        read / (1e9 * read_bandwidth_gb_s(len(bundle.graph))),
        least_matmul_s,
        float(error) if isinstance(error, (int, float)) else None,
    )
    return Contender(bundle.manifest.name, precision, call, facts)


def _facts(
    read: int | None = None,
    least_read_s: float | None = None,
    least_matmul_s: float | None = None,
    error: float | None = None,
) -> Row:
    return {
        "weights_read_mb": None if read is None else 1e-6 * read,
        "least_read_ms": None if least_read_s is None else 1e3 * least_read_s,
        "least_matmul_ms": None if least_matmul_s is None else 1e3 * least_matmul_s,
        "max_error": error,
    }


def _row(contender: Contender, busy: int, times: list[float]) -> dict[str, Value]:
    median, p99 = (float(value) for value in np.percentile(times, [50, 99]))
    facts = dict(contender.facts)
    least_read, least_matmul = facts.pop("least_read_ms"), facts.pop("least_matmul_ms")
    return {
        "policy": contender.policy,
        "runtime": contender.runtime,
        "busy_processes": busy,
        "median_ms": median,
        "p99_ms": p99,
        "max_ms": max(times),
        "share_of_read_peak": None if least_read is None else float(least_read) / median,
        "share_of_matmul_peak": None if least_matmul is None else float(least_matmul) / median,
        **facts,
    }


def _add_speedups(rows: list[dict[str, Value]]) -> None:
    """Add how many times faster than torch each row is under the same load."""
    eager = {
        (row["policy"], row["busy_processes"]): row["median_ms"]
        for row in rows
        if row["runtime"] == "torch eager"
    }
    for row in rows:
        reference = eager.get((row["policy"], row["busy_processes"]))
        median = row["median_ms"]
        assert isinstance(median, float)
        row["times_eager"] = None if reference is None else float(reference) / median


def _eager_call(subject: Subject) -> Callable[[], object]:
    policy, shape = subject.policy, subject.header.shape
    observation = {"state": torch.zeros(1, shape.cond_steps, shape.obs_dim)}
    generator = torch.Generator().manual_seed(0)

    def call() -> object:
        return policy.act(observation, policy.draw_noise(1, generator))

    return call


def _flops(subject: Subject) -> float:
    """Return the operations in the matrix products of one chunk, as torch would do them."""
    with FlopCounterMode(display=False) as counter:
        _eager_call(subject)()
    return float(counter.get_total_flops())
