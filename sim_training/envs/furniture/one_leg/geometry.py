# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions of the square table's parts: the tray with threaded bosses, and the legs.

Numbers measured on the published FurnitureBench meshes (clvrai/furniture-bench); the shapes are
rebuilt from primitives, no mesh is used. SI units. Part frames: the tray's +y is its open side
with the holes; the legs' threaded end is at -y.

Pure data, no simulator.
"""

from __future__ import annotations

import numpy as np

# Thread: a round wire on a helix, in the leg and in the bore alike (see ``helix_points``).
THREAD_PITCH_M = 9.375e-3
THREAD_WIRE_RADIUS_M = 2.19e-3
THREAD_TURNS = 2
LEG_THREAD_RADIUS_M = 0.010
LEG_THREAD_START_Y_M = -0.050
BORE_THREAD_RADIUS_M = 0.013125
BORE_THREAD_START_Y_M = -0.0094
SPHERES_PER_TURN = 12
CAPSULES_PER_TURN = 16

# Tray (square_table_top).
TRAY_HALF_WIDTH_M = 0.08125
TRAY_HALF_HEIGHT_M = 0.015625
TRAY_RIM_INNER_M = 0.075
TRAY_FLOOR_Y_M = -0.00944
BORE_RADIUS_M = 0.0125
BOSS_RADIUS_M = 0.01625
BORE_WALL_BOXES = 16
HOLE_OFFSET_M = 0.05625
TRAY_MASS_KG = 0.151
TRAY_COM_M = (0.0, -0.00552, 0.0)
TRAY_INERTIA = (4.58e-4, 8.90e-4, 4.58e-4)

HOLES_IN_TRAY = np.array(
    [[sx * HOLE_OFFSET_M, sz * HOLE_OFFSET_M] for sx in (-1.0, 1.0) for sz in (-1.0, 1.0)]
)
"""(4, 2) x and z of the hole centres in the tray frame (m)."""

SEATED_HEIGHT_M = 0.046875
"""y of the leg centre in the tray frame when screwed home."""

# Leg (square_table_leg).
LEG_HALF_WIDTH_M = 0.015
LEG_HALF_BODY_M = 0.03125
LEG_TIP_Y_M = -0.05625
PEG_RADIUS_M = 0.010
LEG_MASS_KG = 0.0231
LEG_COM_M = (0.0, -0.00675, 0.0)
LEG_INERTIA = (1.40e-5, 2.99e-6, 1.40e-5)
