# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A task in worker processes, as a `StepEnv`: what to do when one of them fails.

A worker that dies, hangs or raises is replaced. Its running episodes are lost: each of them is
reported once as `truncated` with `info["lost"]`, reward 0 and the last good observation as its
final one. So targets bootstrap from a state that was really seen, statistics leave the episode out,
and an evaluation runs it again; it is never a success or a failure. Control steps that the worker
had completed before it failed are kept. Other workers' episodes go on.

An environment whose numbers are not finite is truncated as well, with `info["diverged"]`; this one
counts as an episode, because the policy may have driven the simulator there.

Legend: n environments, Do observation size, A action size, h control steps of a chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError, SimulatorError
from dppo_ros.core.spec import VectorSpec
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome
from sim_training.envs.remote_process import WorkerFailure, WorkerOrder
from sim_training.envs.remote_slot import WorkerSlot
from sim_training.envs.worker_settings import WorkerSettings
from sim_training.remote_worker.service import LARGEST_IMAGE_PX

_STEP_ARRAYS = ("observation", "reward", "terminated", "truncated", "success", "phase", "diverged")


@dataclass(frozen=True)
class RemoteTask:
    """Which task a worker shall run.

    Attributes:
        adapter: name in `remote_worker.adapters.ADAPTERS`.
        python: interpreter that has the simulator.
        settings: JSON values for the adapter.
    """

    adapter: str
    python: Path
    settings: Mapping[str, Any] = field(default_factory=dict)


