# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
# Everything a fresh machine needs: `make demo` shows it working, `make test` checks it. See `make help`.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup system robomimic demo test test-fast lint format doctor clean distclean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.dppo_ros-installed
REQUIREMENTS := requirements/base.txt requirements/robot.txt requirements/train.txt \
	requirements/ros.txt requirements/perception.txt requirements/lerobot.txt \
	requirements/warp.txt requirements/dev.txt
# robosuite needs an older MuJoCo and NumPy, so it gets an interpreter of its own.
ROBOMIMIC := .venv-robomimic
ROBOMIMIC_STAMP := $(ROBOMIMIC)/.dppo_ros-installed
# Words after `make demo DEMO_ARGS=...` and `make test TEST_ARGS=...` go to the program.
DEMO_ARGS ?=
TEST_ARGS ?=
TEST_WORKERS ?= 2

# A sourced ROS 2 workspace would mix its packages into the environment built here.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH RMW_IMPLEMENTATION
export PYTHONUNBUFFERED := 1
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

# The first Python from 3.10 to 3.12 on the path; name another one with `make setup PYTHON=...`.
IN_RANGE := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.10; do \
	"$$python" -c '$(IN_RANGE)' 2>/dev/null && { echo "$$python"; break; }; done)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install the pinned dependencies (done once)
	@echo "Installed: source $(BIN)/activate, then dppo --help and dppo-ros --help"

$(BIN)/python:
	@if ! "$(PYTHON)" -c '$(IN_RANGE)' 2>/dev/null; then \
		echo "No Python from 3.10 to 3.12 (looked at: $(or $(PYTHON),python3 and python3.10 to 3.12))." >&2; \
		echo "Install one, e.g. apt-get install python3 python3-venv, or name one:" >&2; \
		echo "  make setup PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@sh requirements/system.sh "$(PYTHON)"
	@echo "== Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(STAMP): $(BIN)/python $(REQUIREMENTS) requirements/constraints.txt setup.py
	@echo "== Installing the pinned dependencies into $(VENV) (about 3 GB on disk, a few minutes)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		-r requirements/base.txt -r requirements/dev.txt -c requirements/constraints.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@

system: ## Install the system libraries for rendering (root), or say which
	@sh requirements/system.sh "$(PYTHON)"

robomimic: $(ROBOMIMIC_STAMP) ## Create .venv-robomimic for the tasks of robomimic (1.2 GB, done once)
	@echo "Installed: dppo data generate lift, then config/train/robomimic/two_cores/"

$(ROBOMIMIC_STAMP): $(BIN)/python requirements/robosuite.txt
	@echo "== Installing robosuite into $(ROBOMIMIC) (about 1.2 GB on disk, a minute or two)"
	@$(BIN)/python -m venv $(ROBOMIMIC)
	@$(ROBOMIMIC)/bin/python -m pip install -qq --disable-pip-version-check \
		--no-deps --only-binary :all: -r requirements/robosuite.txt
	@echo "== Compiling its controller"
	@$(ROBOMIMIC)/bin/python -c "import robosuite; e = robosuite.make('Lift', robots='Panda', \
		has_renderer=False, has_offscreen_renderer=False, use_camera_obs=False); \
		e.reset(); e.step([0] * 7)" >/dev/null 2>&1
	@touch $@

demo: $(STAMP) ## Train a little, then assemble with the shipped policy over ROS 2 (15 minutes)
	@$(BIN)/python -m sim_training.cli demo $(DEMO_ARGS)

test: $(STAMP) $(ROBOMIMIC_STAMP) ## Run the whole test suite
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) $(TEST_ARGS)

test-fast: $(STAMP) ## Run the tests that need neither ROS 2 nor much time
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "not slow and not ros" $(TEST_ARGS)

lint: $(STAMP) ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP) ## Rewrite the sources in the house format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

doctor: $(STAMP) ## Report what is installed, what is missing and how to get it
	@$(BIN)/python -m sim_training.cli doctor

clean: ## Remove build products and caches (keeps .venv, runs and data)
	@rm -rf build dist install log *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find dppo_ros sim_training test launch -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Also remove .venv and .venv-robomimic
	@rm -rf $(VENV) $(ROBOMIMIC)
