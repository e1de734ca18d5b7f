# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The `dppo` command: data, training, evaluation, export.

Exit codes: 0 done, 1 a check found errors, 2 the input cannot be used (one line on stderr says
why), 130 interrupted (training has saved a checkpoint), 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar, get_type_hints

import tyro

from dppo_ros.command_output import until_output_closes
from dppo_ros.core.errors import ConfigError, DppoError, unknown_name_message
from sim_training import config as settings
from sim_training.command_words import peek_option, spell_out_video, take_option
from sim_training.config_file import choose_member, load_config
from sim_training.offscreen import prefer_offscreen_rendering

T = TypeVar("T")
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """A subcommand: what it does in one line, and the function that runs its arguments."""

    summary: str
    run: Callable[[list[str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("sim_training").setLevel(logging.INFO)
    prefer_offscreen_rendering()

    # Torch-free up to here: `dppo doctor` must work where torch is missing.
    try:
        return until_output_closes(lambda: _dispatch(words))
    except DppoError as error:
        print(f"dppo: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt as stop:
        print(f"dppo: {str(stop) or 'interrupted'}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.filename is None:
            raise
        print(f"dppo: {error.filename}: {error.strerror}; choose another path", file=sys.stderr)
        return EXIT_BAD_INPUT


def _dispatch(words: list[str]) -> int:
    commands = _commands()
    if not words or words[0] in ("-h", "--help", "help"):
        _print_overview(commands)
        return 0
    name = words.pop(0)
    if name in ("data", "bench"):
        if not words or words[0].startswith("-"):
            options = sorted(n for n in commands if n.startswith(name + " "))
            print("\n".join(f"dppo {n:16}{commands[n].summary}" for n in options))
            return 0 if words else EXIT_BAD_INPUT
        name = f"{name} {words.pop(0)}"
    if name not in commands:
        raise ConfigError(unknown_name_message("command", name, commands))
    return commands[name].run(words)


def _print_overview(commands: dict[str, Command]) -> None:
    print("usage: dppo COMMAND [--config FILE] [OPTIONS]      (dppo COMMAND --help explains)\n")
    print("From demonstrations to a policy bundle for the robot:\n")
    for name, command in commands.items():
        print(f"  {name:16}{command.summary}")
    print(
        "\nExample:\n"
        "  dppo data generate one_leg --episodes 50 --out data/one_leg_low\n"
        "  dppo pretrain --config config/train/furniture/one_leg_low_pretrain.yaml\n"
        "  dppo finetune --config config/train/furniture/one_leg_low_small_steps_finetune.yaml\n"
        "  dppo eval --policy runs/one_leg_low_small_steps\n"
        "  dppo export --policy runs/one_leg_low_small_steps --out bundles/one_leg_low"
    )


def _commands() -> dict[str, Command]:
    return {
        "pretrain": Command("clone demonstrations with a diffusion policy", _pretrain),
        "finetune": Command("improve a pre-trained policy with DPPO", _finetune),
        "eval": Command("measure success with fixed seeds and an interval", _evaluate),
        "export": Command("write the policy bundle the robot loads", _export),
        "import": Command("a policy of the published DPPO code, as a checkpoint of ours", _import),
        "data generate": Command("record an expert, or a medium locomotion policy", _data_generate),
        "data import": Command("training data of the reference implementation", _data_import),
        "data check": Command("look for defects in demonstrations", _data_check),
        "data starts": Command("where the parts of a furniture task start", _data_starts),
        "demo": Command("the whole job in a few minutes", _demo),
        "doctor": Command("what this machine can run and what is missing", _doctor),
        "compare": Command("learning curves of several runs with intervals", _compare),
        "report": Command("HTML report of training runs", _report),
        "robustness": Command("success over noise, latency, errors and rates", _robustness),
        "ablate": Command("what each randomisation switch does to a policy", _ablate),
        "bench sim": Command("simulator steps per second", _bench_sim),
        "bench remote": Command("cost of a simulator in a process of its own", _bench_remote),
        "bench policy": Command("latency of exported policies, idle and under load", _bench_policy),
        "bench train": Command("time of a DPPO iteration, by parts", _bench_train),
        "bench pretrain": Command("time of a pre-training step, by parts", _bench_pretrain),
    }


def parse(default: T, words: Sequence[str], prog: str) -> T:
    """Return a configuration from `--config FILE`, then command-line overrides.

    Args:
        default: the command's configuration with its defaults.
        words: command-line words after the command name.
        prog: shown in the help text.

    Raises:
        ConfigError: the file or a value cannot be used.
    """
    rest, file = take_option(list(words), "--config")
    instance = default if file is None else load_config(Path(file), default)
    for option in ("env", "network"):
        name = peek_option(rest, f"--{option}.name")
        if name and any(f.name == option for f in fields(instance)):  # type: ignore[arg-type]
            hint = get_type_hints(type(instance))[option]
            chosen = choose_member(hint, name, getattr(instance, option), option)
            instance = replace(instance, **{option: chosen})  # type: ignore[type-var]
    for option in ("env", "network"):
        if getattr(instance, option, ...) is None:
            _require_name(rest, option)
    note = "Settings come from the defaults, then --config FILE (YAML), then these options."
    return tyro.cli(
        type(instance),
        default=instance,
        args=rest,
        prog=prog,
        description=f"{_purpose(type(instance))}\n\n{note}",
        config=(tyro.conf.AvoidSubcommands,),
    )


def _require_name(words: Sequence[str], option: str) -> None:
    """Refuse settings of a task (or network) that may be any: which one has these settings?

    Raises:
        ConfigError: `--env.something` without `--env.name`.
    """
    for word in words:
        if word.startswith(f"--{option}.") and peek_option(words, f"--{option}.name") is None:
            raise ConfigError(f"{word.partition('=')[0]} needs --{option}.name as well")


def _purpose(config: type) -> str:
    """What a configuration is for: its docstring up to the attributes, which the options repeat."""
    return inspect.cleandoc(config.__doc__ or "").partition("\nAttributes:")[0].strip()


def _pretrain(words: list[str]) -> int:
    parsed = parse(settings.PretrainConfig(), words, "dppo pretrain")
    from sim_training.distributed import is_main_process
    from sim_training.pretrain import run_pretrain

    folder = run_pretrain(parsed)
    if is_main_process():
        print(folder)
    return 0


def _finetune(words: list[str]) -> int:
    parsed = parse(settings.FinetuneConfig(), words, "dppo finetune")
    from sim_training.distributed import is_main_process
    from sim_training.finetune import run_finetune

    folder = run_finetune(parsed)
    if is_main_process():
        print(folder)
    return 0


def _evaluate(words: list[str]) -> int:
    parsed = parse(settings.EvaluateConfig(), spell_out_video(words), "dppo eval")
    from sim_training.evaluate import run_evaluate

    return run_evaluate(parsed)


def _export(words: list[str]) -> int:
    parsed = parse(settings.ExportConfig(), words, "dppo export")
    from sim_training.export import run_export
    from sim_training.export_guided import run_guided_export

    print(run_export(parsed) if parsed.from_bundle is None else run_guided_export(parsed))
    return 0


def _import(words: list[str]) -> int:
    from sim_training.interop.config import ImportConfig
    from sim_training.interop.importer import run_import

    if words and not words[0].startswith("-"):
        words = ["--checkpoint", *words]
    print(run_import(parse(ImportConfig(), words, "dppo import")).summary())
    return 0


def _data_generate(words: list[str]) -> int:
    task = words[0] if words and not words[0].startswith("-") else None
    if task == "toy_reach":
        from sim_training.data.toy import ToyGenerateConfig, generate_toy

        toy = parse(ToyGenerateConfig(), words[1:], "dppo data generate toy_reach")
        print(generate_toy(toy))
        return 0
    if task == "lift":
        from sim_training.data.generate_lift import LiftGenerateConfig, generate_lift

        print(generate_lift(parse(LiftGenerateConfig(), words[1:], "dppo data generate lift")))
        return 0
    if task in ("toy_reach_pixels", "one_leg_pixels"):
        return _data_generate_pixels(task, words[1:])
    if task is not None and task.endswith("-medium"):
        from sim_training.data.generate_locomotion import MediumConfig, generate_medium

        medium = parse(MediumConfig(), words[1:], f"dppo data generate {task}")
        print(generate_medium(task, medium))
        return 0
    from sim_training.data.generate import GenerateConfig, generate
    from sim_training.envs.furniture.experts import EXPERTS

    if task not in (None, *EXPERTS):
        medium_tasks = ("hopper-medium", "walker2d-medium", "halfcheetah-medium")
        known = ("toy_reach", "lift", *medium_tasks)
        pixels = ("one_leg_pixels", "toy_reach_pixels")
        raise ConfigError(unknown_name_message("task", str(task), (*EXPERTS, *known, *pixels)))
    rest = words[1:] if task else words
    if task is not None:
        rest = ["--task", task, *rest]
    print(generate(parse(GenerateConfig(), rest, f"dppo data generate {task or 'one_leg'}")))
    return 0


def _data_generate_pixels(task: str, words: list[str]) -> int:
    from sim_training.data import pixels

    prog = f"dppo data generate {task}"
    if task == "toy_reach_pixels":
        print(pixels.generate_toy_pixels(parse(pixels.ToyPixelsGenerateConfig(), words, prog)))
    else:
        chosen = parse(pixels.OneLegPixelsGenerateConfig(), words, prog)
        print(pixels.generate_one_leg_pixels(chosen))
    return 0


def _data_import(words: list[str]) -> int:
    from sim_training.data.reference_files import ImportConfig, import_dataset

    if words and not words[0].startswith("-"):
        words = ["--file", *words]
    print(import_dataset(parse(ImportConfig(), words, "dppo data import")))
    return 0


def _data_check(words: list[str]) -> int:
    from sim_training.data.check import CheckConfig, run_check

    if words and not words[0].startswith("-"):
        words = ["--dataset", *words]
    return run_check(parse(CheckConfig(), words, "dppo data check"))


def _data_starts(words: list[str]) -> int:
    from sim_training.data.starts import StartsConfig, run_starts

    if words and not words[0].startswith("-"):
        words = ["--task", *words]
    return run_starts(parse(StartsConfig(), words, "dppo data starts"))


def _demo(words: list[str]) -> int:
    from sim_training.demo import DemoConfig, run_demo

    return int(run_demo(parse(DemoConfig(), words, "dppo demo")))


def _doctor(words: list[str]) -> int:
    from sim_training.doctor import run_doctor

    # With the standard library alone: this is the command for machines where things are missing.
    parser = argparse.ArgumentParser(
        "dppo doctor", description="Tell what this machine can run, what is missing, how to get it."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    return int(run_doctor(json=parser.parse_args(words).json))


def _compare(words: list[str]) -> int:
    from sim_training.comparison import CompareConfig, run_compare

    return run_compare(parse(CompareConfig(), words, "dppo compare"))


def _report(words: list[str]) -> int:
    from sim_training.report import ReportConfig, write_report

    print(write_report(parse(ReportConfig(), words, "dppo report")))
    return 0


def _robustness(words: list[str]) -> int:
    from sim_training.robustness.sweeps import RobustnessConfig, run_robustness

    print(run_robustness(parse(RobustnessConfig(), words, "dppo robustness")))
    return 0


def _ablate(words: list[str]) -> int:
    from sim_training.robustness.ablation import AblateConfig, run_ablate

    print(run_ablate(parse(AblateConfig(), words, "dppo ablate")))
    return 0


def _bench_sim(words: list[str]) -> int:
    from sim_training.bench.config import BenchSimConfig

    parsed = parse(BenchSimConfig(), words, "dppo bench sim")
    from sim_training.bench.simulator import bench_sim

    return bench_sim(parsed)


def _bench_remote(words: list[str]) -> int:
    from sim_training.bench.config import BenchRemoteConfig
    from sim_training.bench.remote import bench_remote

    return bench_remote(parse(BenchRemoteConfig(), words, "dppo bench remote"))


def _bench_policy(words: list[str]) -> int:
    from sim_training.bench.config import BenchPolicyConfig

    parsed = parse(BenchPolicyConfig(), words, "dppo bench policy")
    from sim_training.bench.policy import bench_policy

    return bench_policy(parsed)


def _bench_train(words: list[str]) -> int:
    from sim_training.bench.config import BenchTrainConfig

    parsed = parse(BenchTrainConfig(), words, "dppo bench train")
    from sim_training.bench.train import bench_train

    return bench_train(parsed)


def _bench_pretrain(words: list[str]) -> int:
    from sim_training.bench.config import BenchPretrainConfig

    parsed = parse(BenchPretrainConfig(), words, "dppo bench pretrain")
    from sim_training.bench.train import bench_pretrain

    return bench_pretrain(parsed)


if __name__ == "__main__":
    sys.exit(main())
