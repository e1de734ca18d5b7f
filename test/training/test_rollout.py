# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a rollout notes of the borders between episodes and between iterations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sim_training.envs.chunk import ChunkEnv
from sim_training.envs.make import make_step_env
from sim_training.envs.protocol import ChunkStep
from sim_training.envs.seeds import SeedStream
from sim_training.envs.toy import ToyReachConfig
from sim_training.evaluate import chunk_settings
from sim_training.policies.protocol import LogProbReduction
from sim_training.policy_loading import load_policy
from sim_training.rl.buffers import RolloutBuffer, make_rollout_buffer
from sim_training.rl.rollout import RolloutSettings, collect_rollout

N_ENVS = 3


def test_the_first_chunk_of_an_iteration_may_begin_an_episode(pretrained: Path) -> None:
    """Episodes of 40 steps, ten chunks of four: some iterations end together with them."""
    header = replace(load_policy(pretrained).header, finetuned=True)
    policy = header.build_policy()
    policy.start_finetuning()
    task = make_step_env(ToyReachConfig(terminate_on_success=False), N_ENVS, 1)
    env = ChunkEnv(task, chunk_settings(header), SeedStream(0))
    reduction = LogProbReduction(header.shape.act_steps)
    settings = RolloutSettings(reduction, torch.Generator().manual_seed(0), "cpu")

    def storage(n_steps: int) -> RolloutBuffer:
        return make_rollout_buffer(n_steps, N_ENVS, header.shape, policy.ft_positions, "cpu")

    def begun(buffer: RolloutBuffer) -> list[int]:
        assert (buffer.first.all(1) == buffer.first.any(1)).all()
        return buffer.first[:, 0].nonzero().flatten().tolist()

    long, short = storage(20), storage(5)
    result = collect_rollout(env, policy, long, None, settings, lambda: False)
    assert begun(long) == [0, 10]
    result = collect_rollout(env, policy, long, result.observation, settings, lambda: False)
    assert begun(long) == [0, 10], "they go on, but with new episodes"
    result = collect_rollout(env, policy, short, result.observation, settings, lambda: False)
    assert begun(short) == [0]
    collect_rollout(env, policy, short, result.observation, settings, lambda: False)
    assert begun(short) == [], "in the midst of the episodes"
    env.close()


def test_failures_are_truncations_by_the_simulator() -> None:
    flags = np.array([[True, True, False, False], [True, False, True, False]])
    nothing = np.zeros(4, dtype=np.float32)
    info = {"diverged": flags[1]}
    step = ChunkStep({}, nothing, ~flags[0], flags[0], {}, info)
    assert step.failed.tolist() == [True, False, False, False]
    lost = ChunkStep({}, nothing, ~flags[0], flags[0], {}, {**info, "lost": flags[0]})
    assert lost.failed.tolist() == [True, True, False, False]
    assert not ChunkStep({}, nothing, ~flags[0], flags[0], {}, {}).failed.any()
