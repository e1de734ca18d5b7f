# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""FurnitureBench tasks: pure task rules, the MuJoCo cell and the scripted expert."""
