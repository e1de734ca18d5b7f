# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Film strips show the recorded states at the moments that matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import BagError, EnvironmentUnavailableError
from sim_training import filmstrip
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.cell import FurnitureCell
from sim_training.filmstrip import RecordedState, draw_states, key_states
from sim_training.pictures import join_pictures, to_png


def states_of(phases: list[int]) -> list[RecordedState]:
    return [RecordedState(i, {}, {}, phase, f"p{phase}") for i, phase in enumerate(phases)]


def recorded(cell: FurnitureCell) -> RecordedState:
    state = cell.state()
    names = (*geo.ARM_JOINTS, *geo.FINGER_JOINTS)
    values = (*state.joint_positions, *state.finger_positions)
    joints = dict(zip(names, map(float, values), strict=True))
    return RecordedState(0, joints, state.tag_from_part, state.phase, state.phase_name)


def test_start_end_and_every_new_phase_are_shown() -> None:
    shown = key_states(states_of([0] * 20 + [1] * 5 + [3] * 50), 4)
    assert [state.stamp_ns for state in shown] == [0, 20, 25, 74]


def test_long_gaps_are_filled_up() -> None:
    shown = key_states(states_of([0] * 101), 5)
    assert [state.stamp_ns for state in shown] == [0, 25, 50, 75, 100]


def test_short_recordings_show_what_there_is() -> None:
    assert len(key_states(states_of([0]), 8)) == 1
    assert len(key_states(states_of([0, 0, 1]), 8)) == 3
    with pytest.raises(BagError, match="empty"):
        key_states([], 8)


def test_pictures_are_laid_out_row_by_row_with_gaps() -> None:
    pictures = [np.full((2, 3, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = join_pictures(pictures, columns=2, gap=1)
    assert sheet.shape == (5, 7, 3)
    assert (sheet[0, 0, 0], sheet[0, 4, 0], sheet[3, 0, 0]) == (10, 20, 30)
    assert (sheet[2] == 255).all() and (sheet[3:, 4:] == 255).all()


def test_png_files_carry_the_signature() -> None:
    assert to_png(np.zeros((4, 4, 3), np.uint8)).startswith(b"\x89PNG\r\n")


def test_folder_that_is_no_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="cannot read the states"):
        filmstrip.read_states(tmp_path)


def test_different_states_give_different_pictures() -> None:
    cell = FurnitureCell("low")
    first = recorded(cell)
    cell.reset(5)
    second = recorded(cell)
    try:
        pictures = draw_states([first, second, first], height=60, width=80)
    except EnvironmentUnavailableError as error:
        pytest.skip(str(error))
    assert pictures[0].shape == (60, 80, 3)
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])
