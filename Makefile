# One word per chore. BIN says where the tools are: `make test BIN=` takes them from the path.
BIN ?= .venv/bin/

.PHONY: help check test sim stories bench run style types

help:            ## these words
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

check: style types test  ## all that must hold before a commit (.ci/run does it in a clean copy, with the slow tests)
	$(BIN)lint-imports --no-logo

test:            ## the tests of the default run
	$(BIN)pytest

sim:             ## the simulated cluster; make sim SEEDS=1000 for so many seeds, FROM=5000 from there
	$(if $(SEEDS),$(BIN)python -m tests.simulation --seeds $(SEEDS) --from $(or $(FROM),0),$(BIN)pytest --slow tests/simulation)

stories:         ## write the golden stories anew; read the diff
	$(BIN)pytest --slow --rewrite-stories -k stor

bench:           ## the cluster of cluster.yaml, started for this, measured by warren perf
	$(BIN)python -m broker up --detach --fresh
	-$(BIN)python -m broker perf --seconds 5
	-$(BIN)python -m broker perf --seconds 5 --persistent --confirm 1000 --ack-every 200
	$(BIN)python -m broker down

run:             ## the cluster of cluster.yaml; Ctrl-C ends it
	$(BIN)python -m broker up

style:           ## format, then lint
	$(BIN)ruff format .
	$(BIN)ruff check .

types:           ## mypy --strict
	$(BIN)mypy
