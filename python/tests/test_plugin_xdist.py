# SPDX-License-Identifier: Apache-2.0
"""Under pytest-xdist: one session, one run, the plan once, a log a worker, no row double or missing."""

from __future__ import annotations

import collections
import os
import shutil
import signal

import pytest
from harness import Suite, needs

pytestmark = needs("xdist")

SUITE = {
    "test_a.py": """
    import pytest
    @pytest.mark.parametrize("v", range(6))
    def test_p(v): assert v != 3
    def test_err(): raise OSError("x")
    @pytest.mark.skip(reason="later")
    def test_skip(): pass
    @pytest.mark.xfail(reason="known")
    def test_xf(): assert 0
    """,
    "test_b.py": """
    import pytest, unittest
    class TestB:
        def test_1(self): pass
        def test_2(self): pytest.skip("now")
    @pytest.fixture
    def broken():
        yield
        raise OSError("teardown")
    def test_td(broken): pass
    class U(unittest.TestCase):
        def test_u(self): self.assertEqual(1, 1)
    """,
}
PLANNED = 13


@pytest.mark.parametrize("dist", ["load", "loadscope", "loadfile", "loadgroup", "worksteal"])
def test_modes(suite, dist):
    suite.write(SUITE)
    record = suite.run("-n", "4", "--dist", dist)
    assert record.code == 1
    assert len(record.plan) == PLANNED
    assert record.counts() == {"passed": 7, "failed": 1, "errored": 2, "skipped": 2, None: 1}
    assert record.run_ended["outcome"] == "errored"
    assert len({event["session_id"] for event in record.events}) == 1
    assert len({event["run_id"] for event in record.events} - {None}) == 1
    assert all(len(row.attempts) <= 1 for row in record.rows)
    record.check_against_pytest()
    assert record.line


def test_the_same_rows_as_without(suite, tmp_path):
    suite.write(SUITE)
    alone = {row["node_id"]: (row.outcome, row.phase, row.message) for row in suite.run().rows}
    for path in suite.data_dir.rglob("*.*"):
        path.unlink()
    record = suite.run("-n", "3")
    assert {row["node_id"]: (row.outcome, row.phase, row.message) for row in record.rows} == alone


@pytest.mark.parametrize("args", [("-n", "2", "--dist", "each"), ("--tx", "3*popen", "--dist", "each")], ids=["n2", "tx3"])
def test_each(suite, args):
    """Every worker runs every item: a vector for each of them."""
    suite.write({"test_a.py": "import pytest\n@pytest.mark.parametrize('v', [1, 2])\ndef test_p(v): pass\ndef test_b(): assert 0"})
    workers = 2 if "-n" in args else 3
    record = suite.run(*args)
    assert len(record.plan) == 3 * workers
    assert record.counts() == {"passed": 2 * workers, "failed": workers}
    assert {item["vector_count_planned"] for item in record.plan if item["function"] == "test_p"} == {2 * workers}
    assert collections.Counter(row["step_path"] for row in record.rows) == {"test_a.py/test_p": 2 * workers, "test_a.py/test_b": workers}
    record.check_against_pytest()


def test_deselected_and_sweeps(suite):
    suite.write(SUITE)
    record = suite.run("-n", "2", "-k", "test_p or test_1")
    assert record.of("test.steps_discovered")[0]["deselected_count"] == PLANNED - 7
    record.check_against_pytest()


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["exit", "kill"])
def test_a_worker_dies(suite, how):
    """The step that was running is aborted and named; another worker does the rest."""
    suite.write(
        {
            "test_a.py": f"""
            import os, signal, pytest
            @pytest.mark.parametrize("v", range(10))
            def test(v): pass
            def test_dies(): {how}
            @pytest.mark.parametrize("v", range(10))
            def test_after(v): pass
            """
        }
    )
    record = suite.run("-n", "2")
    assert record.counts() == {"passed": 20, "aborted": 1}, record.out
    assert record.row("::test_dies").outcome == "aborted"
    (event,) = record.of("diagnostic.error")
    assert event["details"]["node_id"] == "test_a.py::test_dies"
    assert event["details"]["worker"].startswith("gw")
    assert record.run_ended["outcome"] == "aborted"
    record.check_against_pytest()


