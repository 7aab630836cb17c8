# `make help` lists the commands. Each does its own set-up, by tools/workspace.py.
PYTHON ?= python3
CHOSEN = $(if $(filter-out file,$(origin PYTHON)),WORKSPACE_PYTHON_CHOSEN=1 )
WORKSPACE = $(CHOSEN)$(PYTHON) tools/workspace.py
ARGS ?= test
TEST_MODELS = $(MODELS) shadow-hand
MODELS = mediapipe-palm-full mediapipe-palm-lite mediapipe-hand-full mediapipe-hand-lite mediapipe-person mediapipe-body-full vitpose-tiny-synthetic

.DEFAULT_GOAL := help
.PHONY: help demo test test-convert test-dex test-lerobot test-browser lint pytest bench build models shell clean

help:
	@echo 'make demo [DURATION=20] [SOURCE=video.mp4|/dev/video0]   run a camera (rendered hands, or SOURCE) and the node; files in demo_output/'
	@echo '          [SCRIPT=tour] [HANDS=mediapipe-hand-full]      motion of the rendered hands; hand keypoint model'
	@echo '          [ROBOT=shadow]                                 a simulated Shadow Hand follows: demo_output/robot.mp4 and robot.png'
	@echo 'make test                                                lint, then all tests except those of the next lines'
	@echo 'make lint                                                ruff and mypy'
	@echo 'make test-convert                                        the tests that need torch, which it installs'
	@echo 'make test-dex                                            the tests that need dex_retargeting (and torch)'
	@echo 'make test-lerobot [BESIDE_PYTHON=/path/to/python3.12]    datasets loaded by LeRobot, in an environment of its own (5 GB)'
	@echo 'make test-browser                                        a page of vitpose_ros report in Chromium (apt install chromium)'
	@echo 'make pytest ARGS="test/core -k layouts"                  some tests'
	@echo 'make bench NAME=image_transport [JSON=out.json]          a script of benchmarks/; ARGS="..." are its options'
	@echo 'make build                                               set up and build'
	@echo 'make models                                              download the models for the demo and the tests'
	@echo 'make clean                                               delete the workspace, but not its models'
	@echo
	@echo 'With ROS sourced in the shell, that ROS is used; otherwise ROS 2 Jazzy from wheels, in .workspace/.'
	@echo 'Any other command in this environment: tools/workspace.py run -- CMD'

demo: models
	@$(if $(ROBOT),$(WORKSPACE) run --with robot -- vitpose_ros models pull $(ROBOT)-hand)
	@$(WORKSPACE) run$(if $(ROBOT), --with robot) -- demo $(if $(ROBOT),--robot "$(ROBOT)") $(if $(DURATION),--duration $(DURATION)) $(if $(SOURCE),--source "$(SOURCE)") $(if $(HANDS),--hands "$(HANDS)") $(if $(SCRIPT),--script "$(SCRIPT)") $(if $(filter-out test,$(ARGS)),$(ARGS))

test: lint
	@$(WORKSPACE) run --with test,lint -- vitpose_ros models pull $(TEST_MODELS)
	@$(WORKSPACE) run --with test,lint --own-domain -- pytest test -m 'not convert and not torch and not dex and not lerobot'

test-convert:
	@$(WORKSPACE) run --with test,test-convert -- vitpose_ros models pull $(MODELS)
	@$(WORKSPACE) run --with test,test-convert --own-domain -- pytest test -m 'convert or torch'

test-lerobot:
	@$(if $(BESIDE_PYTHON),BESIDE_PYTHON=$(BESIDE_PYTHON) )$(WORKSPACE) run --with test --beside test-lerobot --own-domain -- pytest test -m lerobot

test-dex:
	@$(WORKSPACE) run --with test,test-dex --own-domain -- pytest test -m dex

test-browser:
	@$(WORKSPACE) run --with test,test-browser --own-domain -- pytest test/core/offline/test_report_page.py

lint:
	@$(WORKSPACE) run --with test,lint -- ruff check .
	@$(WORKSPACE) run --with test,lint -- mypy

pytest:
	@$(WORKSPACE) run --with test --own-domain -- pytest $(ARGS)

bench:
	@test -n "$(NAME)" || { echo 'Which one? make bench NAME=<one of: $(basename $(notdir $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))))>'; exit 2; }
	@$(WORKSPACE) run --with test --own-domain -- python benchmarks/$(NAME).py $(if $(JSON),--json "$(JSON)") $(if $(filter-out test,$(ARGS)),$(ARGS))

build:
	@$(WORKSPACE) build

models:
	@$(WORKSPACE) run -- vitpose_ros models pull $(MODELS)

clean:
	@$(WORKSPACE) clean
