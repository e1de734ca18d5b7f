# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arms that this package knows, from ``config/robots/<name>.yaml``.

Strict: a key that is missing, unknown or of the wrong kind is refused with its place in the file.
Pure Python: no rclpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dppo_ros.control.limits import (
    Capsule,
    JointLimits,
    MotionLimits,
    Robot,
    Surroundings,
    ToolLimits,
)
from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.paths import share_directory

FOLDER = Path("config") / "robots"
_Kind = TypeVar("_Kind")
_JOINTS = tuple(JointLimits.__dataclass_fields__)
_TOOL = tuple(ToolLimits.__dataclass_fields__)
_POLICY = tuple(MotionLimits.__dataclass_fields__)
_AROUND = tuple(Surroundings.__dataclass_fields__)
_TOP = ("name", "joint_names", "finger_names", "home_rad", "hardware", "policy", "surroundings")


@cache
def find_robot(name: str) -> Robot:
    """Return the robot of this name.

    Raises:
        ConfigError: There is no such file, or it is not acceptable.
        SafetyError: Its limits contradict each other.
    """
    folder = share_directory() / FOLDER
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise ConfigError(unknown_name_message("robot", name, known))
    return read_robot(folder / f"{name}.yaml")


def read_robot(path: Path) -> Robot:
    """Return the robot that a file describes.

    Raises:
        ConfigError: The file cannot be read, or a key is missing, unknown or of the wrong kind.
        SafetyError: Its limits contradict each other.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read a robot from {path}: {error}") from error
    where = str(path)
    top = _group(content, _TOP, where)
    hardware = _group(top["hardware"], ("joints", "tool"), f"{where}, hardware")
    policy = _group(top["policy"], _POLICY, f"{where}, policy")
    return Robot(
        name=str(top["name"]),
        joint_names=_names(top["joint_names"], f"{where}, joint_names"),
        finger_names=_names(top["finger_names"], f"{where}, finger_names"),
        home_rad=_numbers(top["home_rad"], f"{where}, home_rad"),
        hardware_joints=_joints(hardware["joints"], f"{where}, hardware.joints"),
        hardware_tool=_tool(hardware["tool"], f"{where}, hardware.tool"),
        policy=MotionLimits(
            joints=_joints(policy["joints"], f"{where}, policy.joints"),
            tool=_tool(policy["tool"], f"{where}, policy.tool"),
            measured_distance_rad=_numbers(
                policy["measured_distance_rad"], f"{where}, policy.measured_distance_rad"
            ),
            homing_speed=_number(policy["homing_speed"], f"{where}, policy.homing_speed"),
            rest_velocity_rad_s=_number(
                policy["rest_velocity_rad_s"], f"{where}, policy.rest_velocity_rad_s"
            ),
        ),
        surroundings=_surroundings(top["surroundings"], f"{where}, surroundings"),
    )


def _joints(content: object, where: str) -> JointLimits:
    group = _group(content, _JOINTS, where)
    return JointLimits(**{key: _numbers(group[key], f"{where}.{key}") for key in _JOINTS})


def _tool(content: object, where: str) -> ToolLimits:
    group = _group(content, _TOOL, where)
    return ToolLimits(**{key: _number(group[key], f"{where}.{key}") for key in _TOOL})


def _surroundings(content: object, where: str) -> Surroundings:
    group = _group(content, _AROUND, where)
    numbers = {key: _number(group[key], f"{where}.{key}") for key in _AROUND if key.endswith("_m")}
    pairs = tuple(_names(pair, f"{where}.pairs") for pair in _list(group["pairs"], where, "pairs"))
    if any(len(pair) != 2 for pair in pairs):
        raise ConfigError(f"{where}.pairs must hold two names each, such as [base, hand]")
    return Surroundings(
        capsules=_capsules(group["capsules"], f"{where}.capsules", ""),
        pairs=pairs,  # type: ignore[arg-type]  # two names each, checked above
        obstacles=_capsules(group["obstacles"], f"{where}.obstacles", "link0"),
        obstacle_links=_names(group["obstacle_links"], f"{where}.obstacle_links"),
        **numbers,
    )


def _capsules(content: object, where: str, link: str) -> tuple[Capsule, ...]:
    """Return capsules by name; with a link given, the entries must not name one."""
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where} is {content!r}; it must be a group of named capsules")
    keys = ("start_m", "end_m", "radius_m") if link else ("link", "start_m", "end_m", "radius_m")
    made = []
    for name, entry in content.items():
        group = _group(entry, keys, f"{where}.{name}")
        made.append(
            Capsule(
                name=str(name),
                link=link or str(group["link"]),
                start_m=_numbers(group["start_m"], f"{where}.{name}.start_m"),
                end_m=_numbers(group["end_m"], f"{where}.{name}.end_m"),
                radius_m=_number(group["radius_m"], f"{where}.{name}.radius_m"),
            )
        )
    return tuple(made)


def _group(content: object, keys: tuple[str, ...], where: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where} is {content!r}; it must be a group with {', '.join(keys)}")
    for key in content:
        if key not in keys:
            raise ConfigError(f"{where}: {unknown_name_message('key', str(key), keys)}")
    missing = [key for key in keys if key not in content]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}")
    return content


def _list(content: object, where: str, key: str) -> list[object]:
    if not isinstance(content, list):
        raise ConfigError(f"{where}.{key} is {content!r}; it must be a list")
    return content


def _names(content: object, where: str) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise ConfigError(f"{where} is {content!r}; it must be a list of names")
    return tuple(content)


def _numbers(content: object, where: str) -> tuple[float, ...]:
    if not isinstance(content, list):
        raise ConfigError(f"{where} is {content!r}; it must be a list of numbers")
    return tuple(_number(item, where) for item in content)


def _number(content: object, where: str) -> float:
    if isinstance(content, bool) or not isinstance(content, (int, float)):
        raise ConfigError(f"{where} holds {content!r}; it must be a number")
    return float(content)
