# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The furniture cells on Isaac Gym, run by the interpreter that has it (Python 3.8).

The worker gets its cell as plain settings, takes goals and gives states. Task rules, start states,
rewards and observations stay with the trainer (`sim_training.envs.furniture.isaac_gym`), shared
with every other simulator. NumPy, torch and Isaac Gym are all it needs, and every call of Isaac Gym
is in `gym_calls`.
"""