class RemoteEnv:
    """`StepEnv`, `ChunkSteppable` and `RenderableEnv` over worker processes."""

    def __init__(self, slots: list[WorkerSlot], settings: WorkerSettings) -> None:
        """Take over running workers; use `open_remote_env`."""
        self._slots, self._settings = slots, settings
        about = slots[0].worker.description
        self.name = str(about["name"])
        self.n_envs = n = slots[-1].rows.stop
        self.observation_spec = VectorSpec.from_json(about["observation"])
        self.action_spec = VectorSpec.from_json(about["action"])
        self.max_episode_steps = int(about["max_episode_steps"])
        self.control_rate_hz = float(about["control_rate_hz"])
        self._phase_names = tuple(about["phase_names"])
        self.simulator = dict(about["simulator"])
        for name in ("observation_range", "action_range"):  # then it is a `NominalEnv`
            if name in about:
                setattr(self, name, np.array(about[name], dtype=np.float64))
        self._observation = np.zeros((n, self.observation_spec.dim), dtype=np.float32)
        self._success = np.zeros(n, dtype=bool)
        self._phase = np.zeros(n, dtype=np.int8)
        self._started = np.zeros(n, dtype=bool)

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Milestones of the task in order."""
        return self._phase_names

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the present workers."""
        return [slot.worker.pid for slot in self._slots]

    @property
    def restarts(self) -> int:
        """How often a worker was replaced."""
        return sum(slot.restarts for slot in self._slots)

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start new episodes; a worker that fails is replaced and asked again.

        Raises:
            SimulatorError: workers failed too often.
        """
        ids, chosen = np.asarray(env_ids, dtype=np.int64), np.asarray(seeds, dtype=np.int64)
        for slot in self._slots:
            mine = (ids >= slot.rows.start) & (ids < slot.rows.stop)
            while mine.any():
                try:
                    self._reset_slot(slot, ids[mine], chosen[mine])
                    break
                except WorkerFailure as failure:
                    self._replace(slot, failure)
        return self._observation[ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """Advance the active environments by one control step.

        Raises:
            SimulatorError: workers failed too often.
        """
        return self.step_chunk(np.asarray(actions)[:, None], active)[0]

    def step_chunk(self, actions: Float32Array, active: BoolArray) -> list[StepOutcome]:
        """Advance by h control steps, several in one round trip; an ended episode stands still.

        Raises:
            SimulatorError: workers failed too often.
        """
        outcomes: list[StepOutcome] = []
        running = np.array(active, dtype=bool)
        longest = self._settings.chunk_steps
        for first in range(0, actions.shape[1], longest):
            part = self._advance(actions[:, first : first + longest], running)
            outcomes += part
            for outcome in part:
                running = running & ~outcome.terminated & ~outcome.truncated
            if not running.any():
                break
        return outcomes

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a picture of one environment; black where its worker had to be replaced.

        Raises:
            ConfigError: the simulator draws nothing, or not at this size.
            SimulatorError: drawing raised an exception, or workers failed too often.
        """
        slot = next(slot for slot in self._slots if slot.rows.start <= env_id < slot.rows.stop)
        if not slot.worker.description["renders"]:
            raise ConfigError(f"the simulator of {self.name!r} draws no pictures")
        if not 0 < height * width <= LARGEST_IMAGE_PX:
            raise ConfigError(
                f"a picture of {height} x {width} is too large for a worker; at most "
                f"{LARGEST_IMAGE_PX} pixels"
            )
        row = int(env_id) - slot.rows.start
        try:
            slot.worker.post("render", env_id=row, height=height, width=width)
            slot.worker.answer(self._settings.step_timeout_s)
        except WorkerFailure as failure:
            self._replace(slot, failure)
            if failure.kind == "error":
                raise SimulatorError(f"task {self.name!r} cannot be drawn: {failure}") from failure
            return np.zeros((height, width, 3), dtype=np.uint8)
        flat: NDArray[np.uint8] = slot.worker.arrays["image"][: height * width * 3]
        return flat.reshape(height, width, 3).copy()

    def close(self) -> None:
        """End the workers."""
        for slot in self._slots:
            slot.worker.close()

    def _replace(self, slot: WorkerSlot, failure: WorkerFailure) -> None:
        self._started[slot.rows] = False
        slot.replace(failure)

    def _reset_slot(self, slot: WorkerSlot, ids: IntArray, seeds: IntArray) -> None:
        worker, count = slot.worker, len(ids)
        worker.arrays["env_ids"][:count] = ids - slot.rows.start
        worker.arrays["seeds"][:count] = seeds
        worker.post("reset", count=count)
        worker.answer(self._settings.step_timeout_s)
        self._observation[ids] = worker.arrays["first_observation"][:count]
        self._success[ids] = False
        self._phase[ids] = 0
        self._started[ids] = True

    def _advance(self, actions: Float32Array, active: BoolArray) -> list[StepOutcome]:
        """Advance by at most `chunk_steps` control steps."""
        steps = actions.shape[1]
        present = {"observation": self._observation, "success": self._success}
        present["phase"] = self._phase
        rows = {name: np.repeat(value[None], steps, axis=0) for name, value in present.items()}
        rows["reward"] = np.zeros((steps, self.n_envs), dtype=np.float32)
        for name in ("terminated", "truncated", "diverged", "lost"):
            rows[name] = np.zeros((steps, self.n_envs), dtype=bool)
        done = np.zeros(self.n_envs, dtype=np.int64)
        runnable = active & self._started
        asked = [slot for slot in self._slots if runnable[slot.rows].any()]
        failures = [self._post_steps(slot, actions, runnable) for slot in asked]
        for slot, failure in zip(asked, failures, strict=True):
            completed, failure = self._collect(slot, steps, failure)
            done[slot.rows] = np.where(runnable[slot.rows], completed, 0)
            for name in _STEP_ARRAYS if completed else ():
                rows[name][:completed, slot.rows] = slot.worker.arrays[name][:completed]
                if name in present:  # later rows repeat the last value
                    rows[name][completed:, slot.rows] = rows[name][completed - 1, slot.rows]
            if failure is not None:
                self._replace(slot, failure)
        running = active.copy()
        for index in range(steps):
            rows["lost"][index] = running & (done <= index)
            rows["truncated"][index] |= rows["lost"][index]
            running &= ~rows["terminated"][index] & ~rows["truncated"][index]
        self._observation = rows["observation"][-1].copy()
        self._success, self._phase = rows["success"][-1].copy(), rows["phase"][-1].copy()
        return [_outcome(rows, index) for index in range(steps)]

    def _post_steps(
        self, slot: WorkerSlot, actions: Float32Array, runnable: BoolArray
    ) -> WorkerFailure | None:
        worker, steps = slot.worker, actions.shape[1]
        worker.arrays["progress"][0] = 0
        worker.arrays["active"][:] = runnable[slot.rows]
        worker.arrays["action"][:steps] = actions[slot.rows].swapaxes(0, 1)
        try:
            worker.post("step", steps=steps)
        except WorkerFailure as failure:
            return failure
        return None

    def _collect(
        self, slot: WorkerSlot, steps: int, failure: WorkerFailure | None
    ) -> tuple[int, WorkerFailure | None]:
        """Return how many control steps a worker completed, and how it failed if it did."""
        if failure is None:
            try:
                slot.worker.answer(self._settings.step_timeout_s)
                return steps, None
            except WorkerFailure as error:
                failure = error
        return int(slot.worker.arrays["progress"][0]), failure


