#!/usr/bin/env bash
# tools/build.sh py|dev|asan|tsan|release: configure when needed, compile; nothing to do takes no time.
#   py    the wheel (release) in build/dist, installed into .venv: .venv/bin/litmus and the litmus package
#   dev   build/dev: library, program, C tests and examples, debugoptimized
#   asan  build/asan: the same under address and undefined behaviour sanitizers
#   tsan  build/tsan: the same under the thread sanitizer
#   release  build/release: library and program without tests, for PREFIX (`make install` puts them there)
set -euo pipefail
cd "$(dirname "$0")/.."
PREFIX=${PREFIX:-/usr/local}
kind=${1:?which build: py, dev, asan, tsan or release}

fail() {
    printf 'build: %s\n' "$*" >&2
    exit 1
}
tools/setup.sh
PATH=$PWD/.venv/bin:$PATH
mkdir -p build
exec 8>"build/$kind.lock"
flock 8

# Files that were there last time, against those that are there now.
sources=build/$kind.sources
tools/list_sources.sh >"$sources.now"
list_changed() { ! cmp -s "$sources" "$sources.now"; }

wheel_is_current() {
    [ -f build/py.stamp ] && [ -d build/py ] && [ -n "$(find build/dist -name '*.whl' 2>/dev/null)" ] && ! list_changed &&
        [ -z "$(find src include python/litmus man completions subprojects/packagefiles subprojects/*.wrap \
            meson.build meson.options pyproject.toml build/setup.stamp \
            -newer build/py.stamp -type f ! -name '*.pyc' 2>/dev/null | head -n 1)" ] &&
        [ -n "$(find .venv/lib -maxdepth 3 -name 'litmus_recorder-*.dist-info' 2>/dev/null)" ]
}

build_wheel() {
    if [ ! -f python/litmus/_plugin.py ] || [ ! -f python/litmus/_litmus.c ]; then
        printf 'build: _plugin.py or _litmus.c is not in python/litmus; half a package would break every pytest: not installed\n'
        return 0
    fi
    wheel_is_current && return 0
    printf 'build: litmus into .venv (log: build/py.log)\n'
    touch build/py.stamp.new
    rm -rf build/dist
    if ! { python -m pip wheel --disable-pip-version-check --no-build-isolation --no-deps --no-cache-dir -v \
        -Cbuild-dir=build/py -w build/dist . &&
        python -m pip install --disable-pip-version-check --no-deps --no-index --force-reinstall build/dist/*.whl; } \
        </dev/null >build/py.log 2>&1; then
        grep -nE 'error:|ERROR|FAILED:|undefined reference' build/py.log | head -n 40 >&2 || true
        fail "the package does not build; the whole story is in build/py.log"
    fi
    mv build/py.stamp.new build/py.stamp
    mv "$sources.now" "$sources"
}

build_tree() {
    local folder=build/$kind options=()
    case $kind in
    dev) options=(-Dbuildtype=debugoptimized) ;;
    asan) options=(-Dbuildtype=debugoptimized -Db_sanitize=address,undefined) ;;
    tsan) options=(-Dbuildtype=debugoptimized -Db_sanitize=thread) ;;
    release) options=(-Dbuildtype=release -Dtests=disabled --prefix "$PREFIX") ;;
    *) fail "no such build: $kind (py, dev, asan, tsan, release)" ;;
    esac
    if [ ! -f "$folder/build.ninja" ]; then
        printf 'build: configuring %s\n' "$folder"
        rm -rf "$folder"
        meson setup "$folder" "${options[@]}" >"build/$kind.log" 2>&1 ||
            { tail -n 20 "build/$kind.log" >&2; fail "meson setup failed; the whole story is in build/$kind.log"; }
    elif list_changed || [ build/setup.stamp -nt "$sources" ] || [ "$kind" = release ]; then
        printf 'build: configuring %s again\n' "$folder"
        meson setup --reconfigure "$folder" "${options[@]}" >"build/$kind.log" 2>&1 ||
            { tail -n 20 "build/$kind.log" >&2; fail "meson setup failed; the whole story is in build/$kind.log"; }
    fi
    mv "$sources.now" "$sources"
    ninja -C "$folder" --quiet || fail "$folder does not compile; see above"
}

if [ "$kind" = py ]; then
    build_wheel
else
    build_tree
fi
