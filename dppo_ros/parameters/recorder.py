# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the recorder."""

from __future__ import annotations

from dppo_ros.parameters.model import COMMON, Parameter

RECORDER = (
    *COMMON,
    Parameter("path", "", "folder of the bag, of the bags in the modes split and ring"),
    Parameter(
        "mode",
        "all",
        "one bag; one bag for each episode; or the last seconds, written on ~/save and on a fault",
        choices=("all", "split", "ring"),
    ),
    Parameter("bundle", "", "bundle whose hash is noted beside the bag"),
    Parameter("seed", 0, "seed noted beside the bag", 0, 2**31 - 1),
    Parameter("randomness", "", "start-state spread noted beside the bag"),
    Parameter("include", "*", "topics to record: names or patterns, by comma"),
    Parameter("exclude", "", "topics to leave out: names or patterns, by comma"),
    Parameter("images", False, "record the pictures of the cameras too (80 MB/s for each camera)"),
    Parameter("compression", "none", "compression inside the file", choices=("none", "zstd")),
    Parameter("ring_s", 30.0, "how far back ~/save reaches (s)", 1.0, 3600.0),
    Parameter("ring_mb", 256, "memory of the ring (MiB)", 1, 65536),
    Parameter("tail_s", 2.0, "how long recording goes on after ~/save or a fault (s)", 0.0, 600.0),
    Parameter("preroll_s", 5.0, "an episode's bag begins this long before it (s)", 0.0, 60.0),
    Parameter("max_size_mb", 0, "split a bag from this size on (MiB); 0: never", 0, 1_000_000),
    Parameter("max_duration_s", 0.0, "split a bag from this length on (s); 0: never", 0.0, 86400.0),
    Parameter("min_free_mb", 500, "stop recording below this free space (MiB)", 1, 1_000_000),
    Parameter("queue_size", 5000, "messages that may wait for the disk", 100, 1_000_000),
    Parameter("queue_mb", 512, "memory of messages that wait for the disk (MiB)", 1, 65536),
    Parameter("flush_s", 1.0, "a crash costs at most this much of a recording (s)", 0.05, 60.0),
)
