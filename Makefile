# lumbar-node: `make demo` shows it, `make test` proves it. Both start from a bare
# machine with Python 3.11, make and bash, and are quick the second time.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Bytecode is kept, here and by all that is started from here: without it, each of the many
# processes of the tests compiles its modules anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
TORCH := torch==2.13.0
MIN_COVERAGE := 90
# 0.1.0, from whose image the tests upgrade.
FORMER := 4fb29bf
MANIFESTS := pyproject.toml constraints.txt

# One line a package, so that a person sees that it moves; all of it is in pip.log.
PIP_LOG := $(VENV)/pip.log
SHOW_PROGRESS := 2>&1 | tee -a $(PIP_LOG) | awk '/^(Collecting|Processing|Installing)/ \
    {sub(".*/", "", $$2); print "    " $$1 " " ($$1 == "Installing" ? "..." : $$2); fflush()}' \
    || { tail -n 20 $(PIP_LOG); echo "!!! pip failed; see $(PIP_LOG)"; exit 1; }

.PHONY: help gpu sbom audit install demo test lint typeface schema conformance suite peers viewers other-viewers image image-gpu image-test chaos validate benchmark accuracy train pictures lock clean

help:  ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@deploy/install/venv.sh $(VENV)

$(VENV)/runtime.stamp: $(MANIFESTS) | $(BIN)/python
	@echo "==> installing lumbar-node and what it needs (about 600 MB on disk)"
	@$(PIP) install -c constraints.txt -e . $(SHOW_PROGRESS)
	@touch $@

# torch goes first and alone, so that nothing else can move its version. Compiling all modules
# takes longer than unpacking them, and few are ever imported.
$(VENV)/dev.stamp: $(MANIFESTS) | $(BIN)/python
	@echo "==> installing $(TORCH) (training and its tests; about 200 MB)"
	@$(PIP) install --no-compile -c constraints.txt $(TORCH) $(SHOW_PROGRESS)
	@echo "==> installing lumbar-node with the tools of its tests"
	@$(PIP) install --no-compile -c constraints.txt -e '.[dev,train]' $(SHOW_PROGRESS)
	@touch $@ $(VENV)/runtime.stamp

install: $(VENV)/runtime.stamp  ## install what the node needs into .venv

peers:  ## install the DICOM peers of the tests: Orthanc, DCMTK
	@deploy/install/peers.sh

demo: $(VENV)/runtime.stamp  ## a real series in over DICOM, results back, a table and pictures
	@$(BIN)/python deploy/demo/demo.py

pictures: $(VENV)/runtime.stamp  ## make the pictures of both READMEs from the demo's series
	@rm -rf build/pictures
	@$(BIN)/lumbar-node analyse deploy/demo/series --out build/pictures
	@mkdir -p docs/pictures && cp build/pictures/overlay.png docs/pictures/overlay.png
	@$(BIN)/lumbar-node analyse deploy/demo/series --out build/pictures --language zh-CN
	@cp build/pictures/overlay.png docs/pictures/overlay.zh-CN.png

lint: $(VENV)/dev.stamp  ## ruff, mypy --strict, import contracts
	@echo "==> ruff";         $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "==> mypy";         $(BIN)/mypy
	@echo "==> import-linter"; $(BIN)/lint-imports

# From Debian's package fonts-noto-cjk; needed after a language has got new characters.
typeface: $(VENV)/dev.stamp  ## cut the type face of captures anew to what the languages use
	@$(BIN)/python deploy/typeface/cut.py analysis/contract/typeface/NotoSansSC-cut.otf

schema: $(VENV)/dev.stamp  ## write the schema of the settings anew
	@$(BIN)/python -m dicom_node.settings.schema config/node.schema.json

conformance: $(VENV)/dev.stamp  ## make the tables of docs/conformance.md and docs/inputs.md anew
	@$(BIN)/python -m dicom_node.cli.conformance docs/conformance.md docs/inputs.md

# The suite runs against the wheel, from a folder without the packages, so that the
# checkout cannot shadow what is installed. Many tests wait for a node, so two processes
# for each processor run them; what these would each compile is compiled once.
suite: export LUMBAR_LINES_OF = $(CURDIR)/build/site
suite: $(VENV)/dev.stamp peers  ## pytest with branch coverage, against the built wheel
	@deploy/install/wheel_suite.sh build
	@cd build/suite; mkdir ../lines; python=$(CURDIR)/$(BIN)/python; \
	    export PYTHONPATH=$(CURDIR)/build/site:$(CURDIR)/build/suite/tests/support/line_coverage; \
	    $$python -m pytest --collect-only -qq --numprocesses 0 >/dev/null || true; \
	    { LUMBAR_LINE_COUNTS=$(CURDIR)/build/lines $$python -m pytest \
	    --numprocesses $$(( $$(nproc) * 2 )) --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations=25 \
	    $(PYTEST_ARGS) || $(CURDIR)/deploy/install/second_try.sh $$python; }; \
	    $$python -m tests.support.line_coverage.report ../lines ../site $(MIN_COVERAGE)

# Packages of Python and of Debian come at the same time. mypy needs one processor for a
# minute, in which the other prepares the suite.
test: $(BIN)/python  ## everything that CI runs
	@$(MAKE) --no-print-directory -j2 $(VENV)/dev.stamp peers
	@$(MAKE) --no-print-directory -j2 lint suite

