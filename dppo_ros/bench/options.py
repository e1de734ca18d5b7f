# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that several measurements have."""

from __future__ import annotations

import argparse


def add_bundle_option(parser: argparse.ArgumentParser) -> None:
    """Add --bundle, the policy that is measured."""
    parser.add_argument(
        "--bundle", default="one_leg_low", metavar="BUNDLE",
        help="bundle folder, or name of a shipped one (default: one_leg_low)",
    )  # fmt: skip
