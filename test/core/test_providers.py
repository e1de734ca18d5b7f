# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Provider order, fallbacks with reasons, bound inputs, guided inference, and swapped files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.bundle_watch import BundleWatch
from dppo_ros.core.errors import BundleError, ConfigError, ObservationError
from dppo_ros.core.providers import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    TENSORRT_PROVIDER,
    SessionSettings,
    choose,
    device_name,
    engine_folder,
    provider_list,
    with_options,
)
from dppo_ros.core.runtime import PolicyRuntime

if TYPE_CHECKING:
    from conftest import TinyPolicy


def test_names_in_a_parameter_are_short_or_full() -> None:
    assert provider_list("tensorrt, cuda,cpu") == ("tensorrt", "cuda", "cpu")
    assert provider_list("ROCMExecutionProvider") == ("ROCMExecutionProvider",)
    with pytest.raises(ConfigError, match=r"unknown provider 'cdua'; did you mean 'cuda'"):
        provider_list("cdua,cpu")
    with pytest.raises(ConfigError, match="name at least one of tensorrt, cuda, cpu"):
        provider_list(" , ")


def test_order_is_kept_and_every_gap_has_a_reason() -> None:
    everything = (CPU_PROVIDER, CUDA_PROVIDER, TENSORRT_PROVIDER)
    assert choose(("tensorrt", "cuda", "cpu"), everything) == (
        (TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER), (),
    )  # fmt: skip
    chosen, reasons = choose(("tensorrt", "cuda"), (CUDA_PROVIDER, CPU_PROVIDER))
    assert chosen == (CUDA_PROVIDER, CPU_PROVIDER)
    assert len(reasons) == 1
    assert "TensorrtExecutionProvider is not available in this ONNX Runtime" in reasons[0]


def test_tensorrt_keeps_engines_and_leaves_the_rest_to_cuda(tmp_path: Path) -> None:
    available = (CPU_PROVIDER, CUDA_PROVIDER, TENSORRT_PROVIDER)
    settings = SessionSettings(("tensorrt",), device_id=1)
    entries = with_options(TENSORRT_PROVIDER, available, settings, tmp_path)
    assert [name for name, _ in entries] == [TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER]
    options = dict(entries)
    assert options[TENSORRT_PROVIDER]["trt_engine_cache_path"] == str(tmp_path)
    assert options[CUDA_PROVIDER]["device_id"] == "1"
    assert dict(with_options(TENSORRT_PROVIDER, available, settings, None))[TENSORRT_PROVIDER] == {
        "device_id": "1"
    }
    assert with_options(CPU_PROVIDER, available, settings, None) == [(CPU_PROVIDER, {})]


def test_engines_belong_to_one_graph_release_and_device(tmp_path: Path) -> None:
    keys = {
        engine_folder(tmp_path, graph, release, device)
        for graph in ("a", "b")
        for release in ("1.20", "1.21")
        for device in ("X #0", "X #1")
    }
    assert len(keys) == 8
    assert engine_folder(tmp_path, "a", "1.20", "X #0") in keys
    gpu = tmp_path / "gpus" / "0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "information").write_text("Model: \t\t Some GPU 9000\nIRQ: 1\n")
    assert device_name(0, tmp_path / "gpus") == "Some GPU 9000 #0"
    assert device_name(0, tmp_path / "none") == "unknown #0"


def test_a_runtime_on_this_machine_uses_what_there_is_and_says_why(
    tiny_policy: TinyPolicy, tmp_path: Path
) -> None:
    bundle = tiny_policy.write(tmp_path / "tiny")
    settings = SessionSettings(("tensorrt", "cuda", "cpu"), engine_cache=tmp_path / "engines")
    runtime = PolicyRuntime(bundle, settings=settings)
    missing = {TENSORRT_PROVIDER, CUDA_PROVIDER} - set(onnxruntime.get_available_providers())
    assert len(runtime.fallback_reasons) >= len(missing)
    for name in missing:
        assert any(name in reason for reason in runtime.fallback_reasons)
    if len(missing) == 2:
        assert runtime.providers == (CPU_PROVIDER,)


