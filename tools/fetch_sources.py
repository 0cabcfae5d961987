#!/usr/bin/env python3
"""Fetch the C sources named in subprojects/*.wrap: download, check, unpack, lay our meson.build and our changes over them.

The sources come as source distributions of Python packages, through pip. Before pip hands one over it asks the
package's own build backend for metadata, which would cost a build environment (Cython, CMake, a C++ compiler) and most
of a minute each. The answer is in the archive already (PKG-INFO), so a backend of a few lines gives that one. Nothing
of the packages runs here, and no archive is opened by us before its SHA-256 is right.
"""

import argparse
import configparser
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUBPROJECTS = ROOT / "subprojects"
CACHE = SUBPROJECTS / "packagecache"

BACKEND = '''
import os, shutil

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = "source.dist-info"
    os.mkdir(os.path.join(metadata_directory, folder))
    shutil.copy("PKG-INFO", os.path.join(metadata_directory, folder, "METADATA"))
    return folder
'''
BACKEND_FILES = [
    "mesonpy.py",
    "scikit_build_core/build.py",
    "setuptools/build_meta.py",
]


class SetupError(Exception):
    """What went wrong, in one sentence for the person at the terminal."""


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(requirement, log):
    """Have pip put the source distribution into the cache."""
    with tempfile.TemporaryDirectory() as folder:
        for name in BACKEND_FILES:
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            if path.parent != Path(folder):
                (path.parent / "__init__.py").touch()
            path.write_text(BACKEND)
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--progress-bar", "off"]
        command += ["--no-deps", "--no-build-isolation", "--no-binary", requirement.split("==")[0]]
        command += ["--dest", str(CACHE), requirement]
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": folder},
        )
    if result.returncode:
        raise SetupError(
            f"pip could not download {requirement} (see {log.name}); is the package index reachable from here?"
        )


def apply_diff(diff, folder):
    """Lay a unified diff over a folder, to the letter: what it takes away, with what stands around that, is there once."""
    path = before = after = None
    for line in [*diff.read_text().splitlines(keepends=True), "@@"]:
        if line.startswith(("@@", "--- ")):
            if before:
                text = path.read_text()
                if text.count(before) != 1:
                    raise SetupError(f"{diff.name} does not fit {path.name}, at the place that begins with: {before.splitlines()[0]}")
                path.write_text(text.replace(before, after))
            before = after = ""
        elif line.startswith("+++ "):
            path = Path(folder, line.split()[1].partition("/")[2])
        else:
            before += line[1:] if line[0] in " -" else ""
            after += line[1:] if line[0] in " +" else ""


def unpack(archive, directory, overlay, diff):
    """Unpack beside the target and move it there, so that a half-unpacked folder is never taken for a whole one."""
    target = SUBPROJECTS / directory
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        # Debian bookworm's Python 3.11.2 does not know filters; the archive is the pinned one in any case.
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        with tarfile.open(archive) as tar:
            tar.extractall(folder, **safe)
        # Meson lets no build file reach into a folder of this name.
        if Path(folder, directory, "subprojects").is_dir():
            os.rename(Path(folder, directory, "subprojects"), Path(folder, directory, "nested"))
        shutil.copytree(overlay, Path(folder, directory), dirs_exist_ok=True)
        if diff is not None:
            apply_diff(diff, Path(folder, directory))
        shutil.rmtree(target, ignore_errors=True)
        os.rename(Path(folder, directory), target)


def fetch(wrap_file, log):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(wrap_file)
    wrap = parser["wrap-file"]
    name, _, version = wrap["directory"].rpartition("-")
    archive = CACHE / wrap["source_filename"]
    if not archive.exists() or sha256(archive) != wrap["source_hash"]:
        archive.unlink(missing_ok=True)
        print(f"setup:   downloading {name} {version}", flush=True)
        download(f"{name}=={version}", log)
    if not archive.exists():
        raise SetupError(f"pip downloaded {name} {version}, but not as {archive.name}")
    if sha256(archive) != wrap["source_hash"]:
        found = sha256(archive)
        archive.unlink()
        raise SetupError(
            f"{archive.name} is not the archive we pinned: SHA-256 {found}, expected {wrap['source_hash']}; not used"
        )
    diff = SUBPROJECTS / "packagefiles" / wrap["diff_files"] if "diff_files" in wrap else None
    unpack(archive, wrap["directory"], SUBPROJECTS / "packagefiles" / wrap["patch_directory"], diff)
    print(f"setup:   {name} {version} unpacked", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--log", default=os.devnull, help="where pip's own words go")
    options = arguments.parse_args()
    print("setup: C sources of subprojects/*.wrap", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with open(options.log, "a") as log:
            for wrap_file in sorted(SUBPROJECTS.glob("*.wrap")):
                fetch(wrap_file, log)
    except (SetupError, OSError) as error:
        sys.exit(f"setup: {error}")


if __name__ == "__main__":
    main()
