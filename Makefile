# make demo: the main job on real data.  make test: the tests.  Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.PHONY: demo test check lint types mutants fuzz support techniques bench claims protocol zoo gallery clean

demo: .venv/ready
	$(BIN)/trainsmith compare digits

test: .venv/ready check
	$(BIN)/python -m pytest -n $(WORKERS)

check: .venv/ready lint types

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

mutants: .venv/ready
	$(BIN)/python tests/mutants/run.py

fuzz: .venv/ready
	$(BIN)/python tests/fuzz/run.py --jobs $(WORKERS) --json results/fuzz.json

techniques: .venv/ready
	TECHNIQUES=write $(BIN)/python -m pytest tests/report/test_catalogue_book.py

support: .venv/ready
	SUPPORT=write $(BIN)/python -m pytest tests/population/test_support.py

zoo: .venv/ready
	$(BIN)/python tests/zoo/run.py --jobs $(WORKERS) --json results/zoo.json --page docs/zoo.md

gallery: .venv/ready
	$(BIN)/python docs/gallery/make.py

claims: .venv/ready
	$(BIN)/python results/claims/all.py

protocol: .venv/ready
	$(BIN)/python results/protocol/aa.py
	$(BIN)/python results/protocol/coverage.py
	$(BIN)/python results/protocol/families.py
	$(BIN)/python results/protocol/drawn.py
	$(BIN)/python results/protocol/whole.py
	$(BIN)/python results/protocol/kills.py

bench: .venv/ready
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/compare_digits.py
	$(BIN)/python benchmarks/techniques.py
	$(BIN)/python benchmarks/noise.py
	$(BIN)/python benchmarks/population.py --json results/population.json

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[dev,test]'
	# the tests start many processes, which may be told not to write this down; pip would do it on one core alone
	$(BIN)/python -m compileall -q src
	$(BIN)/python -m compileall -qq -j $(WORKERS) -x '/tests/|/transformers/models/' .venv/lib || true  # torch's for 3.12
	touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
