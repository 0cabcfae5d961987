# Doors only; the build itself is meson.build, the set-up tools/setup.sh. Each works as the first command in a fresh clone.
#   make         set-up and build: .venv/bin/litmus, and .venv/bin/pytest that records
#   make demo    the main job on an example bench suite
#   make test    every test (PYTEST_ARGS="-k name" for some of the Python ones)
#   make bench   the figures beside their peers, and build/bench.json
#   make dev     C only, quick: build/dev (also: make asan, make tsan)
#   make clean   all that was built; make distclean: .venv and fetched sources too
.PHONY: all setup dev asan tsan demo test bench clean distclean
.NOTPARALLEL:

all:
	@tools/build.sh py
	@echo "ready: .venv/bin/pytest records, .venv/bin/litmus answers"

setup:
	@tools/setup.sh

dev asan tsan:
	@tools/build.sh $@

demo: all
	@tools/demo.sh

test: all
	@tools/test.sh

bench: all
	@bench/run

clean:
	rm -rf build

distclean: clean
	rm -rf .venv subprojects/packagecache
	sed -n 's/^directory = //p' subprojects/*.wrap | sed 's|^|subprojects/|' | xargs rm -rf

# Doors that are there once there is something behind them.
ifneq ($(wildcard tools/tidy.py),)
.PHONY: lint
lint: setup
	@.venv/bin/python tools/tidy.py
endif
ifneq ($(wildcard tests/fuzz/run),)
.PHONY: fuzz
fuzz: setup
	@tests/fuzz/run
endif
ifneq ($(wildcard tests/soak/run),)
.PHONY: soak
soak: all
	@tests/soak/run
endif
