# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the graph of a policy bundle with ONNX Runtime; the only file that imports it.

Construction is where everything slow or doubtful happens: provider choice, comparison of the
graph with its description, warm-up and replay of the golden pair. After it, ``infer`` does one
graph execution between two cheap checks. A runtime may be used from one thread at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.bundle import PolicyBundle
from dppo_ros.core.diagnostics import LatencySummary, LatencyWindow
from dppo_ros.core.errors import ActionError, BundleError
from dppo_ros.core.finite import first_non_finite
from dppo_ros.core.graph_ends import check_ends
from dppo_ros.core.manifest import EXPORT_ADVICE, ONNX_FILE
from dppo_ros.core.policy_inputs import Inputs, policy_inputs
from dppo_ros.core.providers import (
    CPU_PROVIDER,
    GPU_PROVIDERS,
    TENSORRT_PROVIDER,
    SessionSettings,
    choose,
    device_name,
    engine_folder,
    with_options,
)

DEFAULT_GOLDEN_TOLERANCE = 1e-4
"""Raw action units; the floor below which a difference to the golden output is rounding."""

_WARM_UP_RUNS = 3
_SELF_TEST_RUNS = 30
_PARITY_MARGIN = 10.0
_LOGGER = logging.getLogger(__name__)


class PolicyRuntime:
    """A verified policy, ready to infer."""

    def __init__(
        self,
        bundle: PolicyBundle,
        providers: Sequence[str] = (CPU_PROVIDER,),
        threads: int = 1,
        settings: SessionSettings | None = None,
    ) -> None:
        """Build the session, check it against the bundle and replay the golden pair.

        Args:
            bundle: A loaded bundle.
            providers: Providers in order of preference. One that is not available or does not
                start is skipped with a logged reason; the CPU is always the last resort.
            threads: Threads used inside one operator.
            settings: Everything at once; ``providers`` and ``threads`` are ignored then.

        Raises:
            BundleError: The graph cannot be loaded, differs from its description, or does not
                reproduce the golden output.
            ConfigError: The thread count is below one.
        """
        settings = settings or SessionSettings(tuple(providers), threads)
        self.bundle = bundle
        self.latency = LatencyWindow()
        self._session, reasons = _open_session(bundle, settings)
        self.fallback_reasons = reasons
        for reason in reasons:
            _LOGGER.warning("%s", reason)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        ends = {"inputs": self._session.get_inputs(), "outputs": self._session.get_outputs()}
        check_ends(ends, bundle.manifest, str(bundle.path))
        on_gpu = self.providers[0] in GPU_PROVIDERS
        self._bound: _BoundInputs | None = None
        if on_gpu if settings.bind is None else settings.bind:
            device = "cuda" if on_gpu else "cpu"
            self._bound = _BoundInputs(
                self._session, self._golden_inputs(0), device, settings.device_id
            )
        self._warm_up()
        self.golden_error = self._replay_golden()

    def infer(
        self,
        observation: ArrayLike,
        noise: ArrayLike,
        rgb: ArrayLike | None = None,
        prefix: ArrayLike | None = None,
        prefix_weight: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Return one chunk of raw actions (act_steps, D_a), float32.

        Args:
            observation: Raw observations (cond_steps, D_o), oldest first.
            noise: Standard normal noise of the manifest's ``noise_shape``, see ``sample_noise``.
            rgb: Images of the manifest's ``image_shape``, bytes; None where it has none.
            prefix: Raw actions (horizon_steps, D_a) that the chunk is to agree with; None: none.
            prefix_weight: (horizon_steps,) how much, from 0 (not at all) to 1 (exactly).

        Raises:
            ObservationError: An input has the wrong shape or is not finite.
            ActionError: The policy gave a number that is not finite.
        """
        manifest = self.bundle.manifest
        inputs = policy_inputs(manifest, observation, noise, rgb, prefix, prefix_weight)
        start_ns = time.perf_counter_ns()
        actions: NDArray[np.float32] = self._run(inputs)[0]
        self.latency.add_ns(time.perf_counter_ns() - start_ns)
        bad = first_non_finite(actions)
        if bad is not None:
            step, column = bad
            raise ActionError(
                f"the policy gave {actions[step, column]} for "
                f"{manifest.action.component_names[column]!r} at step {step}; the chunk is refused "
                "as a whole, so hold the robot and check the observation that caused it"
            )
        return actions

    def sample_noise(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """Return standard normal noise of the manifest's ``noise_shape`` for ``infer``."""
        shape = self.bundle.manifest.noise_shape
        return np.asarray(generator.standard_normal(shape, dtype=np.float32))

    def self_test(self, runs: int = _SELF_TEST_RUNS) -> LatencySummary:
        """Return how long single inferences take on the golden inputs, warmed up."""
        window = LatencyWindow(runs)
        rows = len(self.bundle.golden["actions"])
        for index in range(runs):
            inputs = self._golden_inputs(index % rows)
            start_ns = time.perf_counter_ns()
            self._run(inputs)
            window.add_ns(time.perf_counter_ns() - start_ns)
        return window.summary()

    def _run(self, inputs: Inputs) -> NDArray[np.float32]:
        if self._bound is not None:
            return self._bound.run(inputs)
        return np.asarray(self._session.run(["actions"], inputs)[0], dtype=np.float32)

    def _golden_inputs(self, index: int) -> Inputs:
        golden = self.bundle.golden
        names = self.bundle.manifest.input_shapes
        return {name: golden[name][index : index + 1] for name in names}

    def _warm_up(self) -> None:
        try:
            for _ in range(_WARM_UP_RUNS):
                self._run(self._golden_inputs(0))
        except Exception as error:  # onnxruntime raises its own undocumented classes
            raise BundleError(
                f"{self.bundle.path}: the graph fails on the golden input ({_first_line(error)}); "
                f"{EXPORT_ADVICE}"
            ) from error

    def _replay_golden(self) -> float:
        """Return the largest absolute difference to the golden output, in raw action units.

        Rows are replayed one by one, because batch size 1 is what the robot will run.
        """
        expected = self.bundle.golden["actions"]
        actual = np.concatenate([self._run(self._golden_inputs(i)) for i in range(len(expected))])
        if actual.shape != expected.shape:
            raise BundleError(
                f"{self.bundle.path}: the graph gives actions of shape {actual.shape[1:]}, the "
                f"golden pair has {expected.shape[1:]}; {EXPORT_ADVICE}"
            )
        error = float(np.abs(actual.astype(np.float64) - expected).max())
        tolerance = golden_tolerance(self.bundle)
        if not error <= tolerance:
            raise BundleError(
                f"{self.bundle.path}: replaying the golden input gives actions that differ by "
                f"{error:.3g} from the recorded ones, more than {tolerance:.3g} (provider "
                f"{self.providers[0]}); {EXPORT_ADVICE} or use another "
                "provider"
            )
        return error


def golden_tolerance(bundle: PolicyBundle) -> float:
    """Return how far a replayed action may be from the golden one, raw units.

    What the exporter recorded as ``golden_tolerance`` (reduced precision), else ten times the
    parity error measured at export (another CPU rounds differently); at least
    ``DEFAULT_GOLDEN_TOLERANCE``.
    """
    parity = bundle.manifest.parity
    if "golden_tolerance" in parity:
        return max(DEFAULT_GOLDEN_TOLERANCE, _number(parity["golden_tolerance"]))
    return max(DEFAULT_GOLDEN_TOLERANCE, _PARITY_MARGIN * _number(parity["max_abs_error"]))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


class _BoundInputs:
    """Inputs that stay in buffers on the device and are overwritten for every run."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        example: Inputs,
        device: str,
        device_id: int,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._values = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(array, device, device_id)
            for name, array in example.items()
        }
        for name, value in self._values.items():
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_output("actions", "cpu")

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return the actions for inputs of the example's shapes."""
        for name, array in inputs.items():
            self._values[name].update_inplace(np.ascontiguousarray(array))
        self._session.run_with_iobinding(self._binding)
        return np.array(self._binding.copy_outputs_to_cpu()[0], dtype=np.float32)


def _open_session(
    bundle: PolicyBundle, settings: SessionSettings
) -> tuple[onnxruntime.InferenceSession, tuple[str, ...]]:
    """Return a session on the first provider that starts, and why others were passed over."""
    available = onnxruntime.get_available_providers()
    chosen, reasons = choose(settings.providers, available)
    for name in chosen:
        engines = _engine_folder(bundle, settings) if name == TENSORRT_PROVIDER else None
        entries = with_options(name, available, settings, engines)
        try:
            session = onnxruntime.InferenceSession(
                bundle.graph, _options(settings), providers=entries, enable_fallback=0
            )
        except Exception as error:  # onnxruntime raises its own undocumented classes
            if name == CPU_PROVIDER:
                raise BundleError(
                    f"{bundle.path}: ONNX Runtime {onnxruntime.__version__} cannot load the graph "
                    f"({_first_line(error)}); {EXPORT_ADVICE}"
                ) from error
            reasons += (f"provider {name} refused the graph ({_first_line(error)}); next one",)
            continue
        active = session.get_providers()[0]
        if active == name or name == CPU_PROVIDER:
            break
        # A provider whose libraries are missing is left out of the session without an error.
        reasons += (f"provider {name} did not start (got {active}); check its libraries",)
    return session, reasons


def _engine_folder(bundle: PolicyBundle, settings: SessionSettings) -> Path | None:
    if settings.engine_cache is None:
        return None
    folder = engine_folder(
        settings.engine_cache,
        bundle.manifest.files[ONNX_FILE],
        onnxruntime.__version__,
        device_name(settings.device_id),
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _options(settings: SessionSettings) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # Idle threads must not spin: the control loop shares these cores.
    spinning = "1" if settings.spinning else "0"
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return options


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
