# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Remote simulators: the same numbers as in the trainer, and every way a worker can fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_workers import TOY, OpenToy, ends, runs

from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError, SimulatorError
from sim_training import remote_worker
from sim_training.envs.make import make_step_env
from sim_training.envs.protocol import (
    ChunkSteppable,
    NominalEnv,
    RenderableEnv,
    SavableEnv,
    StepEnv,
)
from sim_training.envs.remote import RemoteTask, open_remote_env
from sim_training.envs.remote_process import WorkerFailure, WorkerOrder, WorkerProcess
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv
from sim_training.envs.worker_settings import WorkerSettings, find_interpreter

FIELDS = ("observation", "reward", "terminated", "truncated")


def actions(rng: np.random.Generator, n_envs: int, steps: int) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, (n_envs, steps, 2)).astype(np.float32)


def test_a_worker_gives_what_the_task_gives_in_the_trainer(open_toy: OpenToy) -> None:
    here, there = ToyReachEnv(TOY, 5), open_toy(5, processes=2, chunk_steps=3)
    for protocol in (StepEnv, ChunkSteppable, NominalEnv, RenderableEnv, SavableEnv):
        assert isinstance(there, protocol)
    assert there.observation_spec == here.observation_spec
    assert there.action_spec == here.action_spec
    assert there.phase_names == here.phase_names
    ids = np.arange(5)
    np.testing.assert_array_equal(here.reset(ids, ids + 7), there.reset(ids, ids + 7))
    rng = np.random.default_rng(0)
    for seed in range(100, 120):
        chunk, active = actions(rng, 5, 4), rng.random(5) < 0.7
        outcomes = there.step_chunk(chunk, active)
        for index, outcome in enumerate(outcomes):
            expected = here.step(chunk[:, index], active)
            for name in FIELDS:
                wanted, got = getattr(expected, name), getattr(outcome, name)
                assert wanted.dtype == got.dtype
                np.testing.assert_array_equal(wanted[active], got[active], name)
            for name in ("success", "phase"):
                np.testing.assert_array_equal(
                    expected.info[name][active], outcome.info[name][active]
                )
            assert not outcome.info["lost"].any() and not outcome.info["diverged"].any()
            active = active & ~expected.terminated & ~expected.truncated
        np.testing.assert_array_equal(here.render(3, 32, 48), there.render(3, 32, 48))
        ended = np.arange(5)[seed % 3 :: 3]
        np.testing.assert_array_equal(
            here.reset(ended, ended + seed), there.reset(ended, ended + seed)
        )


