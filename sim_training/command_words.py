# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command-line words that are looked at before the settings are parsed."""

from __future__ import annotations

from collections.abc import Sequence

from dppo_ros.core.errors import ConfigError


def peek_option(words: Sequence[str], name: str) -> str | None:
    """Return the value of an option given as `NAME VALUE` or `NAME=VALUE`; None: not there."""
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(name + "="):
            return word[len(name) + 1 :]
    return None


def take_option(words: list[str], name: str) -> tuple[list[str], str | None]:
    """Return the words without an option, and its value.

    Raises:
        ConfigError: the option has no value.
    """
    value = peek_option(words, name)
    if value is None:
        if name in words:
            raise ConfigError(f"{name} needs a file name after it")
        return words, None
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == name:
            skip = True
        elif not word.startswith(name + "="):
            kept.append(word)
    return kept, value


def spell_out_video(words: Sequence[str]) -> list[str]:
    """Return `--video [N]` as the setting it is short for; N is 1 if it is left out."""
    spelled: list[str] = []
    for index, word in enumerate(words):
        if word == "--video":
            number = words[index + 1] if index + 1 < len(words) else "-"
            spelled.append("--eval.video-episodes")
            spelled += ["1"] if number.startswith("-") else []
        elif word.startswith("--video="):
            spelled += ["--eval.video-episodes", word.partition("=")[2]]
        else:
            spelled.append(word)
    return spelled
