# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several processes that train as one: agree, add up, and notice when one of them is gone.

`World` wraps `torch.distributed`. A process on its own is a world of size 1, in which every verb
returns its argument at once; nothing is initialised and nothing is copied.

The processes hold equal weights and draw equal random numbers for the *whole* batch, of which each
uses its `Share`. What is left to exchange is little: rewards and values once per iteration,
gradients once per optimiser step, a yes or no here and there. The result is that of one process
with the same total batch, up to the order in which floating-point numbers are added.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dppo_ros.core.errors import ConfigError, DistributedError, DppoError
from sim_training.config import RunConfig
from sim_training.share import Share

T = TypeVar("T")


class World:
    """The processes of a run. Every method is called by all of them, in the same order."""

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        """Describe an open process group; without arguments a process on its own.

        Args:
            rank: number of this process.
            size: number of processes.
            local_rank: number of this process on its machine, and of the GPU it uses.
        """
        self.rank = rank
        self.size = size
        self.local_rank = local_rank

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """Return this process's part of `total` rows; parts differ by one row at most."""
        first = total * self.rank // self.size
        return Share(first, total * (self.rank + 1) // self.size - first, total)

    def localise(self, run: RunConfig) -> RunConfig:
        """Return the settings with the device of this process.

        Raises:
            ConfigError: a GPU is named by number, or there are fewer GPUs than processes.
        """
        if self.size == 1 or not run.device.startswith("cuda"):
            return run
        if run.device != "cuda":
            raise ConfigError(
                f"run.device is {run.device!r}, which would put all {self.size} processes on one "
                "GPU; set it to cuda, and every process takes the GPU of its local number"
            )
        if self.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"local process {self.local_rank} has no GPU: this machine has "
                f"{torch.cuda.device_count()}; start at most that many processes on it "
                "(--nproc-per-node), or set run.device to cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return replace(run, device=f"cuda:{self.local_rank}")

    def any(self, flag: bool) -> bool:
        """Return whether any process said yes."""
        if self.size == 1:
            return flag
        votes = torch.tensor(int(flag))
        with self._watched():
            dist.all_reduce(votes)
        return bool(votes)

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes in the order of their numbers, to all of them."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with self._watched():
            dist.all_gather_object(values, value)
        return values

    def gather_columns(self, part: Tensor) -> Tensor:
        """Return (M, N) from the columns (M, n) of every process, n the same everywhere."""
        if self.size == 1:
            return part
        sent = part.to(torch.uint8 if part.dtype == torch.bool else part.dtype).contiguous()
        parts = [torch.empty_like(sent) for _ in range(self.size)]
        with self._watched():
            dist.all_gather(parts, sent)
        return torch.cat(parts, dim=1).to(part.dtype)

    def add(self, values: Tensor, largest: bool = False) -> Tensor:
        """Return the sum, or the elementwise maximum, of a tensor over all processes."""
        if self.size > 1:
            values = values.clone()
            with self._watched():
                dist.all_reduce(values, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM)
        return values

    def add_gradients(self, parameters: Iterable[nn.Parameter], number: float = 0.0) -> float:
        """Replace gradients by their sums over all processes, and return the sum of `number`.

        One message carries it all. A parameter without a gradient here counts as zero; where no
        process has one it stays without, so that the optimiser passes over it as it would alone.
        """
        if self.size == 1:
            return number
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        parts = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in trained
        ]
        present = [float(parameter.grad is not None) for parameter in trained]
        tail = torch.tensor([*present, number], device=trained[0].device)
        flat = torch.cat([*(part.flatten() for part in parts), tail])
        with self._watched():
            dist.all_reduce(flat)
        sums = flat.split([parameter.numel() for parameter in trained] + [len(tail)])
        *holders, total = sums[-1].tolist()
        for parameter, gradient, held in zip(trained, sums[:-1], holders, strict=True):
            parameter.grad = gradient.view_as(parameter) if held else None
        return float(total)

    def require_same(self, value: object, what: str) -> None:
        """Check that all processes hold equal values.

        Raises:
            DistributedError: they do not, so they no longer train one policy.
        """
        if self.size > 1 and any(other != value for other in self.gather(value)):
            raise DistributedError(
                f"the processes disagree about {what}; start all of them with the same program, "
                "settings and files (run directory, dataset and base policy on shared storage)"
            )

    def on_main(self, work: Callable[[], object]) -> None:
        """Let process 0 do something; a refusal there ends the others too.

        Raises:
            DppoError: what process 0 raised; a DistributedError with its message elsewhere.
        """
        if self.size == 1:
            work()
            return
        problem: DppoError | None = None
        if self.is_main:
            try:
                work()
            except DppoError as error:
                problem = error
        said = self.gather(str(problem) if problem else None)[0]
        if problem is not None:
            raise problem
        if said is not None:
            raise DistributedError(f"process 0 stopped the run: {said}")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Say in words what a broken connection means."""
        try:
            yield
        except RuntimeError as error:
            raise DistributedError(
                f"process {self.rank} of {self.size} lost contact with the others, because one of "
                "them ended or did not answer within run.peer_timeout_s; look for the first "
                "message of another process, then continue the run with --resume (the connection "
                f"said: {str(error).splitlines()[0]})"
            ) from error


def is_main_process() -> bool:
    """Return whether this process is the first of those that a launcher started, or alone."""
    return os.environ.get("RANK", "0") == "0"


ALONE = World()
"""The world of a process that was started on its own."""


def _check_device(name: str) -> None:
    """Refuse a device that is unknown, missing, or not for this build of torch."""
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"run.device is {name!r}, but torch {torch.__version__} on this machine says: "
            f"{str(error).splitlines()[0]} (GPUs it can use: {torch.cuda.device_count()}); choose "
            "cpu, or cuda with a CUDA build of torch and a driver for it"
        ) from error


@contextmanager
def open_world(run: RunConfig) -> Iterator[World]:
    """Join the other processes of the run, if torchrun (or the like) started several.

    A process group that is open already is used, and left open.

    Args:
        run: device and time limit. CPU tensors travel by gloo, GPU tensors by NCCL.

    Raises:
        DistributedError: the processes do not find each other.
        ConfigError: a process alone cannot use the device; several are told by ``localise``.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        _check_device(run.device)
        yield ALONE
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if dist.is_initialized():
        yield World(dist.get_rank(), size, local_rank)
        return
    backend = "cpu:gloo,cuda:nccl" if run.device.startswith("cuda") else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=run.peer_timeout_s))
        world = World(dist.get_rank(), size, local_rank)
    except (RuntimeError, ValueError) as error:
        raise DistributedError(
            f"WORLD_SIZE is {size} but the processes did not find each other: "
            f"{str(error).splitlines()[0]}; start them with torchrun, and let MASTER_ADDR and "
            "MASTER_PORT name an address of process 0 that all machines reach"
        ) from error
    try:
        yield world
    finally:
        # Also after an error: closed connections tell the others at once.
        dist.destroy_process_group()
