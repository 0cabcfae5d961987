#!/usr/bin/env bash
# Every test: C programs under sanitizers, then the Python suites. PYTEST_ARGS is handed to pytest.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

# Our own runs are recorded too, but not in the home of who runs them. LITMUS_HOME, not LITMUS_DATA_DIR, which
# would win over the litmus.yaml of tests that bring one.
unset LITMUS_DATA_DIR
export LITMUS_HOME=$PWD/build/test-data
export PATH=$PWD/.venv/bin:$PATH
mkdir -p "$LITMUS_HOME"

c_tests() {
    tools/build.sh "$1" || { failed+=("the $1 build"); return; }
    printf 'test: C tests, %s\n' "$2"
    .venv/bin/meson test -C "build/$1" --no-rebuild --print-errorlogs "${@:3}" ||
        failed+=("C tests ($1, log: build/$1/meson-logs/testlog.txt)")
}

.venv/bin/python tools/tidy.py || failed+=('house rules')
.venv/bin/python tools/gen_docs.py --check || failed+=('docs made from the tables')

c_tests asan 'address and undefined behaviour sanitizers'
.venv/bin/python tools/second_compiler.py || failed+=('warnings of the second compiler')
if compgen -G 'tests/tsan/test_*.c' >/dev/null; then
    c_tests tsan 'thread sanitizer' --suite tsan
fi

c_tests dev 'as built' --num-processes 6 'system_calls*' # they wait more than they work
folders=()
for folder in python/tests tests; do
    if [ -n "$(find "$folder" -name 'test_*.py' -print -quit 2>/dev/null)" ]; then folders+=("$folder"); fi
done
if [ ${#folders[@]} -eq 0 ]; then
    printf 'test: no Python tests in python/tests and tests\n'
else
    printf 'test: Python tests\n'
    # shellcheck disable=SC2086 # PYTEST_ARGS is a list of words
    .venv/bin/pytest -q -n 2 "${folders[@]}" ${PYTEST_ARGS:-} </dev/null || failed+=('Python tests')
fi

if [ ${#failed[@]} -gt 0 ]; then
    printf 'test: FAILED:'
    printf ' %s;' "${failed[@]}"
    printf '\n'
    exit 1
fi
printf 'test: all passed\n'
