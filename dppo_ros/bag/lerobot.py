# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trajectories from bags -> a LeRobot dataset, format version 3.0.

    meta/info.json                        features, rate, counts, where files are
    meta/stats.json                       statistics of every feature
    meta/tasks.parquet                    task texts and their numbers
    meta/episodes/chunk-000/file-000      one row for each episode: lengths, places, statistics
    data/chunk-000/file-000.parquet       one row for each frame
    videos/<camera>/chunk-000/file-*.mp4  one file for each episode and camera

One trajectory is one episode there: the format has no gaps. Needs pyarrow (extra ``lerobot``), and
PyAV for pictures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bag.frames import Trajectory
from dppo_ros.bag.lerobot_stats import PictureStatistics, Statistics, vector_statistics
from dppo_ros.bag.lerobot_video import Clip
from dppo_ros.core.errors import BagError, ConfigError, EnvironmentUnavailableError
from dppo_ros.core.spec import VectorSpec

CODEBASE_VERSION = "v3.0"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
CHUNKS_SIZE = 1000
Library: TypeAlias = Any
"""pyarrow and its objects, which carry no type information."""
_BOOKKEEPING = {
    "timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64",
    "task_index": "int64",
}  # fmt: skip


@dataclass(frozen=True)
class LeRobotEpisode:
    """One episode to be written.

    Attributes:
        trajectory: Its frames.
        task: What it is about, in words.
        clips: Its videos by camera.
    """

    trajectory: Trajectory
    task: str
    clips: Mapping[str, Clip]


def write_lerobot(
    folder: Path,
    episodes: Sequence[LeRobotEpisode],
    observation: VectorSpec,
    action: VectorSpec,
    rate_hz: float,
    robot_type: str,
) -> Path:
    """Write a dataset around videos that are there already, and return its folder.

    Args:
        folder: The dataset folder; its ``meta`` must not exist.
        episodes: At least one.
        observation: Layout of a state.
        action: Layout of an action.
        rate_hz: Frames per second, a whole number.
        robot_type: Name of the robot.

    Raises:
        BagError: The folder holds a dataset already.
        ConfigError: The rate is not a whole number.
        EnvironmentUnavailableError: pyarrow is not installed.
    """
    arrow, parquet = _arrow()
    if (folder / "meta").exists():
        raise BagError(f"{folder} holds a LeRobot dataset already; choose another folder")
    if rate_hz != round(rate_hz):
        raise ConfigError(f"the control rate is {rate_hz:g} Hz; LeRobot needs a whole number")
    tasks = list(dict.fromkeys(episode.task for episode in episodes))
    columns = [
        _columns(episode, index, tasks.index(episode.task), rate_hz)
        for index, episode in enumerate(episodes)
    ]
    starts = np.concatenate([[0], np.cumsum([len(e.trajectory) for e in episodes])])
    for column, start in zip(columns, starts[:-1], strict=True):
        column["index"] = start + np.arange(len(column["timestamp"]))
    joined = {key: np.concatenate([column[key] for column in columns]) for key in columns[0]}
    features = _features(joined, observation, action, episodes[0].clips)
    _write_table(parquet, folder / _place(DATA_PATH), _data_table(arrow, joined))
    rows = [
        _episode_row(episode, index, column, starts)
        for index, (episode, column) in enumerate(zip(episodes, columns, strict=True))
    ]
    _write_table(parquet, folder / EPISODES_PATH, arrow.Table.from_pylist(rows))
    _write_table(parquet, folder / "meta/tasks.parquet", _tasks_table(arrow, tasks))
    statistics = {key: vector_statistics(values) for key, values in joined.items()}
    for camera in episodes[0].clips:
        parts = [episode.clips[camera].statistics for episode in episodes]
        statistics[f"observation.images.{camera}"] = PictureStatistics.joined(parts)
    _write_json(folder / "meta/stats.json", _lists(statistics))
    info = _info(episodes, features, len(tasks), rate_hz, robot_type)
    _write_json(folder / "meta/info.json", info)  # last: without it there is no dataset
    return folder


def _info(
    episodes: Sequence[LeRobotEpisode],
    features: Mapping[str, Any],
    tasks: int,
    rate_hz: float,
    robot_type: str,
) -> dict[str, Any]:
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": robot_type,
        "total_episodes": len(episodes),
        "total_frames": sum(len(episode.trajectory) for episode in episodes),
        "total_tasks": tasks,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": round(rate_hz),
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if episodes[0].clips else None,
        "features": dict(features),
    }


def video_path(folder: Path, camera: str, episode_index: int) -> Path:
    """Return where the video of a camera and an episode belongs."""
    chunk, file = divmod(episode_index, CHUNKS_SIZE)
    key = f"observation.images.{camera}"
    return folder / VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)


