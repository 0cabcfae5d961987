# SPDX-License-Identifier: Apache-2.0
"""Whatever ends a run early: what ran keeps its verdict, what was cut off says so, the rest never ran."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest
from harness import needs, real_core

FIVE = """
import os, signal, time, pytest
def test_1(): pass
def test_2(): assert 0, "stop here"
def test_3(): raise OSError("x")
def test_4(): pass
def test_5(): pass
"""


def outcomes(record) -> list:
    return [row.outcome for row in record.rows]


@pytest.mark.parametrize(
    "args, want, reason, code",
    [
        ((), ["passed", "failed", "errored", "passed", "passed"], None, 1),
        (("-x",), ["passed", "failed", None, None, None], "maxfail", 1),
        (("--maxfail=2",), ["passed", "failed", "errored", None, None], "maxfail", 1),
        (("--maxfail=9",), ["passed", "failed", "errored", "passed", "passed"], None, 1),
        (("--stepwise",), ["passed", "failed", None, None, None], "maxfail", 2),
        (("-x", "-k", "test_1 or test_3"), ["passed", "errored"], None, 1),  # the last one: nothing was left out
    ],
    ids=["all", "x", "maxfail2", "maxfail9", "stepwise", "x_at_the_end"],
)
def test_maxfail(suite, args, want, reason, code):
    suite.write({"test_a.py": FIVE})
    record = suite.run(*args)
    assert record.code == code
    assert outcomes(record) == want
    assert record.run_ended["stop_reason"] == reason
    assert record.run_ended["outcome"] == ("errored" if "errored" in want else "failed")
    assert record.reasons() <= {reason}
    record.check_against_pytest()


def test_x_and_a_setup_error(suite):
    suite.write({"test_a.py": "import pytest\n@pytest.fixture\ndef f(): 1/0\ndef test_1(f): pass\ndef test_2(): pass"})
    record = suite.run("-x")
    assert outcomes(record) == ["errored", None]
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "maxfail")
    record.check_against_pytest()


@pytest.mark.parametrize(
    "hook, want, outcome, reason",
    [
        ("pytest_runtest_teardown(item): item.session.shouldstop = 'enough'", ["passed", None], "terminated", "interrupted"),
        ("pytest_runtest_teardown(item): item.session.shouldfail = 'its time is up'", ["passed", None], "terminated", "interrupted"),
        ("pytest_runtest_teardown(item):\n if item.name == 'test_2': item.session.shouldfail = 'no more'", ["passed", "failed"], "failed", "maxfail"),
        ("pytest_runtestloop(session): import pytest; raise pytest.UsageError('not like this')", [None, None], "errored", None),
    ],
    ids=["shouldstop", "shouldfail", "shouldfail_for_a_failure", "usage"],
)
def test_a_plugin_stops_the_loop(suite, hook, want, outcome, reason):
    suite.write({"test_a.py": FIVE, "conftest.py": f"def {hook}"})
    record = suite.run()
    assert record.code != 0  # and so the run cannot be on record as passed
    assert outcomes(record) == [*want, None, None, None]
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == (outcome, reason)


CUT = """
import os, signal, sys, time, pytest
LOG = os.path.join(os.path.dirname(__file__), "cleaned")
@pytest.fixture
def rig():
    yield
    open(LOG, "w").close()
