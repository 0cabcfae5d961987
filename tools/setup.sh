#!/usr/bin/env bash
# Set-up, in four steps, each skipped when it is done: Debian packages, .venv, Python packages, C sources.
# Called by make; safe to call twice and by two at once. Everything it writes is in .venv, build and subprojects,
# but for the Debian packages. PYTHON names another Python than python3.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
stamp=build/setup.stamp
log=build/setup.log

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# ---- which Debian packages are missing

# library MODULE PACKAGE: PACKAGE is missing unless pkg-config knows MODULE
missing=()
library() {
    if command -v pkg-config >/dev/null; then
        pkg-config --exists "$1" && return 0
    elif [ "$(dpkg-query -W -f '${db:Status-Status}' "$2" 2>/dev/null)" = installed ]; then
        return 0
    fi
    missing+=("$2")
}

find_missing() {
    missing=()
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    command -v gcc >/dev/null || command -v cc >/dev/null || missing+=(gcc)
    printf '#include <stdio.h>\n' | ${CC:-cc} -E -xc - >/dev/null 2>&1 || missing+=(libc6-dev)
    library libzstd libzstd-dev
    library libzip libzip-dev
    library zlib zlib1g-dev
    library liblz4 liblz4-dev
    library libcrypto libssl-dev
    library sqlite3 libsqlite3-dev
    library yaml-0.1 libyaml-dev
    library cmocka libcmocka-dev
    command -v "$python" >/dev/null || missing+=(python3)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    "$python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null ||
        missing+=(python3-dev)
}

install_missing() {
    find_missing
    [ ${#missing[@]} -gt 0 ] || return 0
    local wanted=${missing[*]} as_root=()
    say "missing Debian packages: $wanted"
    command -v apt-get >/dev/null ||
        fail "there is no apt-get here; install what these Debian packages hold, then run make again: $wanted"
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null || { ! sudo -n true 2>/dev/null && [ ! -t 0 ]; }; then
            fail "neither root nor sudo can be used here; have root run: apt-get install $wanted"
        fi
        as_root=(sudo)
    fi
    say "apt-get update"
    ${as_root[@]+"${as_root[@]}"} apt-get update -q >>"$log" 2>&1 ||
        say "apt-get update failed (see $log); trying with the lists that are here"
    say "apt-get install $wanted"
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1 ||
        fail "apt-get install failed (see $log); these Debian packages are missing: $wanted"
    hash -r
    find_missing
    [ ${#missing[@]} -eq 0 ] ||
        fail "$python ($(command -v "$python")) or the compiler still lacks what is in: ${missing[*]}; \
with a Python of your own, give make another: PYTHON=/usr/bin/python3"
}

# ---- .venv and what is in it

make_venv() {
    "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' ||
        fail "building and testing needs Python 3.11 or newer, and $python is $("$python" -V 2>&1)"
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "making .venv with $("$python" -V)"
        rm -rf .venv
        "$python" -m venv .venv >>"$log" 2>&1 || fail "$python -m venv .venv failed (see $log)"
    fi
}

install_python_packages() {
    say "Python packages of requirements-dev.txt"
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
        -r requirements-dev.txt </dev/null 2>&1 | tee -a "$log" |
        sed -un 's/^Collecting \([^ ]*\).*/setup:   \1/p; s/^ERROR: /setup:   /p' ||
        fail "pip could not install requirements-dev.txt (see $log); is the package index reachable from here?"
}

# ---- all of it, once

fingerprint() {
    { cat requirements-dev.txt tools/setup.sh tools/fetch_sources.py subprojects/*.wrap
      find subprojects/packagefiles -type f -print0 | LC_ALL=C sort -z | xargs -0 cat
    } 2>/dev/null | sha256sum
}
folders_there() {
    sed -n 's/^directory = //p' subprojects/*.wrap | while read -r folder; do
        [ -f "subprojects/$folder/meson.build" ] || return 1
    done
}

mkdir -p build
exec 9>build/setup.lock
flock 9
if [ -x .venv/bin/meson ] && [ -f "$stamp" ] && folders_there && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
    exit 0
fi
: >"$log"
install_missing
make_venv
install_python_packages
.venv/bin/python tools/fetch_sources.py --log "$log"
fingerprint >"$stamp"
say "done"