def check_installed() -> None:
    """Refuse early what cannot work.

    Raises:
        EnvironmentUnavailableError: pyarrow is not installed.
    """
    _arrow()


def _arrow() -> tuple[Library, Library]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"the LeRobot format needs pyarrow ({error}); install it with "
            "'pip install dppo_ros[lerobot]', or convert with --format npz"
        ) from error
    return pyarrow, pyarrow.parquet


def _place(template: str, index: int = 0) -> str:
    return template.format(chunk_index=index // CHUNKS_SIZE, file_index=index % CHUNKS_SIZE)


def _columns(
    episode: LeRobotEpisode, index: int, task: int, rate_hz: float
) -> dict[str, NDArray[Any]]:
    trajectory = episode.trajectory
    frames = np.arange(len(trajectory))
    done = np.zeros(len(trajectory), dtype=bool)
    done[-1] = trajectory.is_last
    success = done & (trajectory.episode.success == "true")
    return {
        "observation.state": trajectory.states.astype(np.float32),
        "action": trajectory.actions.astype(np.float32),
        "next.reward": success.astype(np.float32),
        "next.done": done,
        "next.success": success,
        "timestamp": (frames / rate_hz).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(len(frames), index),
        "task_index": np.full(len(frames), task),
    }


def _features(
    columns: Mapping[str, NDArray[Any]],
    observation: VectorSpec,
    action: VectorSpec,
    clips: Mapping[str, Clip],
) -> dict[str, Any]:
    names = {
        "observation.state": list(observation.component_names),
        "action": list(action.component_names),
    }
    features: dict[str, Any] = {
        key: {
            "dtype": _BOOKKEEPING.get(key, str(values.dtype)),
            "shape": [1] if values.ndim == 1 else [values.shape[1]],
            "names": names.get(key),
        }
        for key, values in columns.items()
    }
    for camera, clip in clips.items():
        features[f"observation.images.{camera}"] = {
            "dtype": "video",
            "shape": [clip.height_px, clip.width_px, 3],
            "names": ["height", "width", "channels"],
            "info": clip.info,
        }
    return features


def _data_table(arrow: Library, columns: Mapping[str, NDArray[Any]]) -> Library:
    arrays = {}
    for key, values in columns.items():
        kind = arrow.from_numpy_dtype(np.dtype(_BOOKKEEPING.get(key, values.dtype)))
        flat = arrow.array(values.reshape(-1), type=kind)
        wide = values.ndim == 2
        arrays[key] = arrow.FixedSizeListArray.from_arrays(flat, values.shape[1]) if wide else flat
    return arrow.table(arrays)


def _tasks_table(arrow: Library, tasks: Sequence[str]) -> Library:
    """Return the tasks as a table that pandas reads with the texts as its index."""
    table = arrow.table({"task_index": np.arange(len(tasks)), "task": list(tasks)})
    description = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64",
             "numpy_type": "int64", "metadata": None},
            {"name": "task", "field_name": "task", "pandas_type": "unicode",
             "numpy_type": "object", "metadata": None},
        ],
    }  # fmt: skip
    return table.replace_schema_metadata({"pandas": json.dumps(description)})


def _episode_row(
    episode: LeRobotEpisode,
    index: int,
    columns: Mapping[str, NDArray[Any]],
    starts: NDArray[np.int64],
) -> dict[str, Any]:
    trajectory = episode.trajectory
    row: dict[str, Any] = {
        "episode_index": index,
        "tasks": [episode.task],
        "length": len(trajectory),
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": int(starts[index]),
        "dataset_to_index": int(starts[index + 1]),
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        "bag": str(trajectory.bag),
        "first_stamp_ns": int(trajectory.stamps_ns[0]),
    }
    statistics = {key: vector_statistics(values) for key, values in columns.items()}
    for camera, clip in episode.clips.items():
        key = f"observation.images.{camera}"
        chunk, file = divmod(index, CHUNKS_SIZE)
        row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"] = chunk, file
        row[f"videos/{key}/from_timestamp"] = 0.0
        row[f"videos/{key}/to_timestamp"] = clip.duration_s
        statistics[key] = clip.statistics.result()
    for key, values in _lists(statistics).items():
        row.update({f"stats/{key}/{name}": numbers for name, numbers in values.items()})
    return row


def _lists(statistics: Mapping[str, Statistics]) -> dict[str, dict[str, Any]]:
    return {
        key: {name: values.tolist() for name, values in entry.items()}
        for key, entry in statistics.items()
    }


def _write_table(parquet: Library, path: Path, table: Library) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, compression="snappy")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
