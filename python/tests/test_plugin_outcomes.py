# SPDX-License-Identifier: Apache-2.0
"""Each outcome on record is pytest's own verdict; the counts are those of its summary line.

One table row a case: the files, the options, and what has to be on record (node id's end ->
outcome, phase, a piece of the message). None as outcome: never ran.
"""

from __future__ import annotations

import dataclasses
import sys

import pytest
from harness import FORKED, needs


@dataclasses.dataclass
class Case:
    name: str
    body: str = ""
    want: dict = dataclasses.field(default_factory=dict)
    args: tuple = ()
    files: dict = dataclasses.field(default_factory=dict)
    run: str = ""  # outcome of the run, where it is not plain from the steps
    subtests: int = 0  # failing subtests, which pytest counts beside their test
    passed_over_subtests: int = 0  # tests with failing subtests that pytest still counts as passed (unittest's)
    attempts: int = 1  # executions of a test, at most
    needs: tuple = ()


CASES = [
    Case("passed", "def test(): pass", {"::test": "passed"}, run="passed"),
    Case("returns", "def test(): return 3", {"::test": "passed"}, run="passed"),
    Case("assertion", "def test(): assert 1 == 2", {"::test": ("failed", "call", "assert 1 == 2")}, run="failed"),
    Case(
        "assertion_subclass",
        "class Mine(AssertionError): pass\ndef test(): raise Mine('limit')",
        {"::test": ("failed", "call", "Mine: limit")},
    ),
    Case("pytest_fail", "import pytest\ndef test(): pytest.fail('broken')", {"::test": ("failed", "call", "broken")}),
    Case("did_not_raise", "import pytest\ndef test():\n with pytest.raises(OSError): pass", {"::test": ("failed", "call", "")}),
    Case("exception", "def test(): raise ValueError('x')", {"::test": ("errored", "call", "ValueError: x")}, run="errored"),
    Case(
        "many_lines",
        "def test(): raise ValueError('first\\nsecond\\x00third')",
        {"::test": ("errored", "call", "ValueError: first")},
    ),
    Case("system_exit", "import sys\ndef test(): sys.exit(3)\ndef test_b(): pass", {"::test": ("errored", "call", "SystemExit: 3")}),
    Case(
        "exception_group",
        """
        import sys, pytest
        pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="3.11")
        def test_asserts(): raise ExceptionGroup("g", [AssertionError("a"), AssertionError("b")])
        def test_mixed(): raise ExceptionGroup("g", [AssertionError("a"), OSError("b")])
        """,
        {"::test_asserts": ("failed", "call", ""), "::test_mixed": ("errored", "call", "")} if sys.version_info >= (3, 11) else {},
    ),
    Case(
        "setup_error",
        "import pytest\n@pytest.fixture\ndef f(): raise OSError('gone')\ndef test(f): pass",
        {"::test": ("errored", "setup", "OSError: gone")},
        run="errored",
    ),
    Case(
        "setup_assertion",
        "import pytest\n@pytest.fixture\ndef f(): assert 0\ndef test(f): pass",
        {"::test": ("errored", "setup", "assert 0")},
    ),
    Case("missing_fixture", "def test(nonesuch): pass", {"::test": ("errored", "setup", "fixture 'nonesuch' not found")}),
    Case("setup_method", "class Test:\n def setup_method(self): 1/0\n def test(self): pass", {"::test": ("errored", "setup", "Zero")}),
    Case(
        "teardown_error",
        "import pytest\n@pytest.fixture\ndef f():\n yield\n raise OSError('late')\ndef test(f): pass",
        {"::test": ("errored", "teardown", "OSError: late")},
    ),
    Case(
        "failed_and_teardown_error",
        "import pytest\n@pytest.fixture\ndef f():\n yield\n raise OSError('late')\ndef test(f): assert 0, 'early'",
        {"::test": ("errored", "teardown", "OSError: late; call failed: AssertionError: early")},
    ),
    Case(
        "errored_and_teardown_error",
        "import pytest\n@pytest.fixture\ndef f():\n yield\n raise OSError('late')\ndef test(f): raise KeyError('early')",
        {"::test": ("errored", "call", "KeyError: 'early'; teardown errored: OSError: late")},
    ),
    Case(
        "setup_error_and_teardown_error",
        """
        import pytest
        @pytest.fixture
        def a():
            yield
            raise OSError('late')
        @pytest.fixture
        def b(a): raise KeyError('early')
        def test(b): pass
        """,
        {"::test": ("errored", "setup", "KeyError: 'early'; teardown errored: OSError: late")},
    ),
    Case(
        "skipped_and_teardown_error",
        "import pytest\n@pytest.fixture\ndef f():\n yield\n raise OSError('late')\ndef test(f): pytest.skip('no')",
        {"::test": ("errored", "teardown", "OSError: late; call skipped: no")},
    ),
    Case(
        "module_teardown_error",
        "import pytest\n@pytest.fixture(scope='module')\ndef f():\n yield\n raise OSError('late')\n"
        "def test_a(f): pass\ndef test_b(f): pass",
        {"::test_a": "passed", "::test_b": ("errored", "teardown", "OSError: late")},
    ),
    # skipped, in its ways
    Case("skip_in_body", "import pytest\ndef test(): pytest.skip('no bench')", {"::test": ("skipped", None, "no bench")}, run="skipped"),
    Case(
        "skip_in_fixture",
        "import pytest\n@pytest.fixture\ndef f(): pytest.skip('no bench')\ndef test(f): pass",
        {"::test": ("skipped", None, "no bench")},
    ),
    Case("importorskip", "import pytest\ndef test(): pytest.importorskip('nonesuch_')", {"::test": ("skipped", None, "could not import")}),
    Case("skip_mark", "import pytest\n@pytest.mark.skip(reason='later')\ndef test(): pass", {"::test": (None, None, "later")}, run="skipped"),
    Case("skip_mark_positional", "import pytest\n@pytest.mark.skip('later')\ndef test(): pass", {"::test": (None, None, "later")}),
    Case("skip_mark_bare", "import pytest\n@pytest.mark.skip\ndef test(): pass", {"::test": (None, None, "unconditional skip")}),
    Case(
        "skipif",
        """
        import pytest, sys
        @pytest.mark.skipif(True, reason='always')
        def test_true(): pass
        @pytest.mark.skipif(False, reason='never')
        def test_false(): pass
        @pytest.mark.skipif("sys.version_info > (2,)")
        def test_text(): pass
        """,
        {"::test_true": (None, None, "always"), "::test_false": "passed", "::test_text": (None, None, "condition: sys.version")},
    ),
    Case("skipif_broken", "import pytest\n@pytest.mark.skipif('nonesuch')\ndef test(): pass", {"::test": ("errored", "setup", "")}),
    Case("skip_mark_of_class", "import pytest\n@pytest.mark.skip('c')\nclass Test:\n def test(self): pass", {"::test": (None, None, "c")}),
    Case("skip_mark_of_module", "import pytest\npytestmark = pytest.mark.skip('m')\ndef test(): pass", {"::test": (None, None, "m")}),
    Case(
        "skip_mark_of_one_variant",
        "import pytest\n@pytest.mark.parametrize('v', [1, pytest.param(2, marks=pytest.mark.skip('two')), 3])\ndef test(v): pass",
        {"[1]": "passed", "[2]": (None, None, "two"), "[3]": "passed"},
    ),
    Case(
        "skip_mark_from_conftest",
        "def test_a(): pass\ndef test_b(): pass",
        {"::test_a": (None, None, "dyn"), "::test_b": "passed"},
        files={
            "conftest.py": "import pytest\ndef pytest_collection_modifyitems(items):\n items[0].add_marker(pytest.mark.skip('dyn'))"
        },
    ),
    Case(
        "skip_in_setup_hook",
        "def test_a(): pass\ndef test_b(): pass",
        {"::test_a": ("skipped", None, "hook"), "::test_b": "passed"},
        files={
            "conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_setup(item):\n"
            " if item.name == 'test_a': pytest.skip('hook')"
        },
    ),
    Case(
        "error_in_setup_hook",
        "def test_a(): pass\ndef test_b(): pass",
        {"::test_a": ("errored", "setup", "OSError: hook"), "::test_b": "passed"},
        files={
            "conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_setup(item):\n"
            " if item.name == 'test_a': raise OSError('hook')"
        },
    ),
    Case(
        "skip_module_level",
        "def test(): pass",
        {"::test": "passed"},
        files={"test_b.py": "import pytest\npytest.skip('whole file', allow_module_level=True)\ndef test_no(): pass"},
    ),
    # xfail, in its ways
    Case(
        "xfail",
        "import pytest\n@pytest.mark.xfail(reason='known')\ndef test(): assert 0",
        {"::test": ("skipped", None, "xfail: known")},
    ),
    Case("xfail_bare", "import pytest\n@pytest.mark.xfail\ndef test(): assert 0", {"::test": ("skipped", None, "xfail")}),
    Case("xpass", "import pytest\n@pytest.mark.xfail(reason='k')\ndef test(): pass", {"::test": ("passed", None, "xpass: k")}, run="passed"),
    Case(
        "xpass_strict",
        "import pytest\n@pytest.mark.xfail(strict=True, reason='k')\ndef test(): pass",
        {"::test": ("failed", "call", "[XPASS(strict)] k")},
    ),
    Case("xfail_norun", "import pytest\n@pytest.mark.xfail(run=False, reason='k')\ndef test(): 1/0", {"::test": ("skipped", None, "xfail: [NOTRUN] k")}),
    Case(
        "xfail_raises_other",
        "import pytest\n@pytest.mark.xfail(raises=OSError)\ndef test(): raise KeyError(1)",
        {"::test": ("errored", "call", "KeyError: 1")},
    ),
    Case("xfail_in_body", "import pytest\ndef test(): pytest.xfail('mid')", {"::test": ("skipped", None, "xfail: mid")}),
    Case(
        "xfail_in_fixture",
        "import pytest\n@pytest.fixture\ndef f(): pytest.xfail('fix')\ndef test(f): pass",
        {"::test": ("skipped", None, "xfail: fix")},
    ),
    Case(
        "xfail_and_setup_error",
        "import pytest\n@pytest.fixture\ndef f(): 1/0\n@pytest.mark.xfail\ndef test(f): pass",
        {"::test": ("skipped", None, "xfail")},
    ),
    Case(
        "xfail_and_teardown_error",
        "import pytest\n@pytest.fixture\ndef f():\n yield\n 1/0\n@pytest.mark.xfail\ndef test(f): assert 0",
        {"::test": ("skipped", None, "xfail")},
    ),
    Case("runxfail", "import pytest\n@pytest.mark.xfail\ndef test(): assert 0", {"::test": ("failed", "call", "")}, args=("--runxfail",)),
    # unittest
    Case(
        "unittest",
        """
        import unittest
        class T(unittest.TestCase):
            def test_ok(self): self.assertEqual(1, 1)
            def test_bad(self): self.assertEqual(1, 2)
            def test_err(self): raise OSError('x')
            def test_skip(self): self.skipTest('now')
            @unittest.skip('deco')
            def test_deco(self): pass
            @unittest.skipIf(True, 'if')
            def test_if(self): pass
            @unittest.expectedFailure
            def test_xf(self): self.fail()
            @unittest.expectedFailure
            def test_xp(self): pass
        @unittest.skip('whole')
        class U(unittest.TestCase):
            def test_u(self): pass
        class S(unittest.TestCase):
            def setUp(self): raise OSError('setup')
            def test_s(self): pass
        class C(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise OSError('class')
            def test_c(self): pass
        class R(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise unittest.SkipTest('class says')
            def test_r(self): pass
        """,
        {
            "::test_ok": "passed",
            "::test_bad": ("failed", "call", "1 != 2"),
            "::test_err": ("errored", "call", "OSError: x"),
            "::test_skip": ("skipped", None, "now"),
            "::test_deco": (None, None, "deco"),
            "::test_if": (None, None, "if"),
            "::test_xf": ("skipped", None, "xfail"),
            "::test_xp": ("failed", "call", "Unexpected success"),
            "::test_u": (None, None, "whole"),
            "::test_s": ("errored", "call", "OSError: setup"),
            "::test_c": ("errored", "setup", "OSError: class"),
            "::test_r": ("skipped", None, "class says"),
        },
    ),
    Case(
        "unittest_subtest",
        """
        import unittest
        class T(unittest.TestCase):
            def test_sub(self):
                for i in range(3):
                    with self.subTest("even", i=i):
                        self.assertEqual(i % 2, 0)
            def test_good(self):
                with self.subTest(i=1): pass
        """,
        {"::test_sub": ("failed", "call", "subtest [even]"), "::test_good": "passed"},
        subtests=1,
        passed_over_subtests=1,
    ),
    Case(
        "subtests",
        """
        def test_sub(subtests):
            for i in range(4):
                with subtests.test("even", i=i):
                    assert i % 2 == 0, i
        def test_error_in_sub(subtests):
            with subtests.test(msg="boom"): raise OSError('x')
        def test_both(subtests):
            with subtests.test(msg="one"): assert 0
            raise KeyError('two')
        def test_good(subtests):
            with subtests.test(i=1): pass
        import pytest
        @pytest.fixture
        def late(): yield; raise OSError("late")
        def test_teardown(subtests, late):
            with subtests.test(msg="three"): assert 0
        """,
        {
            "::test_sub": ("failed", "call", "subtest [even] (i=1)"),
            "::test_error_in_sub": ("failed", "call", "subtest [boom]"),
            "::test_both": ("errored", "call", "KeyError: 'two'; call failed: subtest [one]: assert 0"),
            "::test_teardown": ("errored", "teardown", "OSError: late; call failed: subtest [three]: assert 0"),
            "::test_good": "passed",
        },
        subtests=5,
    ),
    # other kinds of items
    Case(
        "doctest",
        '''
        def good():
            """
            >>> 1 + 1
            2
            """
        def bad():
            """
            >>> 1 + 1
            3
            """
        def err():
            """
            >>> 1 / 0
            """
        def skipped():
            """
            >>> 1  # doctest: +SKIP
            """
        ''',
        {
            "::test_a.good": "passed",
            "::test_a.bad": ("failed", "call", "expected 3, got 2"),
            "::test_a.err": ("errored", "call", "ZeroDivisionError('division by zero')"),
            "::test_a.skipped": ("skipped", None, ""),
        },
        args=("--doctest-modules",),
    ),
    Case(
        "custom_items",
        "def test(): pass",
        {"::usecase one": "passed", "::two/x%": ("errored", "call", ""), "::three": ("failed", "call", ""), "::test": "passed"},
        files={
            "spec.yaml": "usecase one\ntwo/x%\nthree\n",
            "conftest.py": """
            import pytest
            def pytest_collect_file(parent, file_path):
                if file_path.suffix == ".yaml":
                    return YamlFile.from_parent(parent, path=file_path)
            class YamlFile(pytest.File):
                def collect(self):
                    for line in self.path.read_text().splitlines():
                        yield YamlItem.from_parent(self, name=line)
            class YamlItem(pytest.Item):
                def runtest(self):
                    if self.name.startswith("two"): raise OSError("x")
                    if self.name == "three": assert 0
                def repr_failure(self, excinfo): return "usecase failed\\nbecause"
                def reportinfo(self): return self.path, 0, "usecase"
            """,
        },
    ),
    Case(
        "asyncio",
        """
        import asyncio, pytest
        @pytest.mark.asyncio
        async def test_ok(): await asyncio.sleep(0)
        @pytest.mark.asyncio
        async def test_bad(): assert 0
        """,
        {"::test_ok": "passed", "::test_bad": ("failed", "call", "assert 0")},
        needs=("pytest_asyncio",),
    ),
    Case(
        "async_unittest",
        "import unittest\nclass T(unittest.IsolatedAsyncioTestCase):\n async def test(self): self.assertTrue(False)",
        {"::test": ("failed", "call", "")},
    ),
    # executed again
    Case(
        "reruns",
        """
        import pytest
        seen = []
        def test_flaky():
            seen.append(1)
            assert len(seen) > 2
        def test_never(): raise OSError('always')
        def test_once(): pass
        """,
        {"::test_flaky": "passed", "::test_never": ("errored", "call", "OSError: always"), "::test_once": "passed"},
        args=("--reruns", "2"),
        run="errored",
        attempts=3,
        needs=("pytest_rerunfailures",),
    ),
    Case(
        "rerun_to_pass",
        """
        import pytest
        seen = []
        @pytest.fixture
        def f():
            seen.append(1)
            assert len(seen) > 1
        def test(f): pass
        """,
        {"::test": "passed"},
        args=("--reruns", "3"),
        run="passed",
        attempts=3,
        needs=("pytest_rerunfailures",),
    ),
    Case(
        "own_word_for_an_attempt",
        "seen = []\ndef test():\n seen.append(1)\n assert len(seen) > 1",
        {"::test": "passed"},
        files={
            "conftest.py": """
            import pytest
            from _pytest.runner import runtestprotocol
            def pytest_runtest_protocol(item, nextitem):
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                for attempt in range(2):
                    for report in runtestprotocol(item, log=False, nextitem=nextitem):
                        if report.failed: report.outcome = "retried"
                        item.ihook.pytest_runtest_logreport(report=report)
                return True
            def pytest_report_teststatus(report):
                if report.outcome == "retried": return "retried", "R", "RETRIED"
            """
        },
        attempts=2,
    ),
    Case(
        "own_protocol",
        "def test(): pass\ndef test_bad(): assert 0",
        {"::test": "passed", "::test_bad": ("failed", "call", "assert 0")},
        files={
            "conftest.py": """
            from _pytest.runner import runtestprotocol
            def pytest_runtest_protocol(item, nextitem):
                reports = runtestprotocol(item, log=False, nextitem=nextitem)
                for report in reports:
                    item.ihook.pytest_runtest_logreport(report=report)
                return True
            """
        },
    ),
    Case(
        "in_a_forked_child",
        """
        import os, pytest
        def test(record_property): record_property("k", 3)
        def test_bad(): assert 0
        def test_err(): 1/0
        def test_die(): os._exit(3)
        def test_die_too(): os._exit(3)
        @pytest.mark.xfail
        def test_die_as_expected(): os._exit(3)
        def test_sub(subtests):
            with subtests.test("a"): pass
        @pytest.mark.skip(reason="later")
        def test_marked(): pass
        def test_skips(): pytest.skip("now")
        """,
        {
            "::test": "passed",
            "::test_bad": ("failed", "call", "assert 0"),
            "::test_err": ("errored", "call", "Zero"),
            "::test_die": ("errored", "call", "died"),
            "::test_die_too": ("errored", "call", "died"),
            "::test_die_as_expected": ("skipped", None, "xfail: known; died"),
            "::test_marked": (None, None, "later"),
            "::test_skips": ("skipped", None, "now"),
        },
        files={"conftest.py": FORKED},
    ),
    Case(
        "skipped_by_marker_and_wider_teardown",
        "import pytest\n@pytest.fixture(scope='module')\ndef m():\n yield\n raise OSError('late')\ndef test(m): pass\n@pytest.mark.skip('not now')\ndef test_last(): pass",
        {"::test": "passed", "::test_last": ("errored", "teardown", "OSError: late; setup skipped: not now")},
    ),
    Case("no_cacheprovider_q", "def test(): pass", {"::test": "passed"}, args=("-q",)),
    Case("verbose", "def test(): pass", {"::test": "passed"}, args=("-vv", "-rA")),
    Case("importlib_mode", "class Test:\n def test(self): pass", {"::test": "passed"}, args=("--import-mode=importlib",)),
]