def test_1(rig): pass
def test_2(rig): {how}
def test_3(rig): pass
"""


@pytest.mark.parametrize(
    "how, words, code",
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt", 2),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", "KeyboardInterrupt", 2),
        ("pytest.exit('operator says stop')", "pytest.exit: operator says stop", 2),
        ("pytest.exit('with a code', returncode=7)", "pytest.exit: with a code", 7),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", "SIGTERM", -signal.SIGTERM),
    ],
    ids=["raise", "sigint", "exit", "exit_code", "sigterm"],
)
def test_interrupted_in_a_body(suite, how, words, code):
    suite.write({"test_a.py": CUT.format(how=how)})
    record = suite.run()
    assert record.code == code, record.out + record.err
    assert outcomes(record) == ["passed", "terminated", None]
    row = record.row("::test_2")
    assert row.phase == "call"
    assert words in row.message
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("terminated", "interrupted")
    assert record.of("session.ended")[0]["outcome"] == "terminated"
    assert record.reasons() <= {"interrupted"}
    assert bool(record.line) == (code != 7)  # pytest writes no summary for a code of the user's
    assert (suite.path / "cleaned").exists()
    record.check_order()
    record.check_parquet()


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="subtests are pytest's own from 9 on")
def test_interrupted_after_a_subtest(suite):
    suite.write({"test_a.py": "def test(subtests):\n with subtests.test('a'): assert 0, 'first'\n with subtests.test('b'): pass\n raise KeyboardInterrupt"})
    (row,) = suite.run().rows
    assert (row.outcome, row.phase) == ("terminated", "call")
    assert row.message.startswith("KeyboardInterrupt; call failed: subtest [a]: AssertionError: first")


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_interrupted_in_a_fixture(suite, phase):
    before, after = ("raise KeyboardInterrupt", "") if phase == "setup" else ("", "raise KeyboardInterrupt")
    suite.write({"test_a.py": f"import pytest\n@pytest.fixture\ndef f():\n {before}\n yield\n {after}\ndef test_1(f): pass\ndef test_2(): pass"})
    record = suite.run()
    assert record.code == 2
    assert outcomes(record) == ["terminated", None]
    assert record.rows[0].phase == phase
    assert record.run_ended["outcome"] == "terminated"


def test_interrupted_in_collection_makes_no_run(suite):
    suite.write({"test_a.py": "raise KeyboardInterrupt"})
    record = suite.run()
    assert record.code == 2
    assert record.of("run.started") == []


def test_interrupted_between_tests(suite):
    suite.write(
        {"test_a.py": FIVE, "conftest.py": "def pytest_runtest_logfinish(nodeid):\n if nodeid.endswith('_1'): raise KeyboardInterrupt"}
    )
    record = suite.run()
    assert outcomes(record) == ["passed", None, None, None, None]
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("terminated", "interrupted")


def test_sigterm_from_outside(suite):
    suite.write({"test_a.py": CUT.format(how="open(LOG + '.not_yet', 'w'); time.sleep(600)")})
    process = suite.start()
    suite.wait_for(lambda events: (suite.path / "cleaned.not_yet").exists())
    os.kill(process.pid, signal.SIGTERM)
    record = suite.finish(process)
    assert record.code == -signal.SIGTERM
    assert outcomes(record) == ["passed", "terminated", None]
    assert (suite.path / "cleaned").exists()


def test_sigterm_that_a_test_swallows_stops_after_it(suite):
    how = "\n    try:\n        os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)\n    except BaseException: pass"
    suite.write({"test_a.py": CUT.format(how=how)})
    record = suite.run()
    assert record.code == -signal.SIGTERM
    assert outcomes(record) == ["passed", "passed", None]
    assert record.run_ended["outcome"] == "terminated"


def test_a_forked_child_dies_of_sigterm_as_ever(suite):
    suite.write(
        {
            "test_a.py": """
            import multiprocessing, os, signal, time
            def test_process():
                p = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
                p.start(); p.terminate(); p.join()
                assert p.exitcode == -signal.SIGTERM
            def test_fork():
                pid = os.fork()
                if pid == 0:
                    time.sleep(60); os._exit(0)
                os.kill(pid, signal.SIGTERM)
                assert os.waitpid(pid, 0)[1] == signal.SIGTERM
            """
        }
    )
    record = suite.run()
    assert record.counts() == {"passed": 2}, record.out


def test_a_handler_of_the_users_stays(suite):
    suite.write(
        {
            "conftest.py": "import signal\nhits = []\nsignal.signal(signal.SIGTERM, lambda *a: hits.append(1))",
            "test_a.py": "import os, signal, conftest\ndef test():\n os.kill(os.getpid(), signal.SIGTERM)\n assert conftest.hits",
        }
    )
    record = suite.run()
    assert (record.code, record.counts()) == (0, {"passed": 1})


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"], ids=["exit", "kill", "abort"])
def test_the_process_dies(suite, how):
    """Every event that was emitted is on record; the end of the run is the daemon's to write."""
    suite.write({"test_a.py": CUT.format(how=how)})
    record = suite.run("-p", "no:faulthandler")
    assert outcomes(record) == ["passed", "aborted", None]
    assert record.of("run.ended") == []
    assert len(record.plan) == 3


def test_internal_error(suite):
    suite.write({"test_a.py": FIVE, "conftest.py": "def pytest_runtest_logstart(nodeid):\n if nodeid.endswith('_4'): raise OSError('hook')"})
    record = suite.run()
    assert record.code == 3
    assert outcomes(record) == ["passed", "failed", "errored", None, None]
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "crash")
    assert record.of("diagnostic.error")[0]["message"] == "internal error: OSError: hook"


@pytest.mark.parametrize("when", ["setup", "call"])
def test_a_hook_raises_on_a_report(suite, when):
    """The phase is the one whose report it had: the next one never began."""
    suite.write({"test_a.py": FIVE, "conftest.py": f"def pytest_runtest_logreport(report):\n if report.when == {when!r}: raise OSError('hook')"})
    record = suite.run()
    (row,) = [row for row in record.rows if row.outcome]
    assert (record.code, row.outcome, row.phase) == (3, "errored", when)


@pytest.mark.parametrize(
    "hook, planned",
    [("collection_finish(session)", 5), ("collection_modifyitems(items)", 5), ("sessionstart(session)", 0), ("configure(config)", 0)],
    ids=["finish", "modify", "start", "configure"],
)
def test_a_conftest_raises_before_the_loop(suite, hook, planned):
    suite.write({"test_a.py": FIVE, "conftest.py": f"def pytest_{hook}: raise OSError('hook')"})
    record = suite.run()
    assert record.code == 3
    assert outcomes(record) == [None] * planned
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "crash")