def test_the_state_of_workers_can_be_saved(open_toy: OpenToy) -> None:
    env = open_toy(4, processes=2)
    env.reset(np.arange(4), np.arange(4))
    chunks = actions(np.random.default_rng(1), 4, 4)
    everywhere = np.ones(4, dtype=bool)
    env.step_chunk(chunks[:, :2], everywhere)
    state = env.state_dict()
    first = env.step_chunk(chunks[:, 2:], everywhere)
    other = open_toy(4, processes=2)
    other.load_state_dict(state)
    again = other.step_chunk(chunks[:, 2:], everywhere)
    np.testing.assert_array_equal(first[-1].observation, again[-1].observation)
    # With another number of workers nothing can be restored: the episodes are lost, not mixed up.
    alone = open_toy(4, processes=1)
    alone.load_state_dict(state)
    outcome = alone.step(chunks[:, 2], everywhere)
    assert outcome.info["lost"].all() and outcome.truncated.all()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("kill", "was killed by SIGKILL"),
        ("exit", "ended with exit code 7; its last output:\n  simulator: fatal error 42"),
        ("hang", "no answer within 0.7 s"),
        ("error", "RuntimeError: the simulator refused on purpose; in the worker:\n"),
    ],
)
def test_a_failing_worker_is_replaced_and_its_episodes_are_lost(
    kind: str, told: str, open_toy: OpenToy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault = {"kind": kind, "step": 2, "once": str(tmp_path / "failed")}
    env = open_toy(3, fault=fault, step_timeout_s=0.7 if kind == "hang" else 60.0)
    (old,) = env.worker_pids
    first = env.reset(np.arange(3), np.arange(3))
    active = np.array([True, True, False])
    here = ToyReachEnv(TOY, 3)
    here.reset(np.arange(3), np.arange(3))
    chunk = actions(np.random.default_rng(2), 3, 4)
    outcomes = env.step_chunk(chunk, active)
    # The two steps before the failure are kept; the third ends the episodes where they were.
    for index in range(2):
        expected = here.step(chunk[:, index], active)
        np.testing.assert_array_equal(outcomes[index].observation[active], expected.observation[:2])
        assert not outcomes[index].truncated.any()
    assert outcomes[2].info["lost"].tolist() == outcomes[2].truncated.tolist() == active.tolist()
    np.testing.assert_array_equal(outcomes[2].observation[:2], outcomes[1].observation[:2])
    assert not outcomes[2].terminated.any() and not outcomes[2].reward.any()
    assert env.restarts == 1 and not runs(old)
    assert told in caplog.text
    # The third environment was lost as well and says so when it is stepped next.
    np.testing.assert_array_equal(env.reset(np.arange(2), np.arange(2)), first[:2])
    outcome = env.step(chunk[:, 0], np.ones(3, dtype=bool))
    assert outcome.info["lost"].tolist() == [False, False, True]


def test_a_worker_killed_from_outside_takes_only_its_own_episodes(open_toy: OpenToy) -> None:
    env = open_toy(4, processes=2)
    env.reset(np.arange(4), np.arange(4))
    os.kill(env.worker_pids[1], signal.SIGKILL)
    outcome = env.step(np.zeros((4, 2), dtype=np.float32), np.ones(4, dtype=bool))
    assert outcome.info["lost"].tolist() == [False, False, True, True]
    os.kill(env.worker_pids[0], signal.SIGKILL)
    assert env.reset(np.arange(2), np.arange(2)).shape == (2, 4)  # asked again
    assert env.restarts == 2


def test_too_many_failures_end_the_run_with_the_last_message(open_toy: OpenToy) -> None:
    env = open_toy(1, fault={"kind": "error", "step": 0}, max_restarts=1)
    one = np.ones(1, dtype=bool)
    env.reset(np.arange(1), np.arange(1))
    assert env.step(np.zeros((1, 2), dtype=np.float32), one).info["lost"].all()
    env.reset(np.arange(1), np.arange(1))
    with pytest.raises(SimulatorError, match=r"failed 2 times .* raised RuntimeError: .* on purpo"):
        env.step(np.zeros((1, 2), dtype=np.float32), one)


def test_numbers_that_are_not_finite_end_their_environment_only(open_toy: OpenToy) -> None:
    env = open_toy(3, fault={"kind": "nan", "step": 1, "env": 1})
    env.reset(np.arange(3), np.arange(3))
    outcomes = env.step_chunk(actions(np.random.default_rng(3), 3, 3), np.ones(3, dtype=bool))
    middle = outcomes[1]
    assert middle.info["diverged"].tolist() == middle.truncated.tolist() == [False, True, False]
    assert not middle.info["lost"].any() and not middle.info["success"].any()
    np.testing.assert_array_equal(middle.observation[1], outcomes[0].observation[1])
    assert np.isfinite(outcomes[2].observation).all()
    assert not outcomes[2].truncated[[0, 2]].any() and env.restarts == 0


def order(**changes: object) -> WorkerOrder:
    values = {"python": Path(sys.executable), "adapter": "toy", "n_envs": 1} | changes
    return WorkerOrder(settings=TOY.task_settings(), **values)  # type: ignore[arg-type]


def test_handshakes_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkerFailure, match=r"unknown adapter 'toi'; known: .*toy"):
        WorkerProcess(order(adapter="toi"))
    with pytest.raises(WorkerFailure, match=r"cannot run .*no_such_python: No such file"):
        WorkerProcess(order(python=Path("no_such_python")))
    refused = RemoteTask("toy", Path("/usr/bin/env"), TOY.task_settings())
    with pytest.raises(SimulatorError, match=r"the toy simulator of /usr/bin/env: ended with exit"):
        open_remote_env(refused, 1, 1, WorkerSettings())
    monkeypatch.setattr(remote_worker, "PROTOCOL_VERSION", 99)
    with pytest.raises(WorkerFailure, match="protocol 1 but this trainer speaks 99"):
        WorkerProcess(order())


def test_a_missing_interpreter_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DPPO_NOTHING_PYTHON", raising=False)
    with pytest.raises(EnvironmentUnavailableError, match="run `make nothing`, or set DPPO_NOTHI"):
        find_interpreter("nothing", None)
    monkeypatch.setenv("DPPO_NOTHING_PYTHON", "no_such_python")
    with pytest.raises(EnvironmentUnavailableError, match="is 'no_such_python', which is not an"):
        find_interpreter("nothing", None)
    assert find_interpreter("nothing", Path(sys.executable)) == Path(sys.executable)
    (tmp_path / ".venv-nothing/bin").mkdir(parents=True)
    (tmp_path / ".venv-nothing/bin/python").touch()
    monkeypatch.delenv("DPPO_NOTHING_PYTHON")
    assert find_interpreter("nothing", None) == tmp_path / ".venv-nothing/bin/python"


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"worker.step_timeout_s is 0; it must be positive"):
        WorkerSettings(step_timeout_s=0)
    with pytest.raises(ConfigError, match=r"worker.max_restarts is -1"):
        WorkerSettings(max_restarts=-1)


def test_closing_ends_workers_with_exit_code_0() -> None:
    worker = WorkerProcess(order())
    assert worker.close() == 0 and not runs(worker.pid)
    assert worker.close() == 0


PARENT = """
import sys
from sim_training.envs.make import make_step_env
from sim_training.envs.toy import ToyReachConfig
env = make_step_env(ToyReachConfig(remote=True), 2, 2)
print(*env.worker_pids, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "exits without closing"])
def test_workers_end_with_their_trainer_and_leave_nothing(how: signal.Signals | None) -> None:
    before = set(os.listdir("/dev/shm"))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None and parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    watched = [os.pidfd_open(pid) for pid in pids]
    if how is not None:
        parent.send_signal(how)
    parent.stdin.close()
    parent.wait(30)
    assert all(ends(pidfd) for pidfd in watched)
    ours = {name for name in os.listdir("/dev/shm") if "dppo" in name}
    assert not ours - before


def test_the_task_runs_remotely_when_its_settings_say_so() -> None:
    env = make_step_env(ToyReachConfig(remote=True), 3, 2)
    try:
        assert env.name == "toy_reach"
        assert env.reset(np.arange(3), np.arange(3)).shape == (3, 4)
    finally:
        env.close()