@pytest.mark.parametrize("case", [pytest.param(c, id=c.name, marks=needs(*c.needs)) for c in CASES])
def test_outcomes(case, suite):
    if case.subtests and pytest.version_tuple < (9,):
        pytest.skip("subtests are pytest's own, and counted so, from 9 on")
    suite.write({"test_a.py": case.body, **case.files})
    record = suite.run(*case.args)
    rows = {row["node_id"]: row for row in record.rows}
    for end, want in case.want.items():
        outcome, phase, words = want if isinstance(want, tuple) else (want, None, None)
        row = record.row(end)
        assert row.outcome == outcome, (row, record.out)
        assert row.phase == phase, row
        if words is not None:
            assert words in (row.message or ""), row
        if outcome is None:
            assert row.reason == "skip_marker"
        assert len(row.attempts) <= case.attempts, row
        assert "\n" not in (row.message or "") and "\x00" not in (row.message or "")
    if case.run:
        assert record.run_ended["outcome"] == case.run
    assert record.line
    assert len(rows) == len(record.plan)
    record.check_against_pytest(case.subtests, case.passed_over_subtests)


def test_an_attempt_whose_report_a_plugin_withholds(suite):
    """The plugin flaky does so with every attempt but the last."""
    hook = """
        from _pytest.runner import call_and_report
        def pytest_runtest_protocol(item, nextitem):
            for last in (False, True):
                item._initrequest()
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                call_and_report(item, "setup")
                call_and_report(item, "call", log=last)
                call_and_report(item, "teardown", nextitem=nextitem)
            return True
    """
    body = "import pytest\nran = []\ndef test_a():\n ran.append(1)\n assert len(ran) > 1\ndef test_b():\n if len(ran) == 1: pytest.skip()\n ran.pop()\ndef test_c(): 1/0"
    suite.write({"conftest.py": hook, "test_a.py": body})
    record = suite.run()
    assert [row.attempts for row in record.rows] == [["failed", "passed"], ["passed", "skipped"], ["errored", "errored"]]
    record.check_against_pytest()


