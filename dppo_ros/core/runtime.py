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
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.bundle import PolicyBundle
from dppo_ros.core.diagnostics import LatencyWindow
from dppo_ros.core.errors import ActionError, BundleError, ConfigError, ObservationError
from dppo_ros.core.finite import first_non_finite
from dppo_ros.core.manifest import EXPORT_ADVICE, IMAGE_INPUT

CPU_PROVIDER = "CPUExecutionProvider"
DEFAULT_GOLDEN_TOLERANCE = 1e-4
"""Raw action units; the floor below which a difference to the golden output is rounding."""

_WARM_UP_RUNS = 3
_PARITY_MARGIN = 10.0
_LOGGER = logging.getLogger(__name__)


class PolicyRuntime:
    """A verified policy, ready to infer."""

    def __init__(
        self,
        bundle: PolicyBundle,
        providers: Sequence[str] = (CPU_PROVIDER,),
        threads: int = 1,
    ) -> None:
        """Build the session, check it against the bundle and replay the golden pair.

        Args:
            bundle: A loaded bundle.
            providers: ONNX Runtime execution providers in order of preference. One that is not
                available is skipped with a logged reason; the CPU is always the last resort.
            threads: Threads used inside one operator.

        Raises:
            BundleError: The graph cannot be loaded, differs from its description, or does not
                reproduce the golden output.
            ConfigError: The thread count is below one.
        """
        if threads < 1:
            raise ConfigError(f"threads is {threads}; it must be at least 1")
        self.bundle = bundle
        self.latency = LatencyWindow()
        self.fallback_reasons, chosen = _choose_providers(providers)
        for reason in self.fallback_reasons:
            _LOGGER.warning("%s", reason)
        self._session = _open_session(bundle, chosen, threads)
        active = tuple(self._session.get_providers())
        if active[0] != chosen[0]:
            reason = f"provider {chosen[0]} did not start; running on {active[0]}"
            self.fallback_reasons += (reason,)
            _LOGGER.warning("%s", reason)
        self.providers = active
        _check_graph(self._session, bundle)
        self._warm_up()
        self.golden_error = self._replay_golden()

    def infer(
        self, observation: ArrayLike, noise: ArrayLike, rgb: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Return one chunk of raw actions (act_steps, D_a), float32.

        Args:
            observation: Raw observations (cond_steps, D_o), oldest first.
            noise: Standard normal noise of the manifest's ``noise_shape``, see ``sample_noise``.
            rgb: Images of the manifest's ``image_shape``, bytes; None where it has none.

        Raises:
            ObservationError: An input has the wrong shape or is not finite.
            ActionError: The policy gave a number that is not finite.
        """
        manifest = self.bundle.manifest
        names = manifest.observation.component_names
        inputs: dict[str, NDArray[Any]] = {
            "observation": _input(observation, "observation", manifest.observation_shape, names),
            "noise": _input(noise, "noise", manifest.noise_shape, manifest.action.component_names),
        }
        if manifest.image_shape is not None or rgb is not None:
            inputs[IMAGE_INPUT] = _images(rgb, manifest.image_shape)
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

    def _run(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        output = self._session.run(["actions"], inputs)[0]
        return np.asarray(output, dtype=np.float32)

    def _golden_inputs(self, index: int) -> dict[str, NDArray[Any]]:
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


def _choose_providers(wanted: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the reasons for every skipped provider, and the providers to use in order."""
    available = onnxruntime.get_available_providers()
    chosen = [name for name in wanted if name in available]
    reasons = tuple(
        f"provider {name} is not available in this ONNX Runtime (available: "
        f"{', '.join(available)}); trying the next one"
        for name in wanted
        if name not in available
    )
    if CPU_PROVIDER not in chosen:
        chosen.append(CPU_PROVIDER)
    return reasons, tuple(chosen)


def _open_session(
    bundle: PolicyBundle, providers: Sequence[str], threads: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # Idle threads must not spin: the control loop shares these cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(bundle.graph, options, providers=list(providers))
    except Exception as error:  # onnxruntime raises its own undocumented classes
        raise BundleError(
            f"{bundle.path}: ONNX Runtime {onnxruntime.__version__} cannot load the graph "
            f"({_first_line(error)}); {EXPORT_ADVICE}"
        ) from error


def _check_graph(session: onnxruntime.InferenceSession, bundle: PolicyBundle) -> None:
    """Compare names, types and sizes of the graph's ends with the description."""
    manifest = bundle.manifest
    for kind, nodes, expected in (
        (
            "inputs",
            session.get_inputs(),
            manifest.input_shapes,
        ),
        ("outputs", session.get_outputs(), {"actions": manifest.actions_shape}),
    ):
        found = {node.name: node for node in nodes}
        if set(found) != set(expected):
            raise BundleError(
                f"{bundle.path}: the graph has {kind} {sorted(found)}; they must be "
                f"{sorted(expected)}; {EXPORT_ADVICE}"
            )
        for name, shape in expected.items():
            node = found[name]
            kind = "tensor(uint8)" if name == IMAGE_INPUT else "tensor(float)"
            if node.type != kind or not _fits(node.shape, shape):
                raise BundleError(
                    f"{bundle.path}: the graph's {name!r} is {node.type} of shape {node.shape}; "
                    f"the description needs {kind} of shape {['batch', *shape]}; "
                    f"{EXPORT_ADVICE}"
                )


def _fits(declared: Sequence[object], shape: tuple[int, ...]) -> bool:
    """Return whether a declared shape is (any batch or 1, *shape); free sizes are text or None."""
    if len(declared) != len(shape) + 1 or (isinstance(declared[0], int) and declared[0] != 1):
        return False
    return all(
        not isinstance(size, int) or size == wanted
        for size, wanted in zip(declared[1:], shape, strict=True)
    )


def _input(
    values: ArrayLike, kind: str, shape: tuple[int, int], names: Sequence[str]
) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # too large for float32 becomes inf and is refused below
        array = np.asarray(values, dtype=np.float32)
    if array.shape != shape:
        raise ObservationError(
            f"{kind} has shape {array.shape}; this policy needs {shape}, so check that it was "
            "built from the layout in the bundle"
        )
    finite = np.isfinite(array)
    if not finite.all():
        row, column = (int(index) for index in np.argwhere(~finite)[0])
        raise ObservationError(
            f"{kind} component {names[column]!r} (row {row}) is {array[row, column]}; every "
            "number must be finite, so check the sensor or tracker that provides it"
        )
    return array[None]


def _images(values: ArrayLike | None, shape: tuple[int, ...] | None) -> NDArray[np.uint8]:
    if values is None or shape is None:
        needs = "no images" if shape is None else f"images of shape {shape}"
        raise ObservationError(
            f"rgb is {'missing' if values is None else 'given'} but this policy needs {needs}; "
            "check which bundle is loaded"
        )
    array = np.asarray(values)
    if array.shape != shape or array.dtype != np.uint8:
        raise ObservationError(
            f"rgb is {array.dtype} of shape {array.shape}; this policy needs uint8 of shape "
            f"{shape}, so check cameras and image size against the bundle"
        )
    return array[None]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
