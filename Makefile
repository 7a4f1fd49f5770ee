# make demo   set up everything and run the main job: mpirun -np 2 lmp -in inputs/in.softness
# make test   set up everything, lint, and run all tests but the slow ones
# make test-slow   the slow tests (the packages, the largest systems): minutes
# make lint   ruff, mypy, and the order of imports
# make docs   the documentation, into docs/_build/html
# make bench  benchmarks (see benchmarks/README.md)
# make trust  every promise tried on real runs, under an hour; writes docs/trust.md.  Some rows only:
#             make trust ROWS="R1 R3".  make trust-fast: smaller counts, 5 minutes
# make model  train the shipped models again from the committed glasses
# make matrix  the tests of the coupling on each LAMMPS that can be had: an hour; writes docs/lammps.md
# make study  the paper's figures and claims from the committed glasses, 10 minutes; writes study-output/
#             and docs/reproduction.md
# make gpu    a LAMMPS with KOKKOS on a GPU beside the same on the CPU; "not run" without one
# make mutation  plant faults one at a time, and see whether the tests notice: half an hour

PYTHON ?= python3
PIP     = .venv/bin/python -m pip install --quiet --disable-pip-version-check
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export OMP_NUM_THREADS := 1

.PHONY: demo docs lint test test-slow trust trust-fast bench model setup clean

setup: .venv/ready

.venv/ready: requirements.txt pyproject.toml setup.py $(wildcard cython_ext/*) lammps_mgml/insitu/plugin.cpp
	@echo "== setting up .venv (packages, extensions, LAMMPS plugin)"
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	$(PIP) --no-build-isolation --no-deps -e .
	mgml doctor --build
	@touch $@

.venv/ready-test: .venv/ready requirements-test.txt requirements-docs.txt
	$(PIP) -r requirements-test.txt -r requirements-docs.txt
	@touch $@

demo: .venv/ready
	mkdir -p demo-output
	mpirun -np 2 lmp -in inputs/in.softness -log demo-output/log.lammps
	mgml report demo-output/compression.dump -o demo-output/softness.png -o demo-output/softness.pdf

.venv/ready-docs: .venv/ready requirements-docs.txt
	$(PIP) -r requirements-docs.txt
	@touch $@

docs: .venv/ready-docs
	.venv/bin/python -m sphinx -E -W -n --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

lint: .venv/ready-test
	ruff check
	mypy
	.venv/bin/python -m pytest -q tests/test_layers.py

test: lint
	.venv/bin/python -m pytest -n 2 --dist worksteal -m "not slow" --ignore=tests/test_layers.py --durations=12 \
	    --cov=lammps_mgml --cov-report=term:skip-covered

test-slow: .venv/ready-test
	.venv/bin/python -m pytest -m slow

ROWS ?=

trust: .venv/ready-test
	PYTHONPATH=tests .venv/bin/python -m trust --rows "$(ROWS)"

trust-fast: .venv/ready-test
	PYTHONPATH=tests .venv/bin/python -m trust --fast --rows "$(ROWS)"

.venv/ready-bench: .venv/ready-test requirements-bench.txt
	$(PIP) -r requirements-bench.txt
	@touch $@

bench: .venv/ready-bench
	for m in cuzr-wang13 cuzr cuzr-axial cuzr-axial-hot; do .venv/bin/python benchmarks/insitu.py --model $$m || exit 1; done
	for b in features cells trees offline sizes scaling instructions; do \
	    .venv/bin/python benchmarks/$$b.py || exit 1; done

TRAINING = $(addprefix inputs/glasses/glass-,11.h5 12.h5 21.h5 22.h5 23.h5 24.h5)
UNSEEN = $(addprefix inputs/glasses/glass-,25.h5 26.h5 27.h5 28.h5)
# glasses from which is learnt how the share of plastic atoms goes by that of the soft ones
KINDS = $(TRAINING) $(addprefix inputs/glasses/glass-,13.h5 31.h5 32.h5 41.h5 42.h5 51-aged.h5 52-aged.h5 53-aged.h5)
TRAIN = mgml train $(TRAINING) --unseen $(UNSEEN)

model: .venv/ready
	$(TRAIN) --recipe paper --features table3 --name cuzr-wang13 -o lammps_mgml/models/cuzr-wang13.mgml
	$(TRAIN) --recipe stiff --kinds $(KINDS) --name cuzr -o lammps_mgml/models/cuzr.mgml
	$(TRAIN) --recipe axial-strained --name cuzr-axial -o lammps_mgml/models/cuzr-axial.mgml
	$(TRAIN) --recipe stiff-vibration --name cuzr-vibration -o lammps_mgml/models/cuzr-vibration.mgml
	$(TRAIN) --recipe axial-strained-vibration --name cuzr-axial-vibration \
	    -o lammps_mgml/models/cuzr-axial-vibration.mgml
	$(TRAIN) --recipe axial-strained-hot --name cuzr-axial-hot -o lammps_mgml/models/cuzr-axial-hot.mgml
	for s in fep:0.04 ka:0.03; do mgml train inputs/$${s%:*}/glass-[3-6].h5 --unseen inputs/$${s%:*}/glass-[12].h5 \
	    --strain $${s#*:} --name $${s%:*} -o lammps_mgml/models/$${s%:*}.mgml || exit 1; done

study: .venv/ready
	mgml study inputs/glasses/*.h5 inputs/study/*.h5 --repeats inputs/repeats/*.h5 --model cuzr-wang13 -o study-output --claims docs/reproduction.md

.PHONY: mutation matrix gpu study
gpu: .venv/ready-test
	.venv/bin/python benchmarks/gpu.py

matrix: .venv/ready-test
	.venv/bin/python tests/matrix.py

mutation: .venv/ready-test
	.venv/bin/python tests/mutation/run.py -j 2

clean:
	rm -rf .venv build demo-output study-output docs/_build docs/generated lammps_mgml/_kernels/*.so lammps_mgml/insitu/built *.egg-info