@pytest.mark.parametrize("marker", [pytest.param("flaky(reruns=2)", marks=needs("pytest_rerunfailures")), "retry(times=2)"])
def test_every_attempt_that_passed_against_strict_expectation_failed(suite, marker):
    suite.write({"test_a.py": f"import pytest\n@pytest.mark.{marker}\n@pytest.mark.xfail(strict=True, reason='known')\ndef test(): pass"})
    record = suite.run()
    (row,) = record.rows
    assert row.attempts == ["failed"] * 3
    assert [event["message"] for event in record.of("test.step_ended")] == ["[XPASS(strict)] known"] * 3


@needs("pytest_rerunfailures", "xdist")
@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_rerun_that_a_marker_skips(suite, arguments):
    """The first attempt failed in the teardown of a module; it has a row, and the last one counts."""
    body = "import pytest\n@pytest.fixture(scope='module')\ndef m():\n yield\n raise OSError('late')\ndef test(m): pass\n@pytest.mark.skip('not now')\ndef test_last(): pass"
    suite.write({"test_a.py": body})
    record = suite.run("--reruns", "1", *arguments)
    row = record.row("::test_last")
    assert (row.attempts, row.message, row.reason) == (["errored", "skipped"], "not now", None)
    assert (record.code, record.run_ended["outcome"]) == (0, "passed")
    record.check_parquet()


