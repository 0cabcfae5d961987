# SPDX-License-Identifier: Apache-2.0
"""`litmus concede` and `litmus note`: a person's word behind the record, which stays as it was."""

from __future__ import annotations

import json
import shutil

import pytest

from litmus.data.event_store import EventStore
from test_cli import ok, record, run

SUITE = """
    import pytest

    def test_good(): pass

    @pytest.mark.parametrize("volt", [3.3, 5.0])
    def test_rail(volt): assert volt < 4, "too high"

    class TestLoad:
        def test_rail_load(self): assert 0, "no load"
        def test_idle(self): pass

    @pytest.mark.skip(reason="no bench")
    def test_away(): pass
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    top = tmp_path_factory.mktemp("reviews")
    record(top / "suite", top / "data", SUITE)
    run("daemon", "stop", "-d", top / "data")
    return top / "data"


@pytest.fixture
def data(recorded, tmp_path):
    for name in ("events", "runs"):
        shutil.copytree(recorded / name, tmp_path / "data" / name)
    return tmp_path / "data"


def files(data):
    return {path: (path.read_bytes(), path.stat().st_ino) for path in sorted(data.glob("runs/*/*.parquet")) + sorted(data.glob("events/*/*.arrow"))}


def concede(data, step, *more, **env):
    return run("concede", "last", step, "--by", "R. Roe", "--why", "waiver W-17", "-d", data, *more, **env)


def test_what_is_on_record_stays(data):
    before = files(data)
    assert concede(data, "test_rail[5.0]").returncode == 0
    ok("note", "last", "fan replaced", "--by", "rr", "-d", data)
    ok("note", "last", "test_good", "probe was loose", "--by", "rr", "-d", data)
    ok("materialize", "--all", "-d", data)
    after = files(data)
    assert {path: after[path] for path in before} == before, "an old file was touched"
    assert len(after) == len(before) + 3, "one log a word"
    assert "0 findings" in run("verify", "--all", "-d", data).stderr
    ok("rebuild", "-d", data)
    assert {path: file[0] for path, file in files(data).items() if path.suffix == ".parquet"} == {p: f[0] for p, f in before.items() if p.suffix == ".parquet"}


def test_show_and_the_event_store_tell_of_them(data):
    concede(data, "test_rail[5.0]")
    ok("note", "last", "fan \x1b[31mreplaced", "--by", "rr", "-d", data)
    text = ok("show", "-d", data)
    assert "conceded by R. Roe" in text and "waiver W-17" in text and "; 1 conceded" in text and "note by rr" in text and "\x1b" not in text
    said = json.loads(ok("show", "--json", "-d", data))["reviews"]
    assert [(r["event_type"], r["by"]) for r in said] == [("review.conceded", "R. Roe"), ("review.noted", "rr")]
    assert said[0]["outcome"] == "failed" and said[0]["vector_index"] == 1 and said[0]["step_path"] == "test_it.py/test_rail" and said[0]["why"] == "waiver W-17"
    with EventStore(data, daemon=False) as store:
        assert [e["by"] for e in store.events(event_type="review.conceded")] == ["R. Roe"]


def test_the_gate_counts_it_where_that_is_allowed(data):
    assert run("gate", "last", "--allow", "conceded", "-d", data).returncode == 1
    for step in ("test_rail[5.0]", "TestLoad::test_rail_load", "test_away"):
        assert concede(data, step).returncode == 0
    assert run("gate", "last", "-d", data).returncode == 1, "not without being asked"
    done = run("gate", "last", "--allow", "conceded", "--json", "-d", data)
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["passed"] and said["conceded"] == said["accepted"] == 3
    assert run("gate", "last", "--allow", "concede", "-d", data).returncode == 2


@pytest.mark.parametrize("step, outcome", [
    ("test_it.py::test_rail[5.0]", "failed"),  # node id
    ("test_it.py/TestLoad/test_rail_load", "failed"),  # path
    ("TestLoad/test_rail_load", "failed"),  # how it ends
    ("test_rail[1]", "failed"),  # vector of a path
    ("test_away", None),
])
def test_steps_are_found(data, step, outcome):
    done = concede(data, step, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == outcome


@pytest.mark.parametrize("step, code, words", [
    ("test_rail", 3, "fits 2 steps"),
    ("test_ral", 3, "did you mean test_rail"),
    ("zzz", 3, "litmus show"),
    ("test_good", 2, "nothing to concede"),
    ("ail_load", 3, "no step"),
])
def test_what_cannot_be_conceded_is_told(data, step, code, words):
    before = files(data)
    done = concede(data, step)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert files(data) == before


def test_names_and_reasons_are_needed(data):
    assert run("concede", "last", "test_away", "--by", "rr", "-d", data).returncode == 2
    assert run("concede", "last", "test_away", "--why", "x", "--by", " ", "-d", data).returncode == 2
    assert run("note", "last", "", "--by", "rr", "-d", data).returncode == 2
    assert run("note", "none", "x", "--by", "rr", "-d", data).returncode == 3
