# The two commands: `make lab` and `make test`. Both begin from nothing but root, Python 3.11 and the registries.
PY := .venv/bin/python
.DEFAULT_GOAL := program
.PHONY: program setup-test lab test test-long test-survival test-hostile fuzz mutants check format ui screenshots wheel bench-lab setup-bench bench-programs bench-instructions bench-dns bench-net bench-churn bench-policy bench-editor lock clean

program:            ## what the program needs; leaves it at .venv/bin/namewall
	@scripts/setup

setup-test:
	@scripts/setup test

lab: program        ## plays the page against real processes; ARGS=--shell leaves you in a shell
	@$(PY) -m lab.play $(ARGS)

check: setup-test   ## formatting, lint, layers, types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy

# What needs nothing of the host runs on all cores; the rest shares the kernel, and runs one by one (tests/conftest.py).
TOGETHER := -n auto --dist worksteal
# Where single tests take half an hour, no core is given a second one while another is idle.
ONE_BY_ONE := -n auto --dist load --maxschedchunk 1

test: check         ## everything that ends within 20 minutes on 2 cores
	$(PY) -m pytest -m "not long and not host" $(TOGETHER) $(ARGS)
	$(PY) -m pytest -m "not long and host" $(ARGS)

test-long: check    ## all of it, what policy means over 100,000 generated worlds, the tools that read it over 10,000
	NAMEWALL_EXAMPLES=100000 $(PY) -m pytest -m "not host" $(ONE_BY_ONE) $(ARGS)
	$(PY) -m pytest -m host $(ARGS)

mutants: setup-test  ## one-line mutants of what decides; ARGS="--sample 100" for some of them
	nice -n 10 $(PY) scripts/mutants.py $(ARGS)

test-survival: setup-test  ## 500 questions a second through kill -9, ABSENCE=60 seconds, restart and upgrades
	$(PY) -m pytest -s -m long tests/survival $(ARGS)

test-hostile: setup-test   ## what a workload with root and raw sockets may try; FLOOD=1000000 packets
	$(PY) -m pytest -s -m long tests/hostile $(ARGS)

COUNT ?= 1000000
fuzz: setup-test    ## COUNT=1000000 DNS messages beside dnspython and a quarter of that in frames; ARGS="--seed N"
	nice -n 10 $(PY) -m tests.fuzz --count $(COUNT) $(ARGS)

format: setup-test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

ui: setup-test      ## the editor's page from ui/ into the package; commit what it writes
	$(PY) scripts/build_ui.py

screenshots: setup-test  ## the editor's five main views into docs/screenshots, of the page's own lab
	$(PY) -m tests.ui.screenshots

wheel: setup-test   ## dist/namewall-*.whl, with the compiled BPF object inside
	$(PY) -m build --wheel

bench-policy: setup-test  ## the policy core at 1,000 x 1,000 and 5,000 x 10,000, beside Cilium's engine; needs no root
	$(PY) -m bench.policy

bench-lab: setup-test
	$(PY) -m bench.lab

setup-bench:
	@scripts/setup bench

bench-programs: setup-bench  ## nanoseconds of each BPF program on one packet, hot and cold
	$(PY) -m bench.programs $(ARGS)

bench-instructions: setup-bench  ## what the verifiers of this kernel and of 6.1 count; rewrites docs/benchmarks.md
	$(PY) -m bench.instructions

bench-dns: setup-bench  ## questions a second and latency under policies, beside forwarders; ARGS="--rounds 9"
	$(PY) -m bench.dns $(ARGS)

bench-net: setup-bench  ## iperf3, connections and small packets under policies
	$(PY) -m bench.net $(ARGS)

bench-churn: setup-bench  ## addresses that never stay, a flood of names, 10,000 patterns; ARGS=--long: the full size
	$(PY) -m bench.churn $(ARGS)

bench-editor: setup-test  ## the policy editor: cold start, judging 2,000 lines, what the page loads, 500 flows a second
	$(PY) -m bench.editor
	$(PY) -m bench.live_page

lock: setup-test    ## requirements.lock from pyproject.toml
	$(PY) -m piptools compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras -o requirements.lock pyproject.toml

clean:
	rm -rf build dist .cache
