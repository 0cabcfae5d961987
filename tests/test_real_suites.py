# SPDX-License-Identifier: Apache-2.0
"""Whole suites of packages that we did not write, from their source distributions.

What is on record is held against pytest's own `--collect-only` and summary line: run to the end,
stopped by -x after an injected failure, under xdist, and killed half-way.

The archives (pinned by SHA-256) and what their tests import are fetched once into build/real-suites.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python" / "tests"))
pytest.register_assert_rewrite("harness")

from harness import Suite, needs, real_core  # noqa: E402

CACHE = ROOT / "build" / "real-suites"
DEPENDENCIES = ("cloudpickle==3.1.2", "hypothesis==6.170.15", "pretend==1.0.9", "sortedcontainers==2.4.0", "tomli_w==1.2.0")

pytestmark = pytest.mark.skipif(not real_core(), reason="needs the core")


@dataclasses.dataclass(frozen=True)
class Package:
    name: str
    version: str
    sha256: str
    tests: tuple
    args: tuple = ()


PACKAGES = [
    Package("iniconfig", "2.3.1", "67f4b9c50da0dedf52af349e7749a80a9057a5031199791b906c3bb3ae878960", ("testing",)),
    Package("pluggy", "1.7.0", "d1eaa46ebb595891b860ab086b4d09c8588af65ebd4361b8e8f4bb8920b90ba8", ("testing",)),
    Package(
        "packaging",
        "26.3",
        "94edc256424af38762eb31306eed28beb9f0efc50a8837492c9d6fd6004aed79",
        ("tests",),
        # 61,000 more of the same are in these
        tuple(f"--ignore=tests/test_{name}.py" for name in ("version", "requirements", "specifiers", "markers", "ranges")),
    ),
    Package(
        "attrs",
        "26.1.0",
        "d03ceb89cb322a8fd706d4fb91940737b6642aa36998fe130a9bc96c985eff32",
        ("tests",),
        ("--ignore=tests/test_make.py", "--deselect=tests/test_funcs.py"),  # hypothesis takes its time there
    ),
]

# pip asks the package's own build backend for metadata before it hands an archive over; the answer is in it already.
BACKEND = '''
import os, shutil
from email.parser import Parser

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    with open("PKG-INFO", encoding="utf-8") as file:
        info = Parser().parse(file)
    folder = "%s-%s.dist-info" % (info["Name"].replace("-", "_"), info["Version"])
    os.mkdir(os.path.join(metadata_directory, folder))
    shutil.copy("PKG-INFO", os.path.join(metadata_directory, folder, "METADATA"))
    return folder
'''

# Fails, or kills the process, in the call of the INJECT_AT-th test.
INJECT = '''
import os, signal
_seen = 0
def pytest_runtest_call(item):
    global _seen
    _seen += 1
    if _seen == int(os.environ["INJECT_AT"]):
        if os.environ["INJECT"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        assert False, "injected"
'''


def pip(*args: str, env: dict | None = None) -> None:
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *args]
    result = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if result.returncode:
        pytest.fail(f"cannot fetch what the real suites need; is the package index reachable?\n{result.stderr}", pytrace=False)


@contextlib.contextmanager
def alone():
    """Hold the cache: workers beside each other want the same files, and pip writes them in place."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def archive_of(package: Package) -> pathlib.Path:
    archive = CACHE / f"{package.name}-{package.version}.tar.gz"
    with alone():
        if not archive.exists():
            fetch(package)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found == package.sha256, f"{archive} is not the archive we pinned (found {found}); remove it"
    return archive


def fetch(package: Package) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("flit_core/buildapi.py", "hatchling/build.py", "setuptools/build_meta.py"):
            path = pathlib.Path(folder, name)
            path.parent.mkdir()
            (path.parent / "__init__.py").touch()
            path.write_text(BACKEND)
        pip(
            "download", "--no-deps", "--no-build-isolation", "--no-binary", package.name, "--dest", str(CACHE),
            f"{package.name}=={package.version}", env={"PYTHONPATH": folder},
        )  # fmt: skip


def dependencies() -> pathlib.Path:
    """The folder with what the suites import; named by its content, moved into place when complete."""
    key = hashlib.sha256(" ".join((sys.version, *DEPENDENCIES)).encode()).hexdigest()[:12]
    target = CACHE / f"deps-{key}"
    with alone():
        if not target.exists():
            part = pathlib.Path(tempfile.mkdtemp(dir=CACHE))
            pip("install", "--no-deps", "--target", str(part), *DEPENDENCIES)
            part.rename(target)
    return target


