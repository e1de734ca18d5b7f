# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a worker can be asked: any `Service`, and the one made from a task with reset and step.

Legend: n environments, Do observation size, A action size, k control steps in one call (at most
`chunk_steps`).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .blocks import ArraySpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_IMAGE_PX = 1280 * 1280
"""Pixels of the largest image `render` can return."""


class StepResult(NamedTuple):
    """What one control step of all environments returned; rows of inactive ones are ignored.

    Attributes:
        observation: (n, Do) float32, raw units.
        reward: (n,) float32.
        terminated: (n,) the task ended.
        truncated: (n,) the time limit was reached.
        success: (n,) reached so far in the episode.
        phase: (n,) int8, index into `phase_names`, the furthest so far.
    """

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    phase: np.ndarray


class WorkerEnv(Protocol):
    """A vectorised task in raw units: the worker's form of `sim_training.envs.protocol.StepEnv`.

    Optional members: `render(env_id, height, width)` returning (height, width, 3) uint8;
    `state_dict()` and `load_state_dict(state)` with arrays by name, for resuming in mid-episode.

    Attributes:
        description: JSON values: "name"; "observation" and "action" (see `vector`);
            "max_episode_steps"; "control_rate_hz"; "phase_names"; "simulator" (name and version);
            optionally "observation_range" and "action_range", two rows each.
    """

    description: dict[str, Any]

    def reset(self, env_ids: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Start episodes in environments (m,) from seeds (m,); returns (m, Do)."""
        ...

    def step(self, actions: np.ndarray, active: np.ndarray) -> StepResult:
        """Advance the active (n,) environments by one control step with actions (n, A)."""
        ...

    def close(self) -> None:
        """Release the simulator."""
        ...


class Service(Protocol):
    """Anything the trainer can call by name.

    Attributes:
        description: JSON values about the simulator; shown to the trainer in the handshake.
        arrays: what both ends share; `call` reads and writes them.
    """

    description: dict[str, Any]
    arrays: Sequence[ArraySpec]

    def call(
        self, name: str, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Do what was asked and return JSON values.

        Raises:
            Exception: anything; the trainer gets its text and traceback.
        """
        ...

    def close(self) -> None:
        """Release the simulator."""
        ...


def field(
    name: str, unit: str, frame: str, components: Sequence[str], text: str = ""
) -> dict[str, Any]:
    """Return neighbouring numbers of a vector: meaning, unit, frame, one name for each."""
    return {
        "name": name,
        "size": len(components),
        "unit": unit,
        "frame": frame,
        "components": list(components),
        "description": text,
    }


def vector(*fields: dict[str, Any]) -> dict[str, Any]:
    """Return the layout of a flat vector, as the trainer reads it."""
    return {"fields": list(fields)}


def size_of(layout: Mapping[str, Any]) -> int:
    """Return how many numbers a layout describes."""
    return sum(int(entry["size"]) for entry in layout["fields"])


class StepService:
    """Serves a `WorkerEnv`: whole chunks in one call, NaN watch, images, state.

    Calls: `reset` (params "count"; arrays env_ids, seeds -> first_observation), `step` (params
    "steps"; arrays action, active -> all others; `progress` counts the steps that are complete, so
    that the trainer can use them even if the worker dies in the next one), `render` (params
    "env_id", "height", "width" -> image), `save`, `load` (params "state").

    An environment whose observation or reward is not finite is truncated there with its last good
    observation, and `diverged` is set.
    """

    def __init__(self, env: WorkerEnv, n_envs: int, chunk_steps: int) -> None:
        """Take over an environment; nothing is started yet."""
        self._env = env
        obs_dim = size_of(env.description["observation"])
        action_dim = size_of(env.description["action"])
        self._last = np.zeros((n_envs, obs_dim), dtype=np.float32)
        self._success = np.zeros(n_envs, dtype=bool)
        self._phase = np.zeros(n_envs, dtype=np.int8)
        self._ready = np.zeros(n_envs, dtype=bool)
        self.description: dict[str, Any] = {
            **env.description,
            "n_envs": n_envs,
            "chunk_steps": chunk_steps,
            "renders": hasattr(env, "render"),
            "savable": hasattr(env, "state_dict") and hasattr(env, "load_state_dict"),
        }
        rows = (chunk_steps, n_envs)
        self.arrays: Sequence[ArraySpec] = [
            ArraySpec("env_ids", (n_envs,), "int64"),
            ArraySpec("seeds", (n_envs,), "int64"),
            ArraySpec("first_observation", (n_envs, obs_dim), "float32"),
            ArraySpec("active", (n_envs,), "bool"),
            ArraySpec("action", (*rows, action_dim), "float32"),
            ArraySpec("progress", (1,), "int64"),
            ArraySpec("observation", (*rows, obs_dim), "float32"),
            ArraySpec("reward", rows, "float32"),
            *(ArraySpec(name, rows, "bool") for name in ("terminated", "truncated", "success")),
            ArraySpec("phase", rows, "int8"),
            ArraySpec("diverged", rows, "bool"),
            ArraySpec("image", (LARGEST_IMAGE_PX * 3,), "uint8"),
        ]

    def call(
        self, name: str, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Serve one call; see the class.

        Raises:
            ValueError: an unknown call, or a reset that gave a value that is not finite.
        """
        calls = {
            "reset": self._reset,
            "step": self._step,
            "render": self._render,
            "save": self._save,
            "load": self._load,
        }
        if name not in calls:
            raise ValueError(f"unknown call {name!r}; known: {', '.join(calls)}")
        return calls[name](params, arrays)

    def close(self) -> None:
        """Release the simulator."""
        self._env.close()

    def _reset(self, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        count = int(params["count"])
        ids, seeds = arrays["env_ids"][:count].copy(), arrays["seeds"][:count].copy()
        first = np.asarray(self._env.reset(ids, seeds), dtype=np.float32)
        bad = ~np.isfinite(first).all(axis=1)
        if bad.any():
            raise ValueError(
                f"reset gave observations that are not finite: environments {ids[bad].tolist()}, "
                f"seeds {seeds[bad].tolist()}"
            )
        arrays["first_observation"][:count] = first
        self._last[ids] = first
        self._success[ids] = False
        self._phase[ids] = 0
        self._ready[ids] = True
        return {}

    def _step(self, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        arrays["progress"][0] = 0
        running = arrays["active"] & self._ready
        for index in range(int(params["steps"])):
            if running.any():
                running = running & ~self._one_step(index, running, arrays)
            else:
                self._write(index, arrays)
            arrays["progress"][0] = index + 1
        return {}

    def _one_step(
        self, index: int, running: np.ndarray, arrays: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Advance the running environments; returns which episodes ended."""
        result = self._env.step(arrays["action"][index].copy(), running)
        finite = np.isfinite(result.observation).all(axis=1) & np.isfinite(result.reward)
        good, diverged = running & finite, running & ~finite
        self._last[good] = result.observation[good]
        self._success[good] = result.success[good]
        self._phase[good] = result.phase[good]
        self._write(index, arrays)
        arrays["reward"][index] = np.where(good, np.where(finite, result.reward, 0.0), 0.0)
        arrays["terminated"][index] = good & result.terminated
        arrays["truncated"][index] = (good & result.truncated & ~result.terminated) | diverged
        arrays["diverged"][index] = diverged
        self._ready &= ~diverged
        return arrays["terminated"][index] | arrays["truncated"][index]

    def _write(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the present values of all environments, as if nothing had happened."""
        arrays["observation"][index] = self._last
        arrays["success"][index] = self._success
        arrays["phase"][index] = self._phase
        for name in ("reward", "terminated", "truncated", "diverged"):
            arrays[name][index] = 0

    def _render(
        self, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        height, width = int(params["height"]), int(params["width"])
        image = self._env.render(int(params["env_id"]), height, width)  # type: ignore[attr-defined]
        arrays["image"][: image.size] = np.asarray(image, dtype=np.uint8).reshape(-1)
        return {}

    def _save(self, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        own = {
            "last": self._last,
            "success": self._success,
            "phase": self._phase,
            "ready": self._ready,
        }
        task = self._env.state_dict()  # type: ignore[attr-defined]
        return {"own": encoded(own), "task": encoded(task)}

    def _load(self, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        state = params["state"]
        own = decoded(state["own"])
        self._last[:], self._ready[:] = own["last"], own["ready"]
        self._success[:], self._phase[:] = own["success"], own["phase"]
        self._env.load_state_dict(decoded(state["task"]))  # type: ignore[attr-defined]
        return {}


def encoded(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays by name as JSON values."""
    return {
        name: {
            "dtype": str(np.asarray(value).dtype),
            "shape": list(np.asarray(value).shape),
            "base64": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii"),
        }
        for name, value in arrays.items()
    }


def decoded(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays that `encoded` wrote."""
    return {
        name: np.frombuffer(base64.b64decode(value["base64"]), dtype=np.dtype(value["dtype"]))
        .reshape(value["shape"])
        .copy()
        for name, value in values.items()
    }
