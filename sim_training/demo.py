# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo demo`: the whole job on one machine, in two parts.

Part one trains a small policy of its own in a few minutes: demonstrations, pre-training, a few
DPPO iterations, evaluation, export. Part two lets the shipped bundle, trained for hours by the
same commands, assemble the task over ROS 2, records it and replays the recording offline.

Every step is a command a user could type; it is printed, timed and run in a process of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dppo_ros.core.errors import ConfigError, DppoError
from dppo_ros.paths import find_bundle, share_directory
from sim_training.demo_report import Attempt, DemoFolders, write_demo_report

EXIT_ASSEMBLED, EXIT_NOT_ASSEMBLED = 0, 3
_TRAIN_CONFIGS = Path("config") / "train" / "furniture"
_STOP_S = 30.0


@dataclass(frozen=True)
class DemoConfig:
    """Show the whole job: a short training of its own, then the shipped policy over ROS 2."""

    out: Path | None = None
    """New folder for everything the demo writes; None: runs/demo/<date and time>."""
    train: bool = True
    """Part one, the short training; --no-train goes straight to ROS 2."""
    ros: bool = True
    """Part two, the shipped bundle over ROS 2."""
    episodes: int = 40
    """Demonstrations to record."""
    pretrain_steps: int | None = None
    """Optimiser steps of pre-training; None: as in the demo's configuration file."""
    finetune_iterations: int | None = None
    """DPPO iterations; None: as in the demo's configuration file."""
    eval_episodes: int = 20
    """Episodes per evaluation of the small policies."""
    bundle: str = "one_leg_low"
    """Folder or shipped name of the bundle for part two."""
    seed: int = 0
    """Start state of the first ROS 2 episode; the next attempts count up."""
    max_attempts: int = 5
    """ROS 2 episodes to try until one ends assembled; each is reported."""

    def __post_init__(self) -> None:
        """Check the counts."""
        for name in ("episodes", "eval_episodes", "max_attempts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not (self.train or self.ros):
            raise ConfigError("both parts are switched off; leave out --no-train or --no-ros")


class DemoError(DppoError):
    """A step of the demo failed."""


@dataclass
class Demo:
    """The steps of one demo run.

    Attributes:
        config: What to do.
        folders: Where it goes.
        times: Wall time of the finished steps (s), by title.
        attempts: The ROS 2 episodes so far.
    """

    config: DemoConfig
    folders: DemoFolders
    console: Console = field(default_factory=Console)
    times: dict[str, float] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)

    def train(self) -> None:
        """Part one: demonstrations, pre-training, fine-tuning, evaluation, export."""
        self.console.rule("[bold]Part 1 of 2: a small policy of its own")
        self.console.print(
            "A few minutes of training show every step at work; they are not enough for a policy "
            "that assembles reliably. That of part 2 trained for an hour on two cores.\n"
        )
        config, folders = self.config, self.folders
        configs = share_directory() / _TRAIN_CONFIGS
        self.dppo(
            "record demonstrations",
            *("data", "generate", "one_leg", "--randomness", "low", "--seed", "0"),
            *("--episodes", str(config.episodes), "--out", str(folders.demonstrations)),
        )
        self.dppo("check demonstrations", "data", "check", str(folders.demonstrations))
        self.dppo(
            "pre-train",
            *("pretrain", "--config", str(configs / "one_leg_demo_pretrain.yaml")),
            *("--dataset", str(folders.demonstrations), "--run-dir", str(folders.pretrain)),
            *_option("--n-train-steps", config.pretrain_steps),
        )
        self._evaluate("evaluate pre-trained", folders.pretrain)
        self.dppo(
            "fine-tune with DPPO",
            *("finetune", "--config", str(configs / "one_leg_demo_finetune.yaml")),
            *("--base-policy", str(folders.pretrain), "--run-dir", str(folders.finetune)),
            *_option("--n-train-itr", config.finetune_iterations),
        )
        self._evaluate("evaluate fine-tuned", folders.finetune)
        self.dppo(
            "export bundle",
            *("export", "--policy", str(folders.finetune), "--out", str(folders.bundle)),
        )

    def _evaluate(self, title: str, run: Path) -> None:
        episodes = str(self.config.eval_episodes)
        words = ("eval", "--policy", str(run), "--eval.n-episodes", episodes)
        self.dppo(title, *words, "--eval.n-envs", episodes)

    def assemble(self) -> bool:
        """Part two: ROS 2 episodes until one is assembled, then the replay of the last one."""
        self.console.rule("[bold]Part 2 of 2: the shipped policy assembles over ROS 2")
        bundle = str(find_bundle(self.config.bundle))
        for attempt in range(self.config.max_attempts):
            seed = self.config.seed + attempt
            bag = self.folders.bag(seed)
            title = f"ROS 2 episode, seed {seed}"
            code = self.ros(
                title,
                *("up", "one_leg", "--bundle", bundle, "--randomness", "low"),
                *("--seed", str(seed), "--record", str(bag)),
                *("--real-time-factor", "0", "--lockstep", "true"),
                accepted=(EXIT_ASSEMBLED, EXIT_NOT_ASSEMBLED),
            )
            done = Attempt(seed, code == EXIT_ASSEMBLED, self.times[title], bag)
            self.attempts.append(done)
            self.console.print(f"Seed {seed}: {'assembled' if done.assembled else 'not assembled'}")
            if done.assembled:
                break
        self.ros(
            "replay the recording",
            *("replay", str(self.attempts[-1].bag), "--bundle", bundle),
            *("--json", str(self.folders.replay_json), "--html", str(self.folders.replay_html)),
        )
        return self.attempts[-1].assembled

    def dppo(self, title: str, *words: str) -> None:
        """Runs `dppo` with these words; any exit code but 0 ends the demo."""
        self._step(title, "dppo", "sim_training.cli", words, (0,))

    def ros(self, title: str, *words: str, accepted: tuple[int, ...] = (0,)) -> int:
        """Runs `dppo-ros` with these words and returns its exit code, one of `accepted`."""
        return self._step(title, "dppo-ros", "dppo_ros.cli", words, accepted)

    def _step(
        self, title: str, program: str, module: str, words: tuple[str, ...], ok: tuple[int, ...]
    ) -> int:
        shown = shlex.join([program, *words])
        self.console.print(f"\n[bold cyan]{title}[/]")
        self.console.print(
            f"  $ {shown}", style="dim", markup=False, highlight=False, soft_wrap=True
        )
        started = time.perf_counter()
        code = _run([sys.executable, "-m", module, *words])
        elapsed = time.perf_counter() - started
        if code not in ok:
            raise DemoError(
                f"step '{title}' ended with exit code {code} after {elapsed:.0f} s; its own "
                f"message stands above. To run it alone: {shown}"
            )
        self.times[title] = elapsed
        self.console.print(f"[green]done[/] in {elapsed:.0f} s")
        return code


