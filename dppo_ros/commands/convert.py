# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros convert``: bags -> a dataset for training."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "convert",
        help="turn recorded bags into a dataset for training",
        description="Makes observations from the recorded streams with the live node's own code, "
        "pairs them with the actions that were executed, and writes what dppo pretrain reads (npz) "
        "or a LeRobot v3 dataset. Reports drops, gaps, refusals and the parity with the recorded "
        "observations for every episode.",
    )
    command.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="folders of bags")
    command.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    command.add_argument(
        "--format", choices=("npz", "lerobot"), default="npz", help="format (default: npz)"
    )
    command.add_argument(
        "--bundle", help="take layout and control rate from this bundle (default: furniture, 10 Hz)"
    )
    command.add_argument("--name", default="one_leg", help="name of the task (default: one_leg)")
    command.add_argument("--task", metavar="TEXT", help="the task in words, for LeRobot")
    command.add_argument(
        "--only-successes", action="store_true", help="leave out episodes not labelled successful"
    )
    command.add_argument(
        "--least-frames", type=int, default=2, metavar="N",
        help="leave out trajectories shorter than this (default: 2)",
    )  # fmt: skip
    command.add_argument(
        "--no-images", action="store_true", help="leave recorded pictures out of a LeRobot dataset"
    )
    command.add_argument("--overwrite", action="store_true", help="replace an npz dataset")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        DppoError: A bag, a setting or the place of the dataset is not acceptable.
    """
    from dppo_ros.bag.conversion import (
        DEFAULT_TASK,
        ConversionSettings,
        convert_bags,
        report_lines,
    )
    from dppo_ros.core.bundle import load_bundle
    from dppo_ros.core.observation import furniture_observation_spec
    from dppo_ros.paths import find_bundle

    spec, rate_hz = furniture_observation_spec(), 10.0
    if options.bundle:
        manifest = load_bundle(find_bundle(options.bundle)).manifest
        spec, rate_hz = manifest.observation, manifest.control_rate_hz
    settings = ConversionSettings(
        out=options.out,
        format=options.format,
        name=options.name,
        text=options.task or DEFAULT_TASK,
        observation=spec,
        rate_hz=rate_hz,
        only_successes=options.only_successes,
        least_frames=options.least_frames,
        images=not options.no_images,
        overwrite=options.overwrite,
    )
    for line in report_lines(convert_bags(options.bags, settings)):
        print(line)
    return 0
