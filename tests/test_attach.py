# SPDX-License-Identifier: Apache-2.0
"""Attachments end to end: stored, shown, proved, rebuilt, pruned; what pytest says of a failing test is one of them."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
from litmus.data.run_store import RunStore
from test_cli import ok, record, run

SUITE = """
    import logging, pytest

    def test_files(attach, step, tmp_path):
        (tmp_path / "trace.csv").write_text("1,2")
        attach(tmp_path / "trace.csv")
        with step("inner"):
            attach(b"PNG", "screen.png", mime="image/png")
        attach(b"1,2", "again.csv")

    @pytest.fixture
    def noisy():
        print("words of setup")
        yield
        print("words of teardown")

    def test_fails(noisy):
        print("words of call")
        logging.getLogger("psu").warning("words of the log")
        assert 1 == 2

    def test_measured(measure):
        print("before it was measured")
        measure("rail", 5, (1, 2))

    def test_flood():
        print("first word" + "x" * 1_000_000 + "last word")
        raise OSError("flooded")

    def test_quiet(): pass
    def test_noisy(noisy): pass

    @pytest.fixture
    def broken():
        print("before it broke")
        raise RuntimeError("no relay")
    def test_broken(broken): pass

    def test_skips():
        print("not today")
        pytest.skip("later")
"""
FAILED = {"test_fails", "test_measured", "test_flood", "test_broken"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    top = tmp_path_factory.mktemp("attach")
    record(top / "suite", top / "data", SUITE)
    run("daemon", "stop", "-d", top / "data")
    return top / "data"


@pytest.fixture
def data(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "data", ignore=shutil.ignore_patterns("daemon.lock"))
    return tmp_path / "data"


def texts(data, name="failure.txt"):
    """Text of each attachment of that name, by the step's name."""
    with RunStore(data) as store:
        (found,) = store.list_runs()
        path = pathlib.Path(store.find_run_file(found["test_run_id"]))
    import pyarrow.parquet as pq

    column = f"out_{name}"
    rows = pq.read_table(path).to_pylist()
    refs = {row["step_name"]: row[column].rpartition("/")[2] for row in rows if row["record_type"] == "step" and row.get(column)}
    return {step: (path.with_name(path.stem + "_ref") / ref).read_text() for step, ref in refs.items()}


def test_a_failing_test_has_its_words(recorded):
    said = texts(recorded)
    assert set(said) == FAILED
    for words in ("words of setup", "words of call", "words of the log", "words of teardown", "assert 1 == 2", "Captured stdout teardown"):
        assert words in said["test_fails"]
    assert "rail = 5 is above 2 by 3" in said["test_measured"] and "before it was measured" in said["test_measured"]
    assert "setup: failed" in said["test_broken"] and "RuntimeError: no relay" in said["test_broken"] and "before it broke" in said["test_broken"]
    assert not list(recorded.glob("*/*/*_ref/.*")), "no temporary file is left"


def test_a_flood_of_output_is_cut_in_words_and_hides_no_traceback(recorded):
    text = texts(recorded)["test_flood"]
    assert len(text) < 300_000 and "OSError: flooded" in text
    assert "first word" in text and "last word" in text and " characters are left out ..." in text


@pytest.mark.parametrize("options", [(), ("-n2",), ("-s",), ("-p", "no:logging")])
def test_options_of_pytest(tmp_path, options):
    suite = "def test_a():\n    print('said')\n    assert 0, 'wrong'\ndef test_b(): print('fine')\n"
    record(tmp_path / "s", tmp_path / "data", suite, *options)
    said = texts(tmp_path / "data")
    assert set(said) == {"test_a"} and "AssertionError: wrong" in said["test_a"]
    assert ("said" in said["test_a"].split("----")[-1]) is (options != ("-s",)) or options == ("-s",)
    assert texts(tmp_path / "data", "output.txt") == {}


def test_output_of_what_passed_is_kept_on_request(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "litmus.yaml").write_text("attach_output: all\n")
    record(tmp_path / "s", tmp_path / "data", SUITE)
    said = texts(tmp_path / "data", "output.txt")
    assert set(said) == {"test_noisy", "test_skips"} and "words of teardown" in said["test_noisy"]
    assert set(texts(tmp_path / "data")) == FAILED


