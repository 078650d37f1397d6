# Two commands: `make certify` and `make test`. Both make .venv first, with Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
REPORT ?= backend-activity-report
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 1
PROOF_MINUTES ?=
TARGETS ?= tgt ganesha lio
BIN := $(VENV)/bin

.PHONY: certify test test-cinder test-lvm certify-cinder test-long test-all real test-real test-native-lio proof proof-honest check canary fuzz mutation benchmarks clean

# The bundled reference driver on both simulated backends and on files, and two publications of real systems.
certify: $(VENV)/.installed
	$(BIN)/pytest conformance/ -q -n $(JOBS) --report $(REPORT) --driver reference \
	  --attributes conformance/publications/zfs_send.toml \
	  --attributes conformance/publications/scsi_extended_copy.toml

# The program's own tests and checks; those of real targets are test-real's.
test: check
	$(BIN)/pytest tests/ -q -n $(JOBS) -m "not long" --ignore=tests/real_targets

# The tests of hosted Cinder drivers. Cinder and what it needs take about 300 MB, so they are installed for these alone.
test-cinder: $(VENV)/.cinder
	$(BIN)/pytest tests/hosting -q -n $(JOBS) -m "not long"

# Cinder's LVM driver on real LVM and real LIO, in the virtual machine: some minutes; skipped where QEMU is not installed.
test-lvm: $(VENV)/.cinder
	$(BIN)/pytest tests/hosting -q -m long

# Cinder's own LVM driver on thin and on thick volumes, its NFS and its SolidFire driver, unmodified: what they do here is
# for reading, so that a verdict other than conformant (exit status 1 or 6) is no error of this target.
certify-cinder: $(VENV)/.cinder
	@for each in lvm.LVMVolumeDriver:lvm_thin lvm.LVMVolumeDriver:lvm_thick nfs.NfsDriver:nfs \
	    solidfire.SolidFireDriver:solidfire; do \
	  $(BIN)/activity-harness certify -n $(JOBS) --report $(REPORT)-$${each#*:} \
	    --driver cinder.volume.drivers.$${each%:*} --driver-config harness/cinder/configurations/$${each#*:}.toml; \
	  status=$$?; case $$status in 0|1|6) ;; *) exit $$status;; esac; \
	done

# The longer proofs: many seeds, whole runs on real files.
test-long: $(VENV)/.installed
	$(BIN)/pytest tests/ -q -n $(JOBS) -m long --ignore=tests/real_targets

# About two hours on two cores: also the longer proofs, real targets, fuzzing, and the honest drivers on 200 seeds. It
# leaves out hosted drivers where Cinder is not installed (test-cinder, test-lvm), the suites (certify, certify-cinder,
# real), the rest of proof, and mutation.
test-all: test test-long test-real test-native-lio fuzz proof-honest

# The suites on targets that are not ours: tgt, nfs-ganesha, LIO; one that can't be had here is skipped, and the summary says why.
real: $(VENV)/.installed
	$(BIN)/python -m tests.real_targets.suites --jobs $(JOBS) --report $(REPORT)-real $(TARGETS)

# What is particular to each of these targets, and libiscsi's own tests on them; the summary names what is skipped.
test-real: $(VENV)/.installed
	$(BIN)/pytest tests/real_targets -q -n $(JOBS) -rs --ignore=tests/real_targets/test_native_lio.py

# LIO of a host itself, proved in a virtual machine that stands for the host: some minutes on an idle machine.
test-native-lio: $(VENV)/.installed
	$(BIN)/pytest tests/real_targets/test_native_lio.py -q -rs

# The proof of the suites on many seeds: 200 for each honest driver, 20 for each faulty one, and 20 under schedules. Takes
# many hours; Ctrl-C ends it, and the next call goes on where it was (.proof/) as long as the code is the same.
proof: $(VENV)/.installed
	$(BIN)/python -m tests.proof.many_seeds --jobs $(JOBS)

# The first part of it, the honest drivers; with PROOF_MINUTES what is left then is left to the next call, and no error.
proof-honest: $(VENV)/.installed
	@$(BIN)/python -m tests.proof.many_seeds --jobs $(JOBS) --only "honest drivers" $(PROOF_MINUTES:%=--minutes %); \
	  status=$$?; [ $$status -eq 0 ] || [ "$$status$(PROOF_MINUTES:%=, limited)" = "3, limited" ]

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

$(VENV)/.cinder: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,cinder]'
	@touch $@

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
