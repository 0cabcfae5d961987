# Doors only; the build itself is meson.build, the set-up tools/setup.sh. Each works as the first command in a fresh clone.
#   make         set-up and build: .venv/bin/litmus, and .venv/bin/pytest that records
#   make demo    the main job on an example bench suite
#   make test    every test (PYTEST_ARGS="-k name" for some of the Python ones)
#   make bench   the figures beside their peers, and build/bench.json
#   make fuzz    each fuzz target for a while (TARGET=fold SECONDS=600); docs/fuzzing.md
#   make interop  Apache Spark reads lake and run files and answers as litmus sql does (installs it, 320 MB, at the first call)
#   make soak    the crash suite at full size, and build/soak.json (SOAK_MINUTES=30)
#   make dev     C only, quick: build/dev (also: make asan, make tsan)
#   make install  program, library, header, pages, completion and units below PREFIX=/usr/local (DESTDIR= for packagers)
#   make clean   all that was built; make distclean: .venv and fetched sources too
.PHONY: all setup dev asan tsan demo test bench install clean distclean
.NOTPARALLEL:

all:
	@tools/build.sh py
	@if [ -x .venv/bin/litmus ]; then echo "ready: .venv/bin/pytest records, .venv/bin/litmus answers"; fi

setup:
	@tools/setup.sh

dev asan tsan:
	@tools/build.sh $@

demo: all
	@if [ -x tools/demo.sh ]; then exec tools/demo.sh; else echo "make demo: tools/demo.sh is missing" >&2; exit 1; fi

test: all
	@tools/test.sh

bench: all
	@if [ -x bench/run ]; then exec bench/run; else echo "make bench: bench/run is missing" >&2; exit 1; fi

PREFIX ?= /usr/local
install:
	@PREFIX="$(PREFIX)" tools/build.sh release
	@DESTDIR="$(DESTDIR)" .venv/bin/meson install -C build/release --quiet --no-rebuild --skip-subprojects
	@echo "installed: $(DESTDIR)$(PREFIX)/bin/litmus"

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
	@TARGET="$(TARGET)" SECONDS_EACH="$(SECONDS)" .venv/bin/python tests/fuzz/run
endif
ifneq ($(wildcard tests/interop/run),)
.PHONY: interop
interop: all
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python tests/interop/run
endif
ifneq ($(wildcard tests/soak/run),)
.PHONY: soak
soak: all
	@SOAK_MINUTES="$(SOAK_MINUTES)" .venv/bin/python tests/soak/run
endif