class SavableRemoteEnv(RemoteEnv):
    """A `RemoteEnv` whose workers can save their state: also a `SavableEnv`."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every worker; one that fails here loses its episodes."""
        return {
            "workers": [self._save(slot) for slot in self._slots],
            "sizes": [slot.order.n_envs for slot in self._slots],
            "started": self._started.copy(),
            "observation": self._observation.copy(),
            "success": self._success.copy(),
            "phase": self._phase.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; what cannot be restored counts as lost."""
        for name in ("started", "observation", "success", "phase"):
            getattr(self, f"_{name}")[:] = state[name]
        same = list(state["sizes"]) == [slot.order.n_envs for slot in self._slots]
        for slot, part in zip(self._slots, state["workers"] if same else (), strict=same):
            if part is None:
                self._started[slot.rows] = False
                continue
            try:
                slot.worker.post("load", state=part)
                slot.worker.answer(self._settings.step_timeout_s)
            except WorkerFailure as failure:
                self._replace(slot, failure)
        if not same:
            self._started[:] = False

    def _save(self, slot: WorkerSlot) -> dict[str, Any] | None:
        try:
            slot.worker.post("save")
            return slot.worker.answer(self._settings.step_timeout_s)
        except WorkerFailure as failure:
            self._replace(slot, failure)
            return None


def open_remote_env(
    task: RemoteTask, n_envs: int, threads: int, settings: WorkerSettings
) -> RemoteEnv:
    """Start workers and return the environment they form together.

    Args:
        task: what they run.
        n_envs: environments in all, shared out evenly.
        threads: how many processes, unless the settings say.
        settings: how to start and watch them.

    Raises:
        SimulatorError: a worker could not start.
    """
    processes = max(1, min(settings.processes or threads, n_envs))
    bounds = [n_envs * index // processes for index in range(processes + 1)]
    slots: list[WorkerSlot] = []
    try:
        for first, last in pairwise(bounds):
            order = WorkerOrder(
                python=task.python,
                adapter=task.adapter,
                settings=task.settings,
                n_envs=last - first,
                chunk_steps=settings.chunk_steps,
                start_timeout_s=settings.start_timeout_s,
            )
            slots.append(WorkerSlot(order, slice(first, last), settings))
    except SimulatorError:
        for slot in slots:
            slot.worker.close()
        raise
    savable = all(slot.worker.description["savable"] for slot in slots)
    return (SavableRemoteEnv if savable else RemoteEnv)(slots, settings)


def _outcome(rows: Mapping[str, NDArray[Any]], index: int) -> StepOutcome:
    return StepOutcome(
        rows["observation"][index],
        rows["reward"][index],
        rows["terminated"][index],
        rows["truncated"][index],
        {name: rows[name][index] for name in ("success", "phase", "lost", "diverged")},
    )
