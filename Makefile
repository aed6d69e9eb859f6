# netgraft: the command you run is the one CI runs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAY   ?= 1
SHARD  ?= 1/1
OUT    ?= coverage_graphs.jsonl
FAST   := not slow and not gpu and not images
COVER  := $(BIN)/python -m slipcover

# What runs from here leaves bytecode where some is missing, whatever this machine's default is.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo up test suite ready images-test check format proto layout messages catalogue coverage-zoo clean

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Own sources are compiled whenever they changed, which .installed does not notice after a git pull.
install: $(VENV)/.installed ## make .venv with everything that constraints.txt pins
	@$(BIN)/python -m compileall -q proto services ui

$(VENV)/.installed: pyproject.toml constraints.txt
	@PYTHON='$(PYTHON)' .ci/install
	@touch $@

demo: install    ## one sentence, carried out for real; stays up until Ctrl-C (STAY=0: ends)
	$(BIN)/netgraft demo $(if $(filter 0,$(STAY)),--no-stay,--stay)

up: install      ## start everything and print the chat page's address
	$(BIN)/netgraft up

proto: install   ## generate the stubs beside the .proto files
	$(BIN)/python proto/generate.py

messages: install ## collect the sentences of all sources, and compile their catalogues
	$(BIN)/python services/netgraft/language/catalogue.py

layout: install  ## write docs/layout.md from the first lines of the sources
	$(BIN)/python docs/generate.py

check: install   ## lint, types and freshness of what is generated
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python proto/generate.py --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/python services/netgraft/language/catalogue.py --check
	$(BIN)/mypy

format: install  ## format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install    ## everything that CI runs
	$(MAKE) --no-print-directory -j2 check suite

# Units on all cores, a thread each; then what starts Ray or Chromium, one at a time.
suite: ready     ## the tests alone
	@failed=0; \
	OMP_NUM_THREADS=1 $(COVER) --out .coverage.units -m pytest -n auto --dist worksteal \
		-m "not serial and $(FAST)" || failed=1; \
	$(COVER) --out .coverage.serial -m pytest -m "serial and $(FAST)" || failed=1; \
	$(COVER) --merge .coverage.units .coverage.serial --out .coverage.all >/dev/null || failed=1; \
	$(BIN)/python -c 'import json; total = json.load(open(".coverage.all"))["summary"]; \
		print("Coverage: %(percent_covered_display)s %% of the lines, in these processes" % total)'; \
	exit $$failed

ready: install   ## a browser, fonts and weights for the tests, where they are missing
	$(BIN)/python tests/prepare.py

images-test: install ## build both container images and start them (needs an engine)
	$(BIN)/pytest -m images tests/docker

coverage-zoo: install ## draw, retarget and train a step of every model of the zoo (SHARD=1/4: every fourth; goes on where it stopped)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_graphs.py --shard $(SHARD) -o $(OUT)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_heads.py --shard $(SHARD) -o $(OUT:.jsonl=-heads.jsonl)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_symbolic.py --shard $(SHARD) -o $(OUT:.jsonl=-symbolic.jsonl)
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage_hf.py -o $(OUT:.jsonl=-hf.jsonl)

catalogue: install ## write the model zoo's index anew from torchvision and timm
	$(BIN)/python -m netgraft.models.zoo.generate
	$(BIN)/python -m netgraft.models.files.generate_fingerprints

clean:           ## remove what was made here (not your models: those are in ~/.netgraft)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
