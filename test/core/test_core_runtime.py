# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The runtime: right answers for a known graph, and refusal of everything that does not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dppo_ros.core.errors import ActionError, BundleError, ConfigError, ObservationError
from dppo_ros.core.runtime import CPU_PROVIDER, PolicyRuntime, golden_tolerance

if TYPE_CHECKING:
    from conftest import TinyPolicy

MakeGraph = Callable[..., bytes]


@pytest.fixture
def runtime(tiny_policy: TinyPolicy, tmp_path: Path) -> PolicyRuntime:
    return PolicyRuntime(tiny_policy.write(tmp_path / "tiny"))


def test_inference_gives_the_known_answer(runtime: PolicyRuntime) -> None:
    golden = runtime.bundle.golden
    actions = runtime.infer(golden["observation"][1], golden["noise"][1])
    assert actions.dtype == np.float32 and actions.shape == (4, 3)
    np.testing.assert_allclose(actions, golden["actions"][1], atol=1e-6)
    assert runtime.golden_error <= 1e-6


def test_inference_is_deterministic_and_accepts_lists(runtime: PolicyRuntime) -> None:
    observation, noise = [[0.1, 0.2, 0.3, 0.4]], np.zeros((6, 3))
    first = runtime.infer(observation, noise)
    np.testing.assert_array_equal(first, runtime.infer(observation, noise))


def test_noise_is_reproducible_and_has_the_right_shape(runtime: PolicyRuntime) -> None:
    first = runtime.sample_noise(np.random.default_rng(3))
    assert first.shape == (6, 3) and first.dtype == np.float32
    np.testing.assert_array_equal(first, runtime.sample_noise(np.random.default_rng(3)))


def test_latency_excludes_warm_up_and_replay(runtime: PolicyRuntime) -> None:
    assert runtime.latency.count == 0
    for _ in range(3):
        runtime.infer(np.zeros((1, 4)), np.zeros((6, 3)))
    summary = runtime.latency.summary()
    assert summary.count == 3
    assert 0.0 < summary.median_ms <= summary.p99_ms <= summary.maximum_ms


@pytest.mark.parametrize(
    ("observation", "noise", "message"),
    [
        (
            np.zeros(4),
            np.zeros((6, 3)),
            r"observation has shape \(4,\); this policy needs \(1, 4\)",
        ),
        (np.zeros((1, 5)), np.zeros((6, 3)), r"observation has shape \(1, 5\)"),
        (np.zeros((2, 4)), np.zeros((6, 3)), r"observation has shape \(2, 4\)"),
        (np.zeros((1, 4)), np.zeros((4, 3)), r"noise has shape \(4, 3\); this policy needs \(6, 3"),
        (np.array([[0, 0, np.nan, 0]]), np.zeros((6, 3)), r"component 'tip\.z' \(row 0\) is nan"),
        (np.array([[0, 0, 0, 1e300]]), np.zeros((6, 3)), r"component 'width\.w' \(row 0\) is inf"),
        (
            np.zeros((1, 4)),
            np.full((6, 3), -np.inf),
            r"noise component 'goal\.x' \(row 0\) is -inf",
        ),
    ],
)
def test_bad_input_is_refused(
    runtime: PolicyRuntime, observation: np.ndarray, noise: np.ndarray, message: str
) -> None:
    with pytest.raises(ObservationError, match=message):
        runtime.infer(observation, noise)
    assert runtime.latency.count == 0


def test_output_that_is_not_finite_is_refused(
    tiny_policy: TinyPolicy, tmp_path: Path, make_graph: MakeGraph
) -> None:
    tiny_policy.graph = make_graph(extra_operator="Sqrt")
    tiny_policy.golden["observation"][:] = 0.0
    noise = tiny_policy.golden["noise"][:] = np.abs(tiny_policy.golden["noise"])
    tiny_policy.golden["actions"] = np.sqrt(noise[:, :4])
    runtime = PolicyRuntime(tiny_policy.write(tmp_path / "tiny"))
    bad = np.ones((6, 3))
    bad[2, 1] = -1.0
    with pytest.raises(ActionError, match=r"gave nan for 'goal\.y' at step 2"):
        runtime.infer(np.zeros((1, 4)), bad)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"output": "action"}, r"the graph has outputs \['action'\]; they must be \['actions'\]"),
        (
            {"obs_dim": 5, "weight": np.zeros((5, 3), dtype=np.float32)},
            r"'observation' is tensor\(float\) of shape \['batch', 1, 5\]; .* \['batch', 1, 4\]",
        ),
        ({"weight": np.zeros((4, 3), dtype=np.float32)}, "differ by .* more than 0.0001"),
        ({"weight": np.full((4, 3), np.nan, dtype=np.float32)}, "differ by nan"),
    ],
)
def test_graph_that_does_not_fit_its_bundle_is_refused(
    tiny_policy: TinyPolicy,
    tmp_path: Path,
    make_graph: MakeGraph,
    graph: dict[str, object],
    message: str,
) -> None:
    """Hashes agree in all of these: the exporter itself was wrong."""
    tiny_policy.graph = make_graph(**graph)
    bundle = tiny_policy.write(tmp_path / "tiny")
    with pytest.raises(BundleError, match=message) as caught:
        PolicyRuntime(bundle)
    assert "dppo export" in str(caught.value)


@pytest.mark.parametrize("graph", [b"", b"not onnx", b"\x08\x08"])
def test_bytes_that_are_no_graph_are_refused(
    tiny_policy: TinyPolicy, tmp_path: Path, graph: bytes
) -> None:
    tiny_policy.graph = graph
    with pytest.raises(BundleError, match="cannot load the graph"):
        PolicyRuntime(tiny_policy.write(tmp_path / "tiny"))


def test_graph_that_fails_at_run_time_is_refused(
    tiny_policy: TinyPolicy, tmp_path: Path, make_graph: MakeGraph
) -> None:
    golden = tiny_policy.golden
    tiny_policy.graph = make_graph(output="actions", obs_dim="free")
    tiny_policy.manifest = replace(
        tiny_policy.manifest,
        observation=tiny_policy.manifest.action,
        observation_normalizer=tiny_policy.manifest.action_normalizer,
    )
    golden["observation"] = golden["observation"][:, :, :3]
    with pytest.raises(BundleError, match="the graph fails on the golden input"):
        PolicyRuntime(tiny_policy.write(tmp_path / "tiny"))


def test_missing_provider_falls_back_with_a_reason(
    tiny_policy: TinyPolicy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = tiny_policy.write(tmp_path / "tiny")
    with caplog.at_level(logging.WARNING):
        runtime = PolicyRuntime(bundle, providers=("NoSuchExecutionProvider",))
    assert runtime.providers == (CPU_PROVIDER,)
    assert len(runtime.fallback_reasons) == 1
    assert "NoSuchExecutionProvider is not available" in runtime.fallback_reasons[0]
    assert runtime.fallback_reasons[0] in caplog.text
    assert PolicyRuntime(bundle).fallback_reasons == ()


def test_tolerance_follows_the_recorded_parity(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    bundle = tiny_policy.write(tmp_path / "tiny")
    assert golden_tolerance(bundle) == 1e-4
    coarse = replace(bundle, manifest=replace(bundle.manifest, parity={"max_abs_error": 2e-3}))
    assert golden_tolerance(coarse) == pytest.approx(2e-2)


def test_thread_count_must_be_positive(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="threads is 0"):
        PolicyRuntime(tiny_policy.write(tmp_path / "tiny"), threads=0)
