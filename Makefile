# Two commands: `make certify` and `make test`. Both make .venv first, with Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
REPORT ?= backend-activity-report
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 1
BIN := $(VENV)/bin

.PHONY: certify test test-long test-all real proof check canary fuzz mutation benchmarks clean

# The bundled reference driver on both simulated backends and on files, and two publications of real systems.
certify: $(VENV)/.installed
	$(BIN)/pytest conformance/ -q -n $(JOBS) --report $(REPORT) --driver reference \
	  --attributes conformance/publications/zfs_send.toml \
	  --attributes conformance/publications/scsi_extended_copy.toml

# The program's own tests and checks.
test: check
	$(BIN)/pytest tests/ -q -n $(JOBS) -m "not long"

# The longer proofs: many seeds, whole runs on real files.
test-long: $(VENV)/.installed
	$(BIN)/pytest tests/ -q -n $(JOBS) -m long

test-all: test test-long

# The suites on targets that are not ours, tgt and LIO; one that can't be had here is skipped, and the summary says why.
real: $(VENV)/.installed
	$(BIN)/python -m tests.real_targets.suites --jobs $(JOBS) --report $(REPORT)-real tgt lio

# The proof of the suites on many seeds: 200 for each honest driver, 20 for each faulty one. Takes about an hour and a half.
proof: $(VENV)/.installed
	$(BIN)/python -m tests.proof.many_seeds --jobs $(JOBS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A driver that has to fail; this target succeeds only if it does, as non-conformant.
canary: $(VENV)/.installed
	@$(BIN)/pytest conformance/ -q -n $(JOBS) --report $(REPORT)-canary --testbed iscsi-sim \
	  --driver conformance.faulty.quiescing:CrawlingSnapshot > $(VENV)/canary.log 2>&1; status=$$?; \
	  if [ $$status -eq 1 ]; then echo "canary: found, as it has to be"; \
	  else cat $(VENV)/canary.log; echo "canary: exit status $$status, expected 1 (non-conformant)"; exit 1; fi

# The readers of publications, reports and schedules, for so many seconds of processor time; another seed looks elsewhere.
fuzz: $(VENV)/.installed
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

# The harness's own checkers, broken in many small ways on a copy of the repository; takes about an hour.
mutation: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mutation]'
	$(BIN)/python -m tests.mutate

benchmarks: $(VENV)/.installed
	$(BIN)/python -m benchmarks.certify
	$(BIN)/python -m benchmarks.fidelity
	$(BIN)/python -m benchmarks.speed

clean:
	rm -rf $(VENV) $(REPORT) $(REPORT)-canary $(REPORT)-real

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