benchmark: $(VENV)/dev.stamp peers  ## measure; figures belong into docs/benchmarks.md
	@for file in tests/benchmarks/*.py; do echo "==> $$file"; \
	    PYTHONPATH=. $(BIN)/python $$file; done

image:  ## build the image lumbar-node, without a daemon (root on Debian; minutes)
	@deploy/image/build.sh lumbar-node:latest

image-gpu:  ## build the image lumbar-node:gpu, with torch and what it needs of CUDA (gigabytes; never run on a GPU)
	@EXTRAS='[gpu]' deploy/image/build.sh lumbar-node:gpu

# A command of its own: three versions of a viewer take longer than the suite may.
viewers: $(VENV)/dev.stamp peers  ## show the report in OHIF 3.11, 3.12 and 3.13, and write it into docs/viewers.md
	@deploy/install/viewer.sh 3.11.1 3.12.10 3.13.2
	@PYTHONPATH=. $(BIN)/python -m tests.viewer.versions docs/viewers.md

# A command of its own: its viewers are 100 MB of npm.
other-viewers: $(VENV)/dev.stamp peers  ## show every result in dwv, Cornerstone3D and Orthanc's viewer, and write it into docs/viewers.md
	@deploy/install/other_viewers.sh
	@PYTHONPATH=. $(BIN)/python -m tests.viewer.others docs/viewers.md

# A command of its own: building takes longer than the suite may.
image-test: $(VENV)/dev.stamp peers image  ## run image, composition and unit, and upgrade from the former image
	@rm -rf build/image/former && mkdir -p build/image/former
	@git archive $(FORMER) | tar -x -C build/image/former
	@deploy/image/build.sh lumbar-node:former build/image/former
	@deploy/image/build.sh lumbar-node:machine . tests/image/machine.Dockerfile
	@LUMBAR_IMAGE_STORE=$(CURDIR)/build/image/environment PYTHONPATH=. $(BIN)/python -m pytest \
	    --numprocesses 0 tests/image $(PYTEST_ARGS)

chaos: $(VENV)/dev.stamp peers  ## disturb a running node at random, 1000 times (an hour); see docs/reliability.md
	@PYTHONPATH=. nice -n 5 $(BIN)/python -m tests.chaos --rounds 1000 --seed 1

validate: $(VENV)/dev.stamp  ## write docs/conformance-cases.md: every case, validated (an hour or more)
	@PYTHONPATH=. nice -n 5 $(BIN)/python -m tests.conformance.every_case docs/conformance-cases.md

# Eight minutes at most; docs/gpu.md says what is known without one.
gpu: $(VENV)/dev.stamp  ## run the networks on a GPU and write docs/gpu.md (needs one)
	@$(BIN)/python -m pytest -q -n0 tests/unit/analysis/inference
	@PYTHONPATH=. $(BIN)/python -m tests.benchmarks.gpu

accuracy: $(VENV)/dev.stamp  ## write docs/accuracy.md from public_test (needs ../shared/data)
	@$(BIN)/lumbar-node-train evaluate --data ../shared/data --out docs/accuracy
	@PYTHONPATH=. $(BIN)/python -m tests.accuracy.report docs/accuracy docs/accuracy.md

train: $(VENV)/dev.stamp  ## train the network anew (hours; needs ../shared/data)
	@$(BIN)/lumbar-node-train $(TRAIN_ARGS)

# Tools of their own versions, in a place of their own: nothing of them is installed.
AUDIT := build/audit
$(AUDIT)/bin/cyclonedx-py:
	@deploy/install/venv.sh $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check install -q cyclonedx-bom==7.5.0 pip-audit==2.10.1

build/runtime/bin/lumbar-node: $(MANIFESTS)
	@rm -rf build/runtime && deploy/install/venv.sh build/runtime
	@build/runtime/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt .

sbom: build/runtime/bin/lumbar-node $(AUDIT)/bin/cyclonedx-py  ## write build/sbom.cdx.json: all that the node is made of
	@$(AUDIT)/bin/cyclonedx-py environment build/runtime/bin/python --pyproject pyproject.toml \
	    --output-reproducible --of JSON -o build/sbom.cdx.json
	@echo "    build/sbom.cdx.json"

audit: build/runtime/bin/lumbar-node $(AUDIT)/bin/cyclonedx-py  ## ask for known vulnerabilities of it (needs the network)
	@build/runtime/bin/python -m pip freeze --exclude-editable | grep == | grep -v '^lumbar' > build/runtime.txt
	@$(AUDIT)/bin/pip-audit --disable-pip --no-deps -r build/runtime.txt

lock:  ## resolve the dependencies anew and write constraints.txt
	@rm -rf build/lock && deploy/install/venv.sh build/lock
	@build/lock/bin/python -m pip install -q $(TORCH)
	@build/lock/bin/python -m pip install -q -e '.[dev,train]'
	@{ echo "# Made by: make lock"; build/lock/bin/python -m pip freeze --exclude-editable \
	    | sed 's/+cpu$$//'; } > constraints.txt

clean:  ## remove what can be made again
	@awk '$$2 ~ "^$(CURDIR)/build/image/" {print $$2}' /proc/mounts | sort -r | xargs -r umount
	@rm -rf build dist .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@rm -rf $(VENV)
