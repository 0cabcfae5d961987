#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make demo`: a bench suite that stops at its first failure; what was planned, what ran, what never did, and why.
set -eu
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
demo=$PWD/build/demo
rm -rf "$demo"
mkdir -p "$demo"
cp -r examples/bench_suite/. "$demo/"
cd "$demo"
unset LITMUS_DATA_DIR
export PATH=$bin:$PATH

say() { printf '\n\033[1m%s\033[0m\n' "$*" | { [ -t 1 ] && cat || sed 's/\x1b\[[0-9;]*m//g'; }; }
run() { say "\$ $*"; "$@"; }

say "A bench suite that stops at its first failure:"
status=0
run pytest -q -x --no-header -p no:cacheprovider --litmus-dut-serial SN-0042 || status=$?
[ "$status" -eq 1 ] || { echo "demo: pytest should have failed with 1, it ended with $status" >&2; exit 1; }

say "The whole plan is on record, with what never ran and why:"
run litmus show last --measurements
run litmus runs
say "A gate for a pipeline (exit 1 unless every planned step has a passing verdict):"
run litmus gate last --allow skip_marker || echo "(exit $?)"
say "The same with plain SQL on the Parquet files, no server:"
run python - <<'PY'
import duckdb
print(duckdb.sql("""
    SELECT step_name, vector_index, vector_outcome, never_ran_reason
    FROM read_parquet('data/runs/**/*.parquet')
    WHERE record_type = 'step' ORDER BY step_index, vector_index"""))
PY
say "And nothing is lost when a process dies: a C test executive, killed in its fourth of ten steps:"
root=$OLDPWD
run "${CC:-cc}" -std=gnu17 -I"$root/include" "$root/examples/test_executive.c" -L"$root/build/py" -Wl,-rpath,"$root/build/py" -llitmus -o test_executive
status=0
{ ./test_executive "$demo/data" --die; } 2>/dev/null || status=$?
[ "$status" -eq 137 ] || { echo "demo: the executive should have been killed (137), it ended with $status" >&2; exit 1; }
echo "(killed)"
litmus materialize --all >/dev/null
run litmus show last