@needs("xdist")
@pytest.mark.parametrize("hook", ["sessionstart(session)", "configure(config)"])
def test_a_conftest_raises_before_the_workers_start(suite, hook):
    suite.write({"test_a.py": FIVE, "conftest.py": f"def pytest_{hook}: raise OSError('hook')"})
    record = suite.run("-n", "2")
    assert (record.code, record.plan) == (3, [])
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "crash")


CANNOT_START = [
    ("import nonesuch_", (), 4, "conftest.py: ModuleNotFoundError: No module named 'nonesuch_'"),
    ("pytest_plugins = ['nonesuch_']", (), 4, "UsageError: Error importing plugin \"nonesuch_\": No module named 'nonesuch_'"),
    ("def pytest_runtest_setup(nonesuch_): pass", ("-n", "2"), 1, "PluginValidationError: Plugin "),
]


@pytest.mark.parametrize("text, args, code, words", CANNOT_START, ids=["import", "plugin", "hook"])
def test_a_conftest_that_cannot_be_loaded(suite, text, args, code, words):
    suite.write({"test_a.py": FIVE, "conftest.py": text})
    without = suite.run("--litmus-off", *args)
    assert (without.code, without.events) == (code, [])
    record = suite.run("--litmus-dut-serial=S1", *args)
    assert (record.code, record.out, record.err, record.plan) == (code, without.out, without.err, [])
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "crash")
    assert record.of("diagnostic.error")[0]["message"].startswith(words)
    assert record.of("run.started")[0]["dut_serial"] == "S1"
    if real_core():  # nothing was planned: it says why
        shown = subprocess.run([pathlib.Path(sys.executable).with_name("litmus"), "show", "-d", record.data_dir], capture_output=True, text=True, timeout=600)
        assert f"\nerror    {words}" in shown.stdout and "\n0 planned" in shown.stdout, shown


IN_CONFIGURE = "def pytest_configure(config): "
NOT_TO_RUN = [
    (IN_CONFIGURE + "raise pytest.UsageError('so not')", ()),
    (IN_CONFIGURE + "pytest.exit('not today')", ()),
    (IN_CONFIGURE + "raise OSError('hook')", ("--fixtures",)),
    ("raise SystemExit(3)", ()),
    ("import nonesuch_", ("--markers",)),
    ("", ("--nonesuch",)),
]


@pytest.mark.parametrize("text, arguments", NOT_TO_RUN, ids=["usage", "exit", "fixtures", "system_exit", "markers", "option"])
def test_nothing_was_to_run(suite, text, arguments):
    suite.write({"test_a.py": FIVE, "conftest.py": f"import pytest\n{text}"})
    assert suite.run(*arguments).events == []


def test_nested_pytest_does_not_record(suite):
    suite.write(
        {
            "conftest.py": "pytest_plugins = 'pytester'",
            "test_a.py": """
            import subprocess, sys
            INNER = "def test_in(): pass\\ndef test_in_2(): assert 0"
            def test_in_process(pytester):
                pytester.makepyfile(INNER)
                result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
                result.assert_outcomes(passed=1, failed=1)
                result.stdout.no_fnmatch_line("litmus:*")
            def test_subprocess(pytester):
                pytester.makepyfile(INNER)
                result = pytester.runpytest_subprocess()
                result.assert_outcomes(passed=1, failed=1)
            def test_by_hand(tmp_path):
                (tmp_path / "test_b.py").write_text(INNER)
                result = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tmp_path])
                assert result.returncode == 1
            def test_after(): pass
            """,
        }
    )
    record = suite.run()
    assert record.counts() == {"passed": 4}, record.out
    assert len(record.of("session.started")) == 1
    record.check_against_pytest()


def test_nested_pytest_records_when_told(suite):
    suite.write(
        {
            "test_a.py": """
            import subprocess, sys
            def test(tmp_path):
                (tmp_path / "test_b.py").write_text("def test_in(): pass")
                subprocess.run([sys.executable, "-m", "pytest", "--litmus-on", tmp_path], check=True, stdout=subprocess.DEVNULL)
            """
        }
    )
    record = suite.run()
    runs = {event["run_id"] for event in record.of("run.started")}
    assert len(runs) == 2
    assert len({event["session_id"] for event in record.events}) == 2
    for run in runs:
        kinds = [e["event_type"] for e in record.events if e["run_id"] == run]
        assert kinds == ["run.started", "test.steps_discovered", "test.step_started", "test.step_ended", "run.ended"]


def test_the_environment_is_as_before(suite):
    suite.write(
        {
            "run.py": """
            import os, signal, sys, pytest
            before = dict(os.environ)
            for _ in range(2): assert pytest.main(["-p", "no:cacheprovider", "test_a.py"]) == 0
            assert {k: v for k, v in os.environ.items() if k != "PYTEST_VERSION"} == before
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            """,
            "test_a.py": "def test(): pass",
        }
    )
    import subprocess

    subprocess.run([sys.executable, "run.py"], cwd=suite.path, env=suite.env, check=True, stdout=subprocess.DEVNULL)
    kinds = [event["event_type"] for event in suite.events()]
    assert kinds.count("run.ended") == 2