def test_a_provider_that_refuses_or_stays_out_is_passed_over(
    tiny_policy: TinyPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two providers that are built in: one raises, one leaves itself out of the session."""
    made = onnxruntime.InferenceSession

    def session(graph: bytes, options: object, providers: list, **rest: object) -> object:
        first = providers[0][0]
        if first == TENSORRT_PROVIDER:
            raise RuntimeError("no kernel image\nsecond line")
        return made(graph, options, providers=[CPU_PROVIDER])

    available = [TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    settings = SessionSettings(("tensorrt", "cuda"), engine_cache=tmp_path / "engines")
    runtime = PolicyRuntime(tiny_policy.write(tmp_path / "tiny"), settings=settings)
    assert runtime.providers == (CPU_PROVIDER,)
    assert [reason.split(" ")[1] for reason in runtime.fallback_reasons] == available[:2]
    assert "refused the graph (no kernel image)" in runtime.fallback_reasons[0]
    assert "did not start (got CPUExecutionProvider)" in runtime.fallback_reasons[1]
    assert len(os.listdir(tmp_path / "engines")) == 1


def test_bound_inputs_give_the_same_bits(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    bundle = tiny_policy.write(tmp_path / "tiny")
    plain, bound = PolicyRuntime(bundle), PolicyRuntime(bundle, settings=SessionSettings(bind=True))
    rng = np.random.default_rng(0)
    for _ in range(3):
        observation, noise = rng.standard_normal((1, 4)), rng.standard_normal((6, 3))
        first = bound.infer(observation, noise)
        np.testing.assert_array_equal(first, plain.infer(observation, noise))
        kept = first.copy()
        bound.infer(observation + 1.0, noise)
        np.testing.assert_array_equal(first, kept)


def test_self_test_times_single_inferences(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    runtime = PolicyRuntime(tiny_policy.write(tmp_path / "tiny"))
    assert runtime.self_test(5).count == 5
    assert runtime.latency.count == 0
    with pytest.raises(ConfigError, match="device_id is -1"):
        SessionSettings(device_id=-1)


def guided(tiny: TinyPolicy) -> TinyPolicy:
    """Return the tiny policy with a graph that returns weight * prefix + plain answer."""
    horizon, act_steps = tiny.manifest.horizon_steps, tiny.manifest.act_steps
    model = onnx.load_from_string(tiny.graph)
    graph = model.graph
    graph.node[-1].output[0] = "plain"
    shapes = {"prefix": ["batch", horizon, 3], "prefix_weight": ["batch", horizon]}
    for name, shape in shapes.items():
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph.initializer.append(numpy_helper.from_array(np.array([2]), "last"))
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["prefix_weight", "last"], ["wide"]),
            helper.make_node("Mul", ["prefix", "wide"], ["pull"]),
            helper.make_node("Slice", ["pull", "zero", "act_steps", "one"], ["first"]),
            helper.make_node("Add", ["plain", "first"], ["actions"]),
        ]
    )
    tiny.graph = model.SerializeToString()
    tiny.manifest = replace(tiny.manifest, guidance=True)
    rng = np.random.default_rng(5)
    prefix = rng.standard_normal((3, horizon, 3)).astype(np.float32)
    weight = rng.uniform(0.0, 1.0, (3, horizon)).astype(np.float32)
    added = (prefix * weight[..., None])[:, :act_steps]
    tiny.golden |= {"prefix": prefix, "prefix_weight": weight}
    tiny.golden["actions"] = tiny.golden["actions"] + added
    return tiny


def test_guided_inference(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    plain = PolicyRuntime(tiny_policy.write(tmp_path / "plain"))
    bundle = guided(tiny_policy).write(tmp_path / "guided")
    assert load_bundle(bundle.path).manifest.guidance
    runtime = PolicyRuntime(bundle)
    observation, noise = np.zeros((1, 4)), np.ones((6, 3))
    free = runtime.infer(observation, noise)
    np.testing.assert_array_equal(free, plain.infer(observation, noise))
    pulled = runtime.infer(observation, noise, prefix=np.ones((6, 3)), prefix_weight=np.ones(6))
    np.testing.assert_array_equal(pulled, free + 1.0)


@pytest.mark.parametrize(
    ("prefix", "weight", "message"),
    [
        (np.ones((6, 3)), None, "belong together"),
        (np.ones((5, 3)), np.ones(6), r"prefix has shape \(5, 3\); this policy needs \(6, 3\)"),
        (np.full((6, 3), np.nan), np.ones(6), r"prefix component 'goal\.x' \(row 0\) is nan"),
        (np.ones((6, 3)), np.ones(5), "needs 6 numbers from 0 .free. to 1"),
        (np.ones((6, 3)), np.full(6, 1.1), "prefix_weight is"),
        (np.ones((6, 3)), np.full(6, np.nan), "prefix_weight is"),
    ],
)
def test_bad_guidance_is_refused(
    tiny_policy: TinyPolicy,
    tmp_path: Path,
    prefix: np.ndarray,
    weight: np.ndarray | None,
    message: str,
) -> None:
    runtime = PolicyRuntime(guided(tiny_policy).write(tmp_path / "guided"))
    with pytest.raises(ObservationError, match=message):
        runtime.infer(np.zeros((1, 4)), np.ones((6, 3)), prefix=prefix, prefix_weight=weight)


def test_a_bundle_without_guidance_says_how_to_get_it(
    tiny_policy: TinyPolicy, tmp_path: Path
) -> None:
    runtime = PolicyRuntime(tiny_policy.write(tmp_path / "plain"))
    with pytest.raises(ObservationError, match="dppo export --from-bundle BUNDLE --out NEW_BUND"):
        runtime.infer(
            np.zeros((1, 4)), np.ones((6, 3)), prefix=np.ones((6, 3)), prefix_weight=np.ones(6)
        )
    tiny_policy.manifest = replace(tiny_policy.manifest, guidance=True)
    with pytest.raises(BundleError, match=r"golden\.npz: holds"):
        tiny_policy.write(tmp_path / "claimed")


def test_swapped_files_are_noticed_and_put_back_ones_too(
    tiny_policy: TinyPolicy, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    watch = BundleWatch(tiny_policy.write(folder))
    assert watch.changes() == ()
    graph = folder / "policy.onnx"
    original = graph.read_bytes()
    os.utime(graph, ns=(1, 1))
    assert watch.changes() == ()
    graph.write_bytes(original[:-1])
    assert watch.changes() == ("policy.onnx is not the one that was loaded",)
    graph.write_bytes(original)
    os.utime(graph, ns=(2, 2))
    assert watch.changes() == ()
    (folder / "bundle.json").unlink()
    assert watch.changes() == ("bundle.json cannot be read any more (No such file or directory)",)