def test_a_wrong_word_in_litmus_yaml_is_told(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "litmus.yaml").write_text("attach_output: some\n")
    done = record(tmp_path / "s", tmp_path / "data", "def test_a(): assert 0")
    assert 'attach_output can only be "failed" or "all"' in done.stdout and done.returncode == 1


def test_show_lists_them(data):
    lines = [line.split() for line in ok("show", "last", "-d", data).splitlines() if line.strip().startswith("attached ")]
    assert {line[1] for line in lines} == {"trace.csv", "screen.png", "again.csv", "failure.txt"}
    assert all(pathlib.Path(line[2]).is_file() for line in lines)


def test_a_report_leads_to_them(data, tmp_path):
    ok("export", "last", "-d", data, "-o", tmp_path / "report.html", LITMUS_PYTHON=__import__("sys").executable)
    text = (tmp_path / "report.html").read_text()
    steps = json.loads(text.split('<script type="application/json">')[1].split("</script>")[0])
    links = {name: href for step in steps for name, href in step[5:]}
    assert set(links) == {"trace.csv", "screen.png", "again.csv", "failure.txt"}
    from urllib.parse import unquote, urlparse

    assert pathlib.Path(unquote(urlparse(links["screen.png"]).path)).read_bytes() == b"PNG"


def test_verify_holds_each_against_its_hash_and_rebuild_restores(data):
    ok("verify", "-d", data)
    (copy,) = data.glob("runs/*/*_ref/*.png")
    whole = copy.read_bytes()
    copy.write_bytes(b"PNX")
    done = run("verify", "-d", data)
    assert done.returncode != 0 and "it was changed" in done.stdout and copy.name in done.stdout
    copy.unlink()
    assert "attachment: " in run("verify", "-d", data).stdout
    ok("rebuild", "-d", data)
    assert copy.read_bytes() == whole
    ok("verify", "-d", data)
    (original,) = data.glob("events/*/*_ref/*.png")
    original.write_bytes(b"PNX")
    done = run("verify", "-d", data)
    assert done.returncode != 0 and "it was changed" in done.stdout


def test_stored_once(recorded):
    for store in ("events", "runs"):
        assert len(list(recorded.glob(f"{store}/*/*_ref/*.csv"))) == 1


def test_prune_takes_them_along(data):
    ok("prune", "--keep", "0d", "--yes", "-d", data)
    assert list(data.glob("*/*/*_ref")) == []


def test_a_full_disk_is_an_error_of_the_call_and_leaves_nothing(tmp_path):
    suite = """
        import os, resource, pytest
        def test_full(attach):
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, hard))
            try:
                with pytest.raises(OSError, match="big.bin|tmp"):
                    attach(b"x" * (8 << 20), "big.bin")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            attach(b"y", "small.bin")
        def test_unreadable(attach, tmp_path):
            with pytest.raises(OSError, match="nowhere"):
                attach(tmp_path / "nowhere")
            with pytest.raises(ValueError, match="regular file"):
                attach(tmp_path)
            os.mkfifo(tmp_path / "pipe")
            with pytest.raises(ValueError, match="regular file"):
                attach(tmp_path / "pipe")
        def test_goes_on(): pass
    """
    done = record(tmp_path / "s", tmp_path / "data", suite)
    assert done.returncode == 0, done.stdout
    ok("verify", "-d", tmp_path / "data")
    assert [path.read_bytes() for path in (tmp_path / "data").glob("*/*/*_ref/*")] == [b"y"] * 2


def test_a_large_file_goes_through_a_piece_at_a_time(tmp_path):
    suite = """
        import resource
        def test_large(attach, tmp_path):
            path = tmp_path / "large.bin"
            with open(path, "wb") as file: file.truncate(96 << 20)
            attach(b"", "warm.bin")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            attach(path)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10
    """
    done = record(tmp_path / "s", tmp_path / "data", suite)
    assert done.returncode == 0, done.stdout
    assert {path.stat().st_size for path in (tmp_path / "data").glob("runs/*/*_ref/*")} == {0, 96 << 20}