def test_every_worker_dies(suite):
    suite.write({"test_a.py": "import os, pytest\n@pytest.mark.parametrize('v', range(6))\ndef test(v): os._exit(1)"})
    record = suite.run("-n", "2", "--max-worker-restart=1")
    counts = record.counts()
    assert counts["aborted"] + counts.get(None, 0) == 6
    assert record.run_ended["outcome"] == "aborted"
    assert len(record.of("diagnostic.error")) == counts["aborted"] == record.summary["failed"]
    record.check_order()


def test_a_worker_dies_in_collection(suite):
    suite.write(
        {
            "conftest.py": """
            import os, pathlib
            def pytest_collection_modifyitems(config):
                mark = pathlib.Path(__file__).with_name("died")
                if hasattr(config, "workerinput"):
                    try: mark.touch(exist_ok=False)
                    except FileExistsError: return
                    os._exit(1)
            """,
            "test_a.py": "def test_1(): pass\ndef test_2(): pass",
        }
    )
    record = suite.run("-n", "2")
    if record.code == 0:
        assert record.counts() == {"passed": 2}
        record.check_order()
    else:  # xdist gave up: then the run, if there is one, has an end
        assert len(record.of("run.started")) == len(record.of("run.ended")) <= 1


def test_no_worker_starts(suite):
    suite.write({"conftest.py": "import os\nif 'PYTEST_XDIST_WORKER' in os.environ: import nonesuch_", "test_a.py": "def test_1(): pass"})
    record = suite.run("-n", "1", "--max-worker-restart=0")
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"], record.plan) == ("errored", "crash", [])
    assert record.of("diagnostic.error")[0]["message"].startswith("worker gw0: _pytest.config.ConftestImportFailure: ModuleNotFoundError: No module named 'nonesuch_'")


def test_a_worker_dies_in_each(suite):
    suite.write(
        {
            "test_a.py": """
            import os, pathlib
            def test_1(): pass
            def test_2():
                try: pathlib.Path(__file__).with_name("died").touch(exist_ok=False)
                except FileExistsError: return
                os._exit(1)
            def test_3(): pass
            """
        }
    )
    record = suite.run("-n", "2", "--dist", "each")
    assert record.counts() == {"passed": 5, "aborted": 1}, record.out
    record.check_against_pytest()


@pytest.mark.parametrize("args", [("-x",), ("--maxfail=1",)])
def test_maxfail(suite, args):
    """So many tests that a controller which has to wait for its turn stops them all the same."""
    suite.write({"test_a.py": "import pytest, time\n@pytest.mark.parametrize('v', range(400))\ndef test(v):\n if v > 4: time.sleep(.1)\n assert v != 4"})
    record = suite.run("-n", "2", "--maxschedchunk=2", *args)
    counts = record.counts()
    assert counts["failed"] == 1
    assert counts[None] > 0
    assert sum(counts.values()) == 400
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("failed", "maxfail")
    record.check_against_pytest()


def test_collection_errors(suite):
    suite.write({"test_a.py": "def test(): pass", "test_b.py": "import nonesuch_"})
    record = suite.run("-n", "2")
    assert len(record.plan) == 1
    assert record.run_ended["outcome"] == "errored"
    record.check_against_pytest()


def test_only_collection_errors(suite):
    suite.write({"test_b.py": "import nonesuch_"})
    record = suite.run("-n", "2")
    assert record.plan == []
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "collection error")


def test_workers_that_collect_differently(suite):
    suite.write({"test_a.py": "import os, pytest\n@pytest.mark.parametrize('v', [os.environ['PYTEST_XDIST_WORKER']])\ndef test(v): pass"})
    record = suite.run("-n", "2")
    assert record.code != 0
    assert record.counts() == {None: 1}
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "collection error")


def test_nothing_collected(suite):
    suite.write({"test_a.py": "def helper(): pass"})
    record = suite.run("-n", "2")
    assert record.code == 5
    assert record.of("run.started") == []
    suite.write({"test_a.py": "def test(): pass"})
    record = suite.run("-n", "0")
    assert record.counts() == {"passed": 1}


@needs("pytest_rerunfailures")
def test_reruns(suite):
    suite.write({"test_a.py": "n = []\ndef test_1():\n n.append(1)\n assert len(n) > 1\ndef test_2(): pass"})
    record = suite.run("-n", "2", "--reruns", "2")
    assert record.row("::test_1").attempts == ["failed", "passed"]
    assert record.run_ended["outcome"] == "passed"
    record.check_against_pytest()


