# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says about its policy: sizes, chain, layouts, normalisation, origin.

Everything that evaluation, fine-tuning and export must know travels with the weights, so none of
them can pick the wrong number of denoising steps or the wrong scaling.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from dppo_ros.core.errors import CheckpointError, DppoError
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import VectorSpec
from sim_training.config_file import choose_member, merge, to_plain
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.networks.config import DiffusionMlpConfig, GaussianConfig, NetworkConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.shape import PolicyShape
from sim_training.policies.make import TrainablePolicy, make_policy


@dataclass(frozen=True)
class PolicyHeader:
    """Complete description of a policy, without its weights.

    Attributes:
        task: task name.
        env: the task's configuration as plain values.
        network: kind and layers of the network; decides what kind of policy it is.
        diffusion: the chain of a diffusion policy; without meaning for the others.
        gaussian: standard deviations of a Gaussian or mixture policy; without meaning otherwise.
        shape: sizes.
        observation_spec: layout of an observation.
        action_spec: layout of an action.
        observation_normalizer: raw units to [-1, 1].
        action_normalizer: likewise.
        observation_clip: limit of normalised observations.
        control_rate_hz: control steps per second.
        finetuned: whether there is a fine-tuned network besides the base.
        envelope: action range and largest change per step in the demonstrations, raw units.
        data_hash: SHA-256 of the demonstrations.
    """

    task: str
    env: dict[str, Any]
    network: NetworkConfig
    diffusion: DiffusionConfig
    gaussian: GaussianConfig
    shape: PolicyShape
    observation_spec: VectorSpec
    action_spec: VectorSpec
    observation_normalizer: MinMaxNormalizer
    action_normalizer: MinMaxNormalizer
    observation_clip: float
    control_rate_hz: float
    finetuned: bool = False
    envelope: dict[str, Any] = field(default_factory=dict)
    data_hash: str = ""

    @property
    def layout(self) -> ObservationLayout:
        """Return what the numbers of an observation mean."""
        return ObservationLayout(self.observation_spec, self.observation_normalizer)

    def build_policy(self) -> TrainablePolicy:
        """Return a policy of this description with fresh weights."""
        policy = make_policy(self.network, self.diffusion, self.gaussian, self.shape, self.layout)
        if self.finetuned:
            policy.start_finetuning()
        return policy

    def of(self, policy: TrainablePolicy) -> PolicyHeader:
        """Return the header of a policy whose chain has changed since it was built."""
        if isinstance(policy, DiffusionPolicy):
            return replace(self, diffusion=policy.config)
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the header as JSON values."""
        plain = {
            name: to_plain(getattr(self, name))
            for name in ("network", "diffusion", "gaussian", "shape")
        }
        layouts = {
            name: getattr(self, name).to_json()
            for name in (
                "observation_spec",
                "action_spec",
                "observation_normalizer",
                "action_normalizer",
            )
        }
        rest = {
            name: getattr(self, name)
            for name in (
                "task",
                "env",
                "observation_clip",
                "control_rate_hz",
                "finetuned",
                "envelope",
                "data_hash",
            )
        }
        return {**rest, **plain, **layouts}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PolicyHeader:
        """Return the header that `to_json` wrote.

        Raises:
            CheckpointError: a key is missing or does not fit.
        """
        try:
            return cls(
                task=str(value["task"]),
                env=dict(value["env"]),
                network=_network_from_json(value["network"]),
                diffusion=merge(DiffusionConfig(), value["diffusion"], "diffusion"),
                gaussian=merge(GaussianConfig(), value["gaussian"], "gaussian"),
                shape=merge(PolicyShape(1, 1, 1, 1, 1), value["shape"], "shape"),
                observation_spec=VectorSpec.from_json(value["observation_spec"]),
                action_spec=VectorSpec.from_json(value["action_spec"]),
                observation_normalizer=MinMaxNormalizer.from_json(value["observation_normalizer"]),
                action_normalizer=MinMaxNormalizer.from_json(value["action_normalizer"]),
                observation_clip=float(value["observation_clip"]),
                control_rate_hz=float(value["control_rate_hz"]),
                finetuned=bool(value["finetuned"]),
                envelope=dict(value["envelope"]),
                data_hash=str(value["data_hash"]),
            )
        except (KeyError, TypeError, ValueError, DppoError) as error:
            raise CheckpointError(
                f"the policy description in the checkpoint is not usable ({error}); it was written "
                "by another version or altered"
            ) from error


def _network_from_json(value: dict[str, Any]) -> NetworkConfig:
    default = choose_member(NetworkConfig, str(value["name"]), DiffusionMlpConfig(), "network")
    return merge(default, value, "network")
