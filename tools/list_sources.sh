#!/bin/sh
# The files that meson.build takes by their folder, one a line, sorted.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."

# list FOLDER DEPTH NAME...: files under FOLDER, if there is one, that have one of the names
list() {
    folder=$1 depth=$2
    shift 2
    [ -d "$folder" ] || return 0
    for name do
        find "$folder" -maxdepth "$depth" -type f -name "$name" ! -name '.*'
    done
}

{
    for stage in base model emit log channel accumulate materialize query prove evidence retain serve doctor cmd; do
        list "src/$stage" 1 '*.c'
    done
    for suite in unit fault crash tsan; do
        list "tests/$suite" 1 '*.c'
    done
    list tests/fuzz 2 target.c
    list examples 1 '*.c'
    list python/litmus 9 '*.py' '*.pyi' py.typed '*.sql'
    list man 1 '*.[1-9]'
    list completions 1 '*'
    list systemd 1 '*.service' '*.socket'
} | sort -u
