# SPDX-License-Identifier: Apache-2.0
"""The plan on record is what pytest collected: every item once, in order, with all its fields."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import subprocess
import sys

import pytest
from harness import needs, real_core

ITEM_KEYS = {
    "node_id", "name", "file", "module", "class_name", "function", "markers", "step_path", "parent_path", "step_index",
    "skip_reason", "vector_index", "vector_count_planned",
}  # fmt: skip

# name -> files, options, {step_path: number of vectors} in order
PLANS = {
    "function": ({"test_a.py": "def test(): pass"}, (), {"test_a.py/test": 1}),
    "same_name_in_two_files": (
        {"a/test_x.py": "def test(): pass", "b/test_y.py": "def test(): pass", "a/__init__.py": "", "b/__init__.py": ""},
        (),
        {"a/test_x.py/test": 1, "b/test_y.py/test": 1},
    ),
    "same_name_in_two_classes": (
        {"test_a.py": "class TestA:\n def test(self): pass\nclass TestB:\n def test(self): pass\ndef test(): pass"},
        (),
        {"test_a.py/TestA/test": 1, "test_a.py/TestB/test": 1, "test_a.py/test": 1},
    ),
    "nested_class": (
        {"test_a.py": "class TestA:\n class TestB:\n  class TestC:\n   def test(self): pass\n  def test(self): pass"},
        (),
        {"test_a.py/TestA/TestB/TestC/test": 1, "test_a.py/TestA/TestB/test": 1},
    ),
    "inherited": (
        {"base.py": "class Base:\n def test(self): pass", "test_a.py": "from base import Base\nclass TestA(Base): pass\nclass TestB(Base): pass"},
        (),
        {"test_a.py/TestA/test": 1, "test_a.py/TestB/test": 1},
    ),
    "parametrize": (
        {"test_a.py": "import pytest\n@pytest.mark.parametrize('v', [1, 2, 3])\ndef test(v): pass\ndef test_b(): pass"},
        (),
        {"test_a.py/test": 3, "test_a.py/test_b": 1},
    ),
    "stacked": (
        {"test_a.py": "import pytest\n@pytest.mark.parametrize('a', [1, 2])\n@pytest.mark.parametrize('b', 'xyz')\ndef test(a, b): pass"},
        (),
        {"test_a.py/test": 6},
    ),
    "parametrized_class": (
        {
            "test_a.py": "import pytest\n@pytest.mark.parametrize('a', [1, 2])\nclass Test:\n def test_1(self, a): pass\n def test_2(self, a): pass"
        },
        (),
        {"test_a.py/Test/test_1": 2, "test_a.py/Test/test_2": 2},
    ),
    "fixture_params": (
        {"test_a.py": "import pytest\n@pytest.fixture(params=[1, 2, 3, 4])\ndef f(request): return request.param\ndef test(f): pass"},
        (),
        {"test_a.py/test": 4},
    ),
    "scoped_fixture_params_reorder": (
        {
            "test_a.py": """
            import pytest
            @pytest.fixture(params=[1, 2], scope="module")
            def f(request): return request.param
            def test_1(f): pass
            def test_2(f): pass
            """
        },
        (),
        {"test_a.py/test_1": 2, "test_a.py/test_2": 2},
    ),
    "indirect": (
        {
            "test_a.py": "import pytest\n@pytest.fixture\ndef f(request): return request.param\n"
            "@pytest.mark.parametrize('f', [1, 2], indirect=True)\ndef test(f): pass"
        },
        (),
        {"test_a.py/test": 2},
    ),
    "generate_tests": (
        {"test_a.py": "def pytest_generate_tests(metafunc): metafunc.parametrize('v', range(3), ids=str)\ndef test(v): pass"},
        (),
        {"test_a.py/test": 3},
    ),
    "ids_of_any_unicode": (
        {
            "test_a.py": r"""
            import pytest
            @pytest.mark.parametrize('v', ["3,3 V", "Ω", "日本", "a/b%", "[x]", "]", "\x00\x1b\n", "\ud800", "", " ", "é"])
            def test(v): pass
            """,
            "pytest.ini": "[pytest]\ndisable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n",
        },
        ("-p", "no:cacheprovider"),  # which breaks on a lone surrogate, and pytest with it
        {"test_a.py/test": 11},
    ),
    "ids_escaped": (
        {"test_a.py": "import pytest\n@pytest.mark.parametrize('v', ['Ω', b'\\xff', '\\ud800', '\\n'])\ndef test(v): pass"},
        (),
        {"test_a.py/test": 4},
    ),
    "same_id_twice": (
        {"test_a.py": "import pytest\n@pytest.mark.parametrize('v', [1, 1, 1], ids=['a', 'a', 'a'])\ndef test(v): pass"},
        (),
        {"test_a.py/test": 3},
    ),
    "unittest": (
        {"test_a.py": "import unittest\nclass T(unittest.TestCase):\n def test_1(self): pass\n def test_2(self): pass"},
        (),
        {"test_a.py/T/test_1": 1, "test_a.py/T/test_2": 1},
    ),
    "doctests": (
        {"test_a.py": '"""\n>>> 1\n1\n"""\ndef f():\n  """\n  >>> 1\n  1\n  """\ndef test(): pass', "README.txt": ">>> 2\n2\n"},
        ("--doctest-modules", "--doctest-glob=*.txt"),
        {"README.txt/README.txt": 1, "test_a.py/test_a": 1, "test_a.py/test_a.f": 1, "test_a.py/test": 1},
    ),
    "file_twice": (
        {"test_a.py": "def test_1(): pass\ndef test_2(): pass"},
        ("--keep-duplicates", "test_a.py", "test_a.py"),
        {"test_a.py/test_1": 2, "test_a.py/test_2": 2},
    ),
    "duplicated_by_a_plugin": (
        {"test_a.py": "def test_1(): pass\ndef test_2(): pass", "conftest.py": "def pytest_collection_modifyitems(items): items += [items[0]]"},
        (),
        {"test_a.py/test_1": 2, "test_a.py/test_2": 1},
    ),
    "reordered": (
        {"test_a.py": "def test_1(): pass\ndef test_2(): pass", "conftest.py": "def pytest_collection_modifyitems(items): items.reverse()"},
        (),
        {"test_a.py/test_2": 1, "test_a.py/test_1": 1},
    ),
    "keyword": ({"test_a.py": "def test_1(): pass\ndef test_2(): pass"}, ("-k", "test_2"), {"test_a.py/test_2": 1}),
    "deselect": ({"test_a.py": "def test_1(): pass\ndef test_2(): pass"}, ("--deselect", "test_a.py::test_2"), {"test_a.py/test_1": 1}),
    "marker": (
        {
            "test_a.py": "import pytest\n@pytest.mark.slow\ndef test_1(): pass\ndef test_2(): pass",
            "pytest.ini": "[pytest]\nmarkers = slow\n",
        },
        ("-m", "slow"),
        {"test_a.py/test_1": 1},
    ),
    "node_id_given": (
        {"test_a.py": "import pytest\n@pytest.mark.parametrize('v', 'ab')\ndef test_1(v): pass\ndef test_2(): pass"},
        ("test_a.py::test_1[b]",),
        {"test_a.py/test_1": 1},
    ),
    "custom": (
        {
            "x.yaml": "one\ntwo/three%\none\n[four]\nfive[6]\n",
            "conftest.py": """
            import pytest
            def pytest_collect_file(parent, file_path):
                if file_path.suffix == ".yaml": return F.from_parent(parent, path=file_path)
            class Group(pytest.Collector):
                def collect(self): yield I.from_parent(self, name="inner")
            class F(pytest.File):
                def collect(self):
                    for n in self.path.read_text().split(): yield I.from_parent(self, name=n)
                    yield Group.from_parent(self, name="g/1")
            class I(pytest.Item):
                def runtest(self): pass
            """,
        },
        (),
        {"x.yaml/one": 2, "x.yaml/two%2Fthree%25": 1, "x.yaml/[four]": 1, "x.yaml/five[6]": 1, "x.yaml/g%2F1/inner": 1},
    ),
    "file_with_odd_name": (
        {"dir with space/test_ü%.py": "def test(): pass"},
        ("--import-mode=importlib",),
        {"dir with space/test_ü%.py/test": 1},
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_plan(name, suite):
    files, args, want = PLANS[name]
    suite.write(files)
    record = suite.run(*args)
    surrogates = name == "ids_of_any_unicode"  # pytest itself cannot set PYTEST_CURRENT_TEST to one: an error of its own
    assert record.code == int(surrogates), record.out + record.err
    plan = record.plan
    assert all(set(item) == ITEM_KEYS for item in plan)

    vectors: dict = {}
    for item in plan:
        vectors.setdefault(item["step_path"], []).append(item)
    assert {path: len(items) for path, items in vectors.items()} == want
    assert list(vectors) == list(want)
    for index, (path, items) in enumerate(vectors.items()):
        assert [item["vector_index"] for item in items] == list(range(len(items)))
        assert {item["vector_count_planned"] for item in items} == {len(items)}
        assert {item["step_index"] for item in items} == {index}
        assert {item["parent_path"] for item in items} == {path.rpartition("/")[0]}

    (event,) = record.of("test.steps_discovered")
    text = "".join(f"{item['step_path']}\0{item['vector_index']}\n" for item in plan)
    assert event["plan_digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert record.counts() == ({"passed": 10, "errored": 1} if surrogates else {"passed": len(plan)})
    record.check_against_pytest()
    if not surrogates:  # and an id with a line feed is no line
        assert suite.collected(*args) == [item["node_id"] for item in plan]


def test_item_fields(suite):
    suite.write(
        {
            "pkg/__init__.py": "",
            "pkg/test_power.py": """
            import pytest
            pytestmark = pytest.mark.bench
            class TestPower:
                @pytest.mark.rail("5V")
                @pytest.mark.parametrize("v", [3.3])
                @pytest.mark.skip(reason="no load")
                def test_v(self, v): pass
                class TestDeep:
                    def test_w(self): pass
            """,
            "pytest.ini": "[pytest]\nmarkers =\n bench\n rail\n",
        }
    )
    record = suite.run()
    first, second = record.plan
    assert first == {
        "node_id": "pkg/test_power.py::TestPower::test_v[3.3]",
        "name": "test_v[3.3]",
        "file": "pkg/test_power.py",
        "module": "pkg.test_power",
        "class_name": "TestPower",
        "function": "test_v",
        "markers": "bench,parametrize,rail,skip",
        "step_path": "pkg/test_power.py/TestPower/test_v",
        "parent_path": "pkg/test_power.py/TestPower",
        "step_index": 0,
        "skip_reason": "no load",
        "vector_index": 0,
        "vector_count_planned": 1,
    }
    assert second["class_name"] == "TestPower.TestDeep"
    assert second["markers"] == "bench"
    assert second["skip_reason"] is None
    (not_run,) = record.of("test.step_not_run")
    assert (not_run["node_id"], not_run["reason"], not_run["message"]) == (first["node_id"], "skip_marker", "no load")


def test_items_of_other_plugins_have_no_function(suite):
    files, _, _ = PLANS["custom"]
    suite.write(files)
    item = suite.run().plan[0]
    assert [item[key] for key in ("node_id", "name", "file", "module", "class_name", "function")] == [
        "x.yaml::one", "one", "x.yaml", None, None, None
    ]  # fmt: skip


def test_deselected_are_counted(suite):
    suite.write({"test_a.py": "import pytest\n@pytest.mark.parametrize('v', range(9))\ndef test(v): pass"})
    record = suite.run("-k", "1 or 2", "--deselect", "test_a.py::test[1]")
    assert record.of("test.steps_discovered")[0]["deselected_count"] == 8
    assert len(record.plan) == 1
    record.check_against_pytest()


@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["one", "xdist"])
def test_a_run_of_which_all_is_deselected_is_on_record(suite, more):
    """`-m prodution`: else what is asked about the last run hears of the one before."""
    suite.write({"test_a.py": "def test_1(): pass\ndef test_2(): pass"})
    record = suite.run("-k", "nothing", *more)
    assert record.code == 5
    assert [event["deselected_count"] for event in record.of("test.steps_discovered")] == [2]
    assert record.plan == [] and record.run_ended["outcome"] == "skipped" and " 0 planned" in record.line
    if real_core():
        assert " 0 planned, 2 deselected  -> " in record.line
        shown = subprocess.run([pathlib.Path(sys.executable).with_name("litmus"), "show", "-d", record.data_dir], capture_output=True, text=True, timeout=600)
        assert shown.stdout.count("\n\n") == 1 and shown.stdout.endswith("\n\n0 planned; 2 deselected\n")


def test_the_same_plan_has_the_same_digest(suite):
    suite.write({"test_a.py": "import os, pytest\n@pytest.mark.parametrize('v', range(int(os.environ['N'])))\ndef test(v): pass"})
    digests = []
    for number in ("2", "2", "3"):
        suite.run(env={"N": number})
        digests = [event["plan_digest"] for event in suite.events() if event["event_type"] == "test.steps_discovered"]
    assert len(digests) == 3
    assert len(set(digests)) == 2


def test_outside_of_the_root_directory(suite, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "test_o.py").write_text("def test(): pass")
    suite.write({"test_a.py": "def test(): pass"})
    record = suite.run("--rootdir", str(suite.path), "test_a.py", str(tmp_path / "elsewhere" / "test_o.py"))
    assert record.counts() == {"passed": 2}
    assert [item["node_id"].split("::")[0] for item in record.plan] == [item["file"] for item in record.plan]


def test_inputs_are_what_the_test_was_given(suite):
    suite.write(
        {
            "test_a.py": r"""
            import pytest, collections, enum
            class Color(enum.Enum): RED = 1
            class Bad:
                def __repr__(self): raise RuntimeError("no repr")
            class Text(str): pass
            loop = []; loop.append(loop)
            VALUES = [1, 1.0, True, None, "Ω", "\ud800", b"\xff", 2**70, -2**63, float("nan"), float("inf"),
                      [1, {"a": (2, 3)}], {1: 2}, Color.RED, Bad(), Text("t"), object, loop, "x" * 100_000, {"deep": [[[[[[[[[[1]]]]]]]]]]}]
            @pytest.mark.parametrize("v", VALUES, ids=range(len(VALUES)))
            def test(v): pass
            """
        }
    )
    record = suite.run()
    assert record.counts() == {"passed": 20}, record.out
    got = [event["inputs"]["v"] for event in record.of("test.step_ended")]
    assert got[:5] == [1, 1.0, True, None, "Ω"]
    assert isinstance(got[0], int) and isinstance(got[1], float) and isinstance(got[2], bool)
    assert got[5] == r"\ud800"
    assert got[6] == r"b'\xff'"
    assert got[7:9] == [str(2**70), -(2**63)]
    assert got[9:11] == [None, None]
    assert got[11:13] == [[1, {"a": [2, 3]}], {"1": 2}]
    assert got[13] == "<Color.RED: 1>"
    assert "RuntimeError" in got[14]
    assert got[15] == "'t'"
    assert got[18] == "x" * 100_000
    record.check_against_pytest()


def test_properties_are_outputs(suite):
    suite.write({"test_a.py": "def test(record_property):\n record_property('volts', 3.3)\n record_property('volts', 3.4)\n record_property('who', object)"})
    (event,) = suite.run().of("test.step_ended")
    assert event["outputs"] == {"volts": 3.4, "who": "<class 'object'>"}


def test_description_is_the_first_line_of_the_docstring(suite):
    suite.write({"test_a.py": 'def test():\n    """\n    Rail comes up.\n\n    More.\n    """'})
    (event,) = suite.run().of("test.step_started")
    assert event["description"] == "Rail comes up."


def test_the_plan_comes_after_what_connects_instruments(suite):
    suite.write(
        {
            "test_a.py": "def test(): pass",
            "conftest.py": """
            from litmus import _part
            def connect(recorder):
                recorder.emit("fixture.instrument_connected", {"role": "dmm", "instrument_id": "1", "resource": "GPIB0::1"})
            _part.before_plan.append(connect)
            """,
        }
    )
    types = suite.run().types
    assert types[:5] == [
        "session.started", "run.started", "fixture.instrument_connected", "test.steps_discovered", "test.step_started"
    ]  # fmt: skip


def test_a_plan_of_50000_is_quick(tmp_path):
    """The loop itself: <= 1 s between collection and first test is the goal for all of it."""
    import time

    from litmus._plan import Plan

    class Item:
        own_markers = ()
        originalname = "test"
        user_properties = ()

        def __init__(self, parent, number):
            self.parent = parent
            self.name = f"test[{number}]"
            self.nodeid = f"test_a.py::test[{number}]"

    class Session:
        parent = None
        name = nodeid = ""

        def iter_markers(self):
            return iter(())

    session = Session()
    items = [Item(session, number) for number in range(50_000)]
    start = time.process_time()
    plan = Plan(items)
    digest = plan.digest()
    took = time.process_time() - start
    assert len(plan.entries) == 50_000 and len(digest) == 64
    assert plan.entries[-1]["vector_index"] == 49_999
    assert took < 1.0


@needs("xdist")
def test_group_suffix_is_no_part_of_the_node_id(suite):
    suite.write(
        {
            "test_a.py": "import pytest\n@pytest.mark.xdist_group('g')\n@pytest.mark.parametrize('v', range(4))\ndef test(v): pass\ndef test_b(): pass"
        }
    )
    record = suite.run("-n", "2", "--dist", "loadgroup")
    assert [item["node_id"] for item in record.plan] == [f"test_a.py::test[{n}]" for n in range(4)] + ["test_a.py::test_b"]
    record.check_against_pytest()


CACHED = """
import pytest
@pytest.mark.parametrize("x", [1, 2, 3])
def test_p(x): assert x != 2
@pytest.mark.vectors(v=[1, 2, 3])
def test_sweep(vectors, verify):
    for v in vectors: verify("v", v.v, (0, 2))
def test_last(): pass
"""


def test_what_pytest_remembers_decides_the_plan(suite):
    """--lf, --ff and --sw: what is planned is what pytest collects then, in its order, and the verdicts are its own."""
    suite.write({"test_a.py": CACHED, "test_b.py": "def test_b(): assert 0\n"})
    suite.run()
    for option, failed, left in (("--lf", 3, 0), ("--ff", 3, 0), ("--sw", 1, 6), ("--sw-skip", 2, 2)):
        shutil.rmtree(suite.data_dir)
        collected = suite.collected(option)
        record = suite.run(option)
        planned = [row["node_id"] for row in record.plan if row["vector_index"] == 0 or "sweep" not in row["node_id"]]
        assert planned == collected, option
        assert record.summary["failed"] == failed and record.counts().get("failed") == failed, option
        assert sum(row["never_ran_reason"] not in (None, "sweep_stopped") for row in record.parquet if row["record_type"] == "step") == left, option
        record.check_order()
        record.check_parquet()
