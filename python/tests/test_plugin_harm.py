# SPDX-License-Identifier: Apache-2.0
"""Recording must not hurt: whatever is wrong with it, tests, exit code and output stay as they are,
but for one line that says what is missing and what to do about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from harness import needs

from litmus.plugin import NOT_RECORDED

SUITE = {"test_a.py": "def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass"}


def plain(out: str) -> list:
    """The output without our line and without what differs from run to run."""
    lines = [line for line in out.splitlines() if not line.startswith("litmus:")]
    return [re.sub(r"in \d+\.\d+s|\d+ms", "in 0s", line).strip("= ") for line in lines]


@pytest.mark.parametrize("args", [(), ("-q",), ("-qq",), ("-v",), ("-rA",), ("--no-summary",), ("--tb=no", "-v"), ("-x",), ("--junitxml=j.xml",)], ids=str)
def test_output_is_as_without_but_for_one_line(suite, args):
    suite.write(SUITE)
    without = suite.run("--litmus-off", *args)
    record = suite.run(*args)
    assert plain(record.out) == plain(without.out)
    assert record.err == without.err
    assert record.code == without.code
    if args != ("--no-summary",) or pytest.version_tuple >= (9,):  # before, it left out every plugin's
        assert record.line.startswith("litmus: run ")


def test_silent_without_terminal(suite):
    suite.write(SUITE)
    record = suite.run("-p", "no:terminal")
    assert (record.code, record.out) == (1, "")
    assert record.counts() == {"passed": 2, "failed": 1}


def broken_folders() -> list:
    rows = [("data_dir_is_a_file", "file")]
    if os.geteuid() != 0:
        rows.append(("unwritable", "readonly"))
    rows += [("below_a_file", "below"), ("no_such_device", "/proc/litmus"), ("full_device", "/dev/full/x")]
    return rows


@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in broken_folders()])
@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_data_dir_that_cannot_be_used(suite, tmp_path, kind, args):
    if not suite.real:
        pytest.skip("needs the core")
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("x")
    elif kind == "readonly":
        target.mkdir(mode=0o555)
    elif kind == "below":
        target.write_text("x")
        target = target / "data"
    else:
        target = kind
    suite.write(SUITE)
    record = suite.run(*args, env={"LITMUS_DATA_DIR": str(target)})
    assert record.code == 1
    assert record.summary["passed"] == 2 and record.summary["failed"] == 1
    assert record.line.startswith("litmus: not recorded: ")
    assert str(target) in record.line
    required = suite.run("--litmus-required", *args, env={"LITMUS_DATA_DIR": str(target)})
    assert required.code == NOT_RECORDED
    assert str(target) in required.out + required.err


FAILURES = [
    # what fails, how many events that costs, whether a file comes of it
    ("open", 0, False),
    ("emit:run.started", 1, True),
    ("emit:test.steps_discovered", 1, True),
    ("emit:test.step_started", 2, True),
    ("emit:test.step_ended", 2, True),
    ("emit:run.ended", 1, False),
    ("close", 0, False),
]


@pytest.mark.parametrize("what, lost, file", FAILURES, ids=[row[0] for row in FAILURES])
def test_a_recorder_that_fails(fake_suite, what, lost, file):
    fake_suite.write({"test_a.py": "def test_1(): pass\ndef test_2(): pass"})
    record = fake_suite.run(env={"LITMUS_FAKE_FAIL": what})
    assert record.code == 0
    assert record.summary == {"passed": 2}
    words = ("with gaps" if file else "litmus: not recorded") + (f" ({lost} events lost)" if lost else "") + ": "
    assert words in record.line
    assert record.line.endswith(("no space left", "no space left; free some", "cannot materialise"))
    if lost and file:  # the record says so, too, and does not look like a pass
        assert record.run_ended["outcome"] == "errored"
        assert f"{lost} events are not on record: " in record.of("diagnostic.error")[-1]["message"]
    assert fake_suite.run("--litmus-required", env={"LITMUS_FAKE_FAIL": what}).code == NOT_RECORDED
    assert fake_suite.run(env={"LITMUS_FAKE_FAIL": what, "LITMUS_REQUIRED": "1"}).code == NOT_RECORDED


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_disk_that_is_full_for_a_while(suite, args):
    """The tests that ran meanwhile are not called never run without a word: their rows say that recording failed there, and what they came to."""
    if not suite.real:
        pytest.skip("needs the core")
    suite.write({"test_a.py": "def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass\n"})
    suite.write({"conftest.py": (
        "import pytest, resource\n"
        "@pytest.hookimpl(hookwrapper=True, tryfirst=True)\n"
        "def pytest_runtest_protocol(item):\n"
        "    limit = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "    if item.name == 'test_2': resource.setrlimit(resource.RLIMIT_FSIZE, (1, limit[1]))\n"
        "    yield\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, limit)\n"
    )})
    record = suite.run(*args)
    assert record.code == 1 and "with gaps (" in record.line
    rows = {row["step_node_id"].rpartition(":")[2]: row for row in record.parquet if row["record_type"] == "step"}
    assert [rows[name]["vector_outcome"] for name in ("test_1", "test_2", "test_3")] == ["passed", None, "passed"]
    assert rows["test_2"]["never_ran_reason"] == "unknown" and "recording failed there: it ran (failed), and none of it is on record: " in rows["test_2"]["step_message"]


@needs("xdist")
@pytest.mark.parametrize("what", ["open", "emit:test.step_ended", "emit:test.steps_discovered", "close"])
def test_a_recorder_that_fails_under_xdist(fake_suite, what):
    fake_suite.write({"test_a.py": "def test_1(): pass\ndef test_2(): pass"})
    record = fake_suite.run("-n", "2", env={"LITMUS_FAKE_FAIL": what})
    assert record.code == 0
    if what.startswith("emit"):
        assert record.run_ended["outcome"] == "errored"
    assert record.summary == {"passed": 2}
    assert "litmus: " in record.out


def test_an_extension_that_cannot_be_imported(fake_suite):
    (fake_suite.site / "sitecustomize.py").write_text("import sys\nsys.modules['litmus._litmus'] = None\n")
    fake_suite.write(SUITE)
    record = fake_suite.run()
    assert record.code == 1
    assert record.line.startswith("litmus: not recorded: ")
    assert fake_suite.run("--litmus-required").code == NOT_RECORDED


def test_a_value_that_is_refused_does_not_cost_the_verdict(fake_suite):
    fake_suite.write({"test_a.py": "def test(record_property): record_property('poison', 1)"})
    (fake_suite.site / "sitecustomize.py").write_text(
        "import fake_litmus\nfake_litmus.install()\n_emit = fake_litmus.Session.emit\n"
        "def emit(self, kind, payload, *a):\n"
        "    if 'poison' in payload.get('outputs', ()): raise fake_litmus.FakeError('poison')\n"
        "    return _emit(self, kind, payload, *a)\n"
        "fake_litmus.Session.emit = emit\n"
    )
    record = fake_suite.run()
    assert record.counts() == {"passed": 1}
    assert "outputs of test_a.py::test are not on record: poison" in record.out


def test_a_broken_litmus_yaml(suite):
    if not suite.real:
        pytest.skip("needs the core")
    suite.write({**SUITE, "litmus.yaml": "data_dir: [unclosed\n"})
    env = {"LITMUS_DATA_DIR": ""}
    record = suite.run(env=env)
    assert record.code == 1
    assert "litmus.yaml" in record.line
    assert suite.run("--litmus-required", env=env).code == NOT_RECORDED


def test_required_by_litmus_yaml(suite, tmp_path):
    if not suite.real:
        pytest.skip("needs the core")
    (tmp_path / "target").write_text("a file")
    suite.write({**SUITE, "litmus.yaml": "record: required\ndata_dir: ../target\n"})
    record = suite.run(env={"LITMUS_DATA_DIR": ""})
    assert record.code == NOT_RECORDED


def test_a_word_that_is_not_known_for_record_is_told(suite):
    if not suite.real:
        pytest.skip("needs the core")
    suite.write({**SUITE, "litmus.yaml": "record: require\ndata_dir: data\n"})
    record = suite.run(env={"LITMUS_DATA_DIR": ""})
    assert record.code == 1
    assert 'record can only be "required"' in record.line


HOSTILE_CONFTEST = "def pytest_collection_modifyitems(items):\n    for item in items: item.callspec = type(\"C\", (), {\"params\": 3})()\n"

HOSTILE = {
    "getattr": """
        class Liar:
            def __getattr__(self, name): raise RuntimeError(name)
        liar = Liar()
        def test(): pass
    """,
    "repr": """
        class E(Exception):
            def __str__(self): raise RuntimeError("no str")
            __repr__ = __str__
        def test(): raise E()
    """,
    "environ_cleared": "import os\ndef test(): os.environ.clear()",
    "closed_descriptors": "import os\ndef test():\n    for fd in range(3, 64):\n        try: os.close(fd)\n        except OSError: pass\ndef test_2(): pass",
    "getpid": "import os\ndef test(): os.getpid = lambda: 1\ndef test_2(): assert 0",
    "chdir": "import os\ndef test(tmp_path): os.chdir(tmp_path)",
    "property_not_str": "def test(request): request.node.user_properties.append((1, object())); request.node.user_properties.extend([(1, 2, 3), 4, None, ([], 1)])",
    "foreign_callspec": "def test(): pass\ndef test_2(): assert 0",
    "stdout_closed": "import sys\ndef test(): pass",
    "deleted_modules": "import sys\ndef test(): sys.modules.pop('litmus._verdict', None); sys.modules.pop('json', None)\ndef test_2(): assert 0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tests(suite, name):
    suite.write({"test_a.py": HOSTILE[name]})
    if name == "foreign_callspec":
        suite.write({"conftest.py": HOSTILE_CONFTEST})
    without = suite.run("--litmus-off")
    record = suite.run()
    assert record.code == without.code
    assert record.summary == without.summary
    assert sum(record.counts().values()) == len(record.plan) > 0
    if record.summary:  # closed_descriptors: pytest's output was among them, our log was not
        record.check_against_pytest()


def test_data_dir_removed_while_it_runs(suite):
    if not suite.real:
        pytest.skip("needs the core")
    suite.write({"test_a.py": f"import shutil\ndef test_1(): shutil.rmtree({str(suite.data_dir)!r})\ndef test_2(): pass"})
    record = suite.run()
    assert record.code == 0
    assert record.summary["passed"] == 2


def test_serials_as_they_come(suite):
    suite.write({"test_a.py": "def test(): pass"})
    for serial in ("a/b", "../../x", "line\nfeed", "s" * 4096, "", "Ω-1"):
        record = suite.run("--litmus-dut-serial", serial)
        assert record.code == 0
        assert record.of("run.started")[-1]["dut_serial"] in (serial, serial.encode("utf-8", "backslashreplace").decode())
        assert record.line.startswith("litmus: run ")


def test_importing_the_plugin_is_cheap():
    """What every pytest process pays: no module of ours beyond the plugin's options."""
    code = "import sys, pytest; before = set(sys.modules); import litmus.plugin; print(sorted(set(sys.modules) - before))"
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
    out = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout
    assert out.strip() == "['litmus', 'litmus._plugin', 'litmus.plugin']"


def test_a_disk_that_fills_up(suite):
    """A limit on file sizes stands for it: writes fail from some event on."""
    if not suite.real:
        pytest.skip("needs the core")
    import resource

    limit = 100_000
    suite.write({"test_a.py": "import pytest\n@pytest.mark.parametrize('v', range(200))\ndef test(v): assert v != 7"})
    options = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}
    record = suite.run("-q", **options)
    assert record.code == 1
    assert record.summary["passed"] == 199 and record.summary["failed"] == 1
    assert "events lost" in record.line
    assert "the limit on the size of a file is reached" in record.line and "No space" not in record.line
    assert str(suite.data_dir) in record.line
    kept = record.of("test.step_ended")
    assert 0 < len(kept) < 200
    assert len(record.plan) == 200
    assert suite.run("-q", "--litmus-required", "--deselect=test_a.py::test[7]", **options).code == NOT_RECORDED
