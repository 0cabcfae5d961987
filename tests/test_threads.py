# SPDX-License-Identifier: Apache-2.0
"""Threads and forks of one Python process: each event is on record once, in the order of who emitted it."""

from __future__ import annotations

import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python" / "tests"))

from harness import real_core  # noqa: E402

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.skipif(not real_core(), reason="needs the core")

SOAKS = bool(os.environ.get("LITMUS_SOAK"))
THREADS, EVENTS = 8, 20000 if SOAKS else 300


def numbers(data_dir: pathlib.Path) -> dict:
    """who -> its numbers in the order of its log, over all logs, which are sealed."""
    found = collections.defaultdict(list)
    for path in sorted(data_dir.glob("events/*/*.arrow")):
        for text in pa.ipc.open_file(path).read_all().column("json").to_pylist():
            event = json.loads(text)
            if event["event_type"] == "vendor.count":
                found[event["who"]].append(event["n"])
    return found


def test_a_pool_of_threads_on_one_session(tmp_path):
    from litmus._litmus import Session

    session = Session(tmp_path, daemon=False)

    def work(who: int) -> set:
        return {session.emit("vendor.count", {"who": who, "n": n}) for n in range(EVENTS)}

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        ids = list(pool.map(work, range(THREADS)))
    session.close()
    assert len(set().union(*ids)) == THREADS * EVENTS
    assert numbers(tmp_path) == {who: list(range(EVENTS)) for who in range(THREADS)}


FORKS = """
import os, sys
from litmus._litmus import Session

session = Session(sys.argv[1], daemon=False)
each = int(sys.argv[2])
for n in range(each):
    session.emit("vendor.count", {"who": 0, "n": n})
    if n % (each // 5) == 0:
        child = os.fork()
        if child == 0:
            for k in range(each):
                session.emit("vendor.count", {"who": 1 + n // (each // 5), "n": k})
            session.close()
            os._exit(0)
while True:
    try:
        assert os.wait()[1] == 0
    except ChildProcessError:
        break
session.close()
"""


def test_forks_in_the_middle(tmp_path):
    each = EVENTS // 5 * 5
    env = {key: value for key, value in os.environ.items() if not key.startswith("LITMUS_")}
    subprocess.run([sys.executable, "-c", FORKS, tmp_path, str(each)], check=True, env=env, timeout=300)
    assert numbers(tmp_path) == {who: list(range(each)) for who in range(6)}
    assert len(list(tmp_path.glob("events/*/*.arrow"))) == 6


SUITE = """
import concurrent.futures
import pytest

@pytest.mark.parametrize("n", range(12))
def test_pool(n, measure):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: measure(f"m{k}", n * 100 + k), range(25)))
"""


def test_measurements_from_the_threads_of_a_test(tmp_path):
    """A pool inside a test: every measurement is the step's own, each once."""
    (tmp_path / "test_pool.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--litmus-data-dir={tmp_path / 'data'}", "--litmus-no-daemon"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    (path,) = tmp_path.glob("data/runs/*/*.parquet")
    rows = [row for row in pq.read_table(path).to_pylist() if row["record_type"] == "measurement"]
    found = collections.Counter((row["vector_index"], row["measurement_name"], row["measurement_value"]) for row in rows)
    assert found == {(n, f"m{k}", float(n * 100 + k)): 1 for n in range(12) for k in range(25)}
