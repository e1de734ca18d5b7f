# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""FurnitureBench tasks: pure task rules, the MuJoCo cell and the scripted expert."""

from sim_training.offscreen import prefer_offscreen_rendering

# MuJoCo looks once, on import, for the graphics to use; everything here imports it after this.
prefer_offscreen_rendering()