@needs("pytest_rerunfailures")
def test_reruns_after_a_crash(suite):
    suite.write(
        {
            "test_a.py": """
            import os, pathlib
            def test_1():
                try: pathlib.Path(__file__).with_name("died").touch(exist_ok=False)
                except FileExistsError: return
                os._exit(1)
            def test_2(): pass
            """
        }
    )
    record = suite.run("-n", "2", "--reruns", "2")
    row = record.row("::test_1")
    assert len(row.attempts) in (1, 2)
    assert row.attempts[0] == "aborted"
    if len(row.attempts) == 2:
        assert row.started["retry"] == 1


def test_measurements_and_escalation_reach_the_run(suite):
    suite.write({"test_a.py": "def test_1(measure): measure('v', 5, high=4)\ndef test_2(): pass"})
    record = suite.run("-n", "2")
    assert record.code == 0
    assert record.row("::test_1").outcome == "failed"
    assert record.run_ended["outcome"] == "failed"
    (event,) = record.of("test.measurement")
    assert event["outcome"] == "failed"


SLOW = """
import pathlib, pytest, time
@pytest.mark.parametrize("v", range(8))
def test(v):
    if v > 1:
        pathlib.Path(__file__).with_name(f"in_{v}").touch()
        time.sleep(60)
"""


def started(suite):
    """A pytest whose two workers are in the bodies of tests that would take long."""
    suite.write({"test_a.py": SLOW})
    process = suite.start("-n", "2")
    suite.wait_for(lambda events: len(list(suite.path.glob("in_*"))) == 2)
    return process


def check_interrupted(record, code):
    assert record.code == code, record.out + record.err
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("terminated", "interrupted")
    counts = record.counts()
    assert sum(counts.values()) == 8
    assert counts[None] >= 1, counts
    cut_off = counts.get("terminated", 0) + counts.get("aborted", 0)
    assert cut_off >= 1, counts
    assert record.types[-1] == "session.ended"


def check_killed(suite, record, with_daemon):
    """Nothing that was emitted is lost; with a daemon the run gets its end and its file."""
    assert record.code == -signal.SIGKILL
    assert len(record.plan) == 8
    if with_daemon:
        suite.wait_for(lambda events: suite.rows() is not None)
        steps = [row for row in suite.rows() if row["record_type"] == "step"]
        assert len(steps) == 8
        (run,) = [row for row in suite.rows() if row["record_type"] == "run"]
        assert (run["run_outcome"], run["stop_reason"]) == ("aborted", "crash")


def test_interrupted_or_killed(tmp_path):
    """The controller alone, or the whole group. All at once: execnet waits five seconds for a worker whose controller is gone."""
    ends = [(os.kill, signal.SIGINT, 2), (os.kill, signal.SIGTERM, -signal.SIGTERM), (os.killpg, signal.SIGINT, 2), (os.killpg, signal.SIGTERM, -signal.SIGTERM)]
    going = []
    for number, (send, sign, code) in enumerate([*ends, (os.kill, signal.SIGKILL, None)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        suite = Suite(folder)
        with_daemon = code is None and suite.real and shutil.which("litmus", path=os.path.dirname(suite.python)) is not None
        if with_daemon:
            suite.env.pop("LITMUS_NO_DAEMON")
        process = started(suite)
        send(process.pid, sign)
        going.append((suite, process, code, with_daemon))
    records = [suite.finish(process) for suite, process, *_ in going]
    for (suite, _, code, with_daemon), record in zip(going, records):
        if code is None:
            check_killed(suite, record, with_daemon)
        else:
            check_interrupted(record, code)


def test_pytest_exit_in_a_worker(suite):
    suite.write({"test_a.py": "import pytest\n@pytest.mark.parametrize('v', range(8))\ndef test(v):\n if v == 2: pytest.exit('stop')"})
    record = suite.run("-n", "2")
    assert record.run_ended["outcome"] == "terminated"
    assert [row.outcome for row in record.rows].count("terminated") == 1


def test_reports_on_the_controller_are_as_ever(suite):
    suite.write(
        {
            "conftest.py": """
            import json
            def pytest_runtest_logreport(report):
                assert not hasattr(report, "litmus_outcome") or hasattr(report, "worker_id") is False
            """,
            "test_a.py": "def test_1(): assert 0\ndef test_2(): pass",
        }
    )
    record = suite.run("-n", "2")
    assert "INTERNALERROR" not in record.out
    record.check_against_pytest()
