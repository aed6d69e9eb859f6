# netgraft: CI runs the same commands as you.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAY   ?= 1
SHARD  ?= 1/1
OUT    ?= coverage_graphs.jsonl
FAST   := not slow and not gpu and not images
SHARE  := tests/e2e tests/graph tests/ui
SERIAL  = $(sort $(shell grep -rl --include='test_*.py' 'mark\.serial' tests))
BESIDE  = $(SHARE) $(filter-out $(addsuffix /%,$(SHARE)),$(SERIAL))
LANES  := units beside timed
lane    = $(BIN)/python $(if $(COVERAGE),-m slipcover --out .coverage.$(1)) -m pytest
TIMED   = $(sort $(shell grep -rl --include='test_*.py' 'mark\.timed' tests))

# Commands below write missing bytecode, even if this machine's default is not to.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo up test suite coverage ready images-test check format proto layout messages catalogue coverage-zoo clean

help:            ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Our sources are compiled on every run: .installed does not depend on them, and a git pull changes them.
install: $(VENV)/.installed ## make .venv with everything that constraints.txt pins
	@$(BIN)/python -m compileall -q proto services ui

$(VENV)/.installed: pyproject.toml constraints.txt
	@PYTHON='$(PYTHON)' .ci/install
	@touch $@

demo: install    ## carry one sentence out for real, and stay up until Ctrl-C (STAY=0: end; ENGINE=ray)
	$(BIN)/netgraft demo $(if $(ENGINE),--engine $(ENGINE)) $(if $(filter 0,$(STAY)),--no-stay,--stay)

up: install      ## start everything and print the chat page's address
	$(BIN)/netgraft up $(if $(ENGINE),--engine $(ENGINE))

proto: install   ## generate the stubs beside the .proto files
	$(BIN)/python proto/generate.py

messages: install ## collect the sentences of all sources, and compile their catalogues
	$(BIN)/python services/netgraft/language/catalogue.py

layout: install  ## write docs/layout.md from the first lines of the sources
	$(BIN)/python docs/generate.py

check: install   ## check lint, types, and that generated files are fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python proto/generate.py --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/python services/netgraft/language/catalogue.py --check
	nice -n 19 $(BIN)/mypy

format: install  ## format the code and fix what lint can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install    ## run everything that CI runs
	$(MAKE) --no-print-directory -j2 check suite

# Three lanes at once. Two of them wait half of the time for what they have started, one test after the other:
# what shares a Chromium or a netgraft, and what says how soon a netgraft must answer. The unit tests, a thread on
# each core, stand back and fill the rest of the time, as mypy does: to the others the machine looks quiet.
suite: ready     ## run the tests alone
	@failed=0; \
	$(call lane,beside) $(BESIDE) -m "serial and not timed and $(FAST)" >.beside.txt 2>&1 & beside=$$!; \
	$(call lane,timed) $(TIMED) -m "timed and $(FAST)" >.timed.txt 2>&1 & timed=$$!; \
	OMP_NUM_THREADS=1 nice -n 19 $(call lane,units) -n auto --dist worksteal -m "not serial and $(FAST)" || failed=1; \
	wait $$beside || failed=1; wait $$timed || failed=1; cat .beside.txt .timed.txt; \
	exit $$failed

coverage: ready  ## run the tests and count the lines that they reach, in these processes (a tenth slower)
	@failed=0; $(MAKE) --no-print-directory suite COVERAGE=1 || failed=1; \
	$(BIN)/python -m slipcover --merge $(LANES:%=.coverage.%) --out .coverage.all >/dev/null && \
	$(BIN)/python -c 'import json; total = json.load(open(".coverage.all"))["summary"]; \
		print("Coverage: %(percent_covered_display)s %% of the lines, in these processes" % total)'; \
	exit $$failed

ready: install   ## install the browser, fonts and weights that the tests need, if missing
	$(BIN)/python tests/prepare.py

images-test: install ## build both container images and start them (needs Docker or Podman)
	$(BIN)/pytest -m images tests/docker

coverage-zoo: install ## draw, retarget and train a step of every model of the zoo (SHARD=1/4: every fourth; continues where it stopped)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_graphs.py --shard $(SHARD) -o $(OUT)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_heads.py --shard $(SHARD) -o $(OUT:.jsonl=-heads.jsonl)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_symbolic.py --shard $(SHARD) -o $(OUT:.jsonl=-symbolic.jsonl)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_hf.py -o $(OUT:.jsonl=-hf.jsonl)

catalogue: install ## regenerate the model zoo's index from torchvision and timm
	$(BIN)/python -m netgraft.models.zoo.generate
	$(BIN)/python -m netgraft.models.files.generate_fingerprints

clean:           ## remove what make has created (not your models, which are in ~/.netgraft)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