def run_demo(config: DemoConfig) -> int:
    """Runs the demo; returns 0 if every step worked and the task ended assembled.

    Raises:
        DemoError: A step failed.
        ConfigError: The output folder is in use, or a shipped file is missing.
    """
    started = time.perf_counter()
    demo = Demo(config, DemoFolders(_new_folder(config.out)))
    if config.ros:
        # Fail before minutes of training, not after them.
        find_bundle(config.bundle)
    if config.train:
        demo.train()
    assembled = demo.assemble() if config.ros else True
    page = write_demo_report(demo.folders, demo.attempts, demo.times)
    demo.console.rule("[bold]Result")
    _print_summary(demo, time.perf_counter() - started)
    demo.console.print(f"Report: [bold]{page}[/]", soft_wrap=True)
    if not assembled:
        demo.console.print(
            f"[bold red]None of the {len(demo.attempts)} ROS 2 episodes ended assembled.[/] Other "
            f"start states: --seed {config.seed + len(demo.attempts)}"
        )
    return 0 if assembled else 1


def _option(name: str, value: int | None) -> tuple[str, ...]:
    return () if value is None else (name, str(value))


def _new_folder(given: Path | None) -> Path:
    """Creates and returns the output folder, which must be new or empty."""
    folder = given or Path("runs") / "demo" / time.strftime("%Y%m%d-%H%M%S")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not an empty folder; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: list[str]) -> int:
    """Runs a command on this terminal and returns its exit code; Ctrl-C stops it first."""
    environment = dict(os.environ)
    # Another ROS 2 graph on this machine must not hear this one.
    environment.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with subprocess.Popen(command, env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has sent it the same signal: let it save and leave.
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _print_summary(demo: Demo, elapsed_s: float) -> None:
    table = Table(title=f"Demo, {elapsed_s / 60:.1f} minutes", title_justify="left")
    table.add_column("step")
    table.add_column("time", justify="right")
    table.add_column("outcome")
    outcomes = demo.folders.outcomes()
    for attempt in demo.attempts:
        outcome = "assembled" if attempt.assembled else "not assembled"
        outcomes[f"ROS 2 episode, seed {attempt.seed}"] = outcome
    for title, seconds in demo.times.items():
        table.add_row(title, f"{seconds:.0f} s", outcomes.get(title, "done"))
    demo.console.print(table)