def once(path: pathlib.Path, make) -> pathlib.Path:
    """What the first who asks makes, for all workers of this run."""
    with alone():
        if not path.exists():
            part = path.with_name(f".{path.name}.part")
            make(part)
            part.rename(path)
    return path


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> pathlib.Path:
    """A folder of this run that its workers have together."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real-suites"
    folder.mkdir(exist_ok=True)
    return folder


def unpacked(package: Package, shared: pathlib.Path) -> pathlib.Path:
    archive = archive_of(package)

    def unpack(folder: pathlib.Path) -> None:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))

    return once(shared / package.name, unpack) / f"{package.name}-{package.version}"


class RealSuite(Suite):
    columns = ["record_type", "step_path", "vector_index", "vector_outcome", "step_ended_at", "never_ran_reason", "never_ran_cause", "run_outcome", "stop_reason"]

    def __init__(self, package: Package, shared: pathlib.Path, path: pathlib.Path):
        folder = unpacked(package, shared)
        super().__init__(path, folder)
        del self.env["PYTHONDONTWRITEBYTECODE"]  # what one run compiled is the next one's
        self.count = shared / f"{package.name}.count"
        (path / "inject.py").write_text(INJECT)
        self.env["PYTHONPATH"] = os.pathsep.join([str(folder / "src"), str(dependencies()), str(path)])
        self.common = ("-p", "no:asyncio", "-p", "no:cacheprovider", *package.tests, *package.args)

    def collected_count(self) -> tuple:
        """(items, deselected) by --collect-only."""
        return tuple(json.loads(once(self.count, self.count_items).read_text()))

    def count_items(self, path: pathlib.Path) -> None:
        process = self.start("--collect-only", "-q", *self.common)
        out, err = process.communicate(timeout=600)
        assert not self.events()
        last = out.strip().splitlines()[-1]  # "12/34 tests collected (22 deselected) in ..." or "34 tests collected in ..."
        words = last.split()
        deselected = int(words[words.index("deselected)") - 1].lstrip("(")) if "deselected)" in words else 0
        items = int(words[0].split("/")[0])
        assert items > 10, out + err
        path.write_text(json.dumps([items, deselected]))


@pytest.fixture(params=PACKAGES, ids=lambda package: package.name)
def real(request, shared, tmp_path):
    return RealSuite(request.param, shared, tmp_path)


def check(record, planned: int, deselected: int) -> None:
    assert len(record.plan) == planned
    assert record.of("test.steps_discovered")[0]["deselected_count"] == deselected
    steps = [row for row in record.parquet if row["record_type"] == "step"]
    assert len(steps) == planned
    assert sum(record.counts().values()) == planned
    record.check_against_pytest()


def test_to_the_end(real):
    planned, deselected = real.collected_count()
    record = real.run(*real.common)
    assert record.code == (1 if record.summary["failed"] + record.summary["error"] else 0)
    check(record, planned, deselected)
    assert record.counts().get(None, 0) <= record.summary["skipped"]


def test_stopped_by_x(real):
    planned, deselected = real.collected_count()
    at = planned // 2
    record = real.run("-x", "-p", "inject", *real.common, env={"INJECT": "fail", "INJECT_AT": str(at)})
    assert record.code == 1
    check(record, planned, deselected)
    assert record.counts()["failed"] == 1
    assert record.counts()[None] > planned // 3
    assert record.run_ended["stop_reason"] == "maxfail"
    assert record.reasons() <= {"maxfail", "skip_marker"}
    assert "maxfail" in record.reasons()


@needs("xdist")
def test_under_xdist(real):
    planned, deselected = real.collected_count()
    record = real.run("-n", "2", *real.common)
    check(record, planned, deselected)


def test_killed_half_way(real):
    """SIGKILL in the middle: every event before it counts; the daemon writes the end."""
    if shutil.which("litmus", path=os.path.dirname(sys.executable)) is None:
        pytest.skip("needs the daemon")
    planned, _ = real.collected_count()
    real.env.pop("LITMUS_NO_DAEMON")
    at = planned // 2
    record = real.run("-p", "inject", *real.common, env={"INJECT": "kill", "INJECT_AT": str(at)})
    assert record.code == -signal.SIGKILL
    real.wait_for(lambda events: real.rows() is not None)  # the daemon writes it
    rows = real.rows()
    steps = [row for row in rows if row["record_type"] == "step"]
    (run,) = [row for row in rows if row["record_type"] == "run"]
    assert (run["run_outcome"], run["stop_reason"]) == ("aborted", "crash")
    assert len(steps) == planned
    started = {(event["step_path"], event["vector_index"]) for event in record.of("test.step_started")}
    assert {(row["step_path"], row["vector_index"]) for row in steps if row["vector_outcome"] is not None} == started
    (cut,) = [row for row in steps if row["vector_outcome"] == "aborted"]
    assert cut["step_ended_at"] is None
    never_ran = [row for row in steps if row["vector_outcome"] is None]
    assert {row["never_ran_reason"] for row in never_ran} <= {"crash", "skip_marker"}
    assert len(never_ran) == planned - len(started)