@needs("pytest_rerunfailures")
def test_every_rerun_is_on_record(suite):
    suite.write({"test_a.py": "n = []\ndef test():\n n.append(1)\n assert len(n) > 2, 'not yet'"})
    record = suite.run("--reruns", "5")
    (row,) = record.rows
    assert row.attempts == ["failed", "failed", "passed"]
    assert [event["retry"] for event in record.of("test.step_started")] == [0, 1, 2]
    assert [event["retry"] for event in record.of("test.step_ended")] == [0, 1, 2]


def test_what_a_forked_child_has_to_say(suite):
    """Its measurements and properties are on record, and a measurement that failed is in the verdict."""
    suite.write(
        {
            "conftest.py": FORKED,
            "test_a.py": """
            import os
            def test_dies(): os._exit(3)
            def test_good(measure, record_property):
                record_property("k", 3)
                measure("volts", 3.3, low=3)
            def test_bad(measure): measure("volts", 2.7, low=3)
            """,
        }
    )
    record = suite.run()
    assert record.code == 1
    assert [row.outcome for row in record.rows] == ["errored", "passed", "failed"]
    assert record.row("::test_good").ended["outputs"] == {"k": 3}
    assert "volts = 2.7" in record.row("::test_bad").message
    measured = [(event["step_path"], event["outcome"]) for event in record.of("test.measurement")]
    assert measured == [("test_a.py/test_good", "passed"), ("test_a.py/test_bad", "failed")]
    if record.parquet is not None:
        rows = [row for row in record.parquet if row["record_type"] == "measurement"]
        assert [(row["step_node_id"], row["vector_outcome"]) for row in rows] == [("test_a.py::test_good", "passed"), ("test_a.py::test_bad", "failed")]


