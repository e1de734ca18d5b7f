# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What may go into a policy's graph: every input is checked by shape, type and finiteness.

Legend: H chunk length, D_a action numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.errors import ObservationError
from dppo_ros.core.manifest import (
    IMAGE_INPUT,
    PREFIX_INPUT,
    PREFIX_WEIGHT_INPUT,
    BundleManifest,
)

GUIDANCE_ADVICE = (
    "add it with `dppo export --from-bundle BUNDLE --out NEW_BUNDLE`, or choose another execution "
    "mode than rtc"
)

Inputs = dict[str, NDArray[Any]]


def policy_inputs(
    manifest: BundleManifest,
    observation: ArrayLike,
    noise: ArrayLike,
    rgb: ArrayLike | None = None,
    prefix: ArrayLike | None = None,
    prefix_weight: ArrayLike | None = None,
) -> Inputs:
    """Return the inputs of the graph by name, each with a batch axis of 1.

    Args:
        manifest: Description of the policy.
        observation: Raw observations (cond_steps, D_o), oldest first.
        noise: Standard normal noise of the manifest's ``noise_shape``.
        rgb: Images of the manifest's ``image_shape``, bytes; None where it has none.
        prefix: Raw actions (H, D_a) to agree with; None: none.
        prefix_weight: (H,) from 0 to 1; given together with ``prefix``.

    Raises:
        ObservationError: An input is missing, has the wrong shape or is not finite.
    """
    names, actions = manifest.observation.component_names, manifest.action.component_names
    inputs: Inputs = {
        "observation": _numbers(observation, "observation", manifest.observation_shape, names),
        "noise": _numbers(noise, "noise", manifest.noise_shape, actions),
    }
    if manifest.image_shape is not None or rgb is not None:
        inputs[IMAGE_INPUT] = _images(rgb, manifest.image_shape)
    if (prefix is None) != (prefix_weight is None):
        raise ObservationError("prefix and prefix_weight belong together; give both or none")
    if prefix is not None and not manifest.guidance:
        raise ObservationError(
            f"bundle {manifest.name!r} takes no prefix, so its chunks cannot be guided; "
            f"{GUIDANCE_ADVICE}"
        )
    if manifest.guidance:
        shape = (manifest.horizon_steps, manifest.action.dim)
        given = np.zeros(shape) if prefix is None else prefix
        weight = np.zeros(shape[0]) if prefix_weight is None else prefix_weight
        inputs[PREFIX_INPUT] = _numbers(given, PREFIX_INPUT, shape, actions)
        inputs[PREFIX_WEIGHT_INPUT] = _weights(weight, shape[0])
    return inputs


def _numbers(
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


def _weights(values: ArrayLike, horizon_steps: int) -> NDArray[np.float32]:
    array = np.asarray(values, dtype=np.float32)
    if array.shape != (horizon_steps,) or not ((array >= 0.0) & (array <= 1.0)).all():
        raise ObservationError(
            f"{PREFIX_WEIGHT_INPUT} is {np.array2string(array, threshold=20)}; this policy needs "
            f"{horizon_steps} numbers from 0 (free) to 1 (as the prefix)"
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
