# make run PORT=9000, make test ARGS="-k pool": what these variables do is in scripts/.
export PORT POOL_SIZE PYTHON BASE_IMAGE

.DEFAULT_GOAL := help
.PHONY: help run unit test test-faults mutants bench bench-quick check format images engine docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## serve notebooks at http://127.0.0.1:8000/ from this folder, without Docker (PORT=8000 POOL_SIZE=3 ARGS="--cull-timeout=600")
	@exec scripts/run $(ARGS)

unit: ## run the quick tests, or some of them, without engine, proxy or browser (ARGS="tests/unit/core/test_pool.py -k claim")
	@exec scripts/unit $(ARGS)

test: ## run all tests, with a real engine, proxy, image and browser (ARGS="-k pool")
	@exec scripts/test $(ARGS)

test-faults: ## run the fault injection tests: engine, proxy, servers, disk, clock (ARGS="-k proxy")
	@exec scripts/test tests/e2e/faults $(ARGS)

mutants: ## change one line at a time and see which tests notice; all modules take hours (ARGS="claims pool")
	@exec scripts/mutants $(ARGS)

bench: ## compare with JupyterHub and plain docker run, 20 minutes; writes docs/benchmarks (ARGS="--only a d")
	@exec scripts/bench $(ARGS)

bench-quick: ## a shorter run of the same, 4 minutes; writes .cache/bench
	@exec scripts/bench --quick $(ARGS)

check: ## check format, lint and types and run the quick tests, in under a minute
	@exec scripts/check

format: ## format the code
	@scripts/bootstrap --no-node test && .venv/bin/ruff format . && .venv/bin/ruff check --fix .

images: ## build the images of tests and benchmarks in your own engine (BASE_IMAGE: what to build them from)
	@exec scripts/images

engine: ## start a Docker engine and leave it running, if none answers (root)
	@scripts/engine >/dev/null

docs: ## regenerate the generated parts of the documents
	@scripts/bootstrap --no-node test && .venv/bin/python docs/generate.py

clean: ## remove the virtual environment and all caches
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
