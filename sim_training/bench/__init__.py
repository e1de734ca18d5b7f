# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo bench`: what this machine reaches, measured in one run beside its own peak."""