def test_a_child_that_comes_out_of_the_test_body(suite):
    """It goes on as a pytest of its own; what it runs again is not on record twice."""
    suite.write(
        {
            "test_a.py": """
            import os, sys
            def test_forks():
                child = os.fork()
                if child == 0: sys.exit(0)
                os.waitpid(child, 0)
            def test_after(measure): measure("volts", 3.3, low=3)
            """
        }
    )
    record = suite.run("-p", "no:terminal")
    assert [row.attempts for row in record.rows] == [["passed"], ["passed"]]
    assert [event["step_path"] for event in record.of("test.measurement")] == ["test_a.py/test_after"]


def test_continue_on_collection_errors(suite):
    suite.write({"test_a.py": "def test(): pass", "test_b.py": "import nonesuch_"})
    record = suite.run("--continue-on-collection-errors")
    assert record.code == 1
    assert record.counts() == {"passed": 1}
    assert record.run_ended["outcome"] == "errored"
    record.check_against_pytest()


@pytest.mark.parametrize(
    "files, planned",
    [
        ({"test_a.py": "def test(): pass\ndef test_2(): pass", "test_b.py": "import nonesuch_"}, 2),
        ({"test_b.py": "import nonesuch_"}, 0),
        ({"test_a.py": "def test(): pass", "test_b.py": "def test(:\n"}, 1),
        ({"test_a.py": "def test(): pass", "test_b.py": "import pytest\n@pytest.mark.parametrize('x', [1])\ndef test(): pass"}, 1),
    ],
    ids=["import", "only", "syntax", "parametrize"],
)
def test_collection_error(suite, files, planned):
    suite.write(files)
    record = suite.run()
    assert record.code == 2
    assert record.counts() == ({None: planned} if planned else {})
    assert record.run_ended["outcome"] == "errored"
    assert record.run_ended["stop_reason"] == "collection error"
    (event,) = record.of("diagnostic.error")
    assert "test_b.py" in event["message"]
    assert record.reasons() <= {"collection_error"}
    record.check_against_pytest()


def test_collection_error_that_ends_collection(suite):
    """With -x pytest does not come to its loop; what it had collected is on record all the same."""
    suite.write({"test_a.py": "def test(): pass", "test_b.py": "import nonesuch_", "test_c.py": "def test(): pass"})
    record = suite.run("-x")
    assert record.code == suite.run("-x", "--litmus-off").code
    assert record.counts() == {None: 1}
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "collection error")
    assert record.reasons() <= {"collection_error"}
    record.check_against_pytest()


@pytest.mark.parametrize(
    "args, code",
    [
        (("--collect-only",), 0),
        (("--help",), 0),
        (("--version",), 0),
        (("--fixtures",), 0),
        (("--markers",), 0),
        (("--setup-plan",), 0),
        (("nonesuch.py",), 4),
        (("--litmus-off",), 0),
        (("-p", "no:litmus"), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_nothing_runs_nothing_is_recorded(suite, args, code):
    suite.write({"test_a.py": "def test(): pass"})
    record = suite.run(*args)
    assert (record.code, record.events) == (code, [])
    assert "litmus: " not in record.out
    assert not list(suite.data_dir.glob("*/*/*"))


def test_no_tests_at_all(suite):
    record = suite.run()
    assert (record.code, record.events) == (5, [])
