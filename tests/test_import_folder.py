# SPDX-License-Identifier: Apache-2.0
"""`litmus import DIR`: a bench that was offline. All of a session or nothing, once, and on record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess

import pyarrow.parquet as pq
import pytest

from litmus.data.run_store import RunStore
from test_cli import LITMUS, environment, ok, record, run

SUITE = """
    def test_a(channel, attach):
        channel('scope.ch1').append(1.0)
        attach(b"a picture", "scope.png")
    def test_b(): assert 0
"""
DIES = """
    import os, signal
    def test_a(): pass
    def test_b(): os.kill(os.getpid(), signal.SIGKILL)
    def test_c(): pass
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two data_dirs that know nothing of each other: `here` with a session, `bench` with a good one and one whose producer died, unfinished.
    Each has its own unit, so that no two runs of one second claim the same file name."""
    top = tmp_path_factory.mktemp("import")
    ok("keygen", "-q", "--key", top / "bench.key")
    record(top / "suite", top / "here", SUITE, "--litmus-dut-serial=HERE")
    record(top / "suite", top / "bench", SUITE, "--litmus-no-daemon", "--litmus-dut-serial=BENCH", LITMUS_SIGNING_KEY=str(top / "bench.key"))
    record(top / "suite", top / "bench", DIES, "--litmus-no-daemon", "--litmus-dut-serial=DIES")
    run("daemon", "stop", "-d", top / "here")
    return top


@pytest.fixture
def both(recorded, tmp_path):
    for name in ("here", "bench"):
        shutil.copytree(recorded / name, tmp_path / name)
        (tmp_path / name / "daemon.lock").unlink(missing_ok=True)
    return tmp_path / "here", tmp_path / "bench"


def files(data):
    return {p.relative_to(data): p.read_bytes() for top in ("events", "runs", "channels") for p in (data / top).rglob("*") if p.is_file()}


def imported(data):
    return [json.loads(line) for line in ok("events", "--type", "retention.imported", "--json", "-d", data).splitlines()]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_bench_that_was_offline(both):
    here, bench = both
    theirs = files(bench)
    said = lines(ok("import", "--json", "-d", here, bench))
    assert files(bench) == theirs, "it is only read"
    assert len(said) == 2 and {s["status"] for s in said} == {"came"} and sum(s["runs"] for s in said) == 2
    assert {path: bytes_ for path, bytes_ in files(here).items() if path in theirs and path.parts[0] == "runs"} == {p: b for p, b in theirs.items() if p.parts[0] == "runs"}
    assert {p for p in theirs if p.parts[0] != "runs"} <= set(files(here))
    runs = RunStore(here).list_runs()
    assert sorted(r["outcome"] for r in runs) == ["aborted", "failed", "failed"]
    assert len(list(here.glob("runs/*/*.parquet"))) == 3, "the dead producer's run is finished here"
    assert len(list(here.glob("runs/*/*_ref/*.png"))) == 2 == len(list(here.glob("events/*/*_ref/*.png")))
    ok("verify", "--all", "-d", here)
    events = imported(here)
    assert {e["imported_session_id"] for e in events} == {s["session_id"] for s in said} and all(e["source"] == str(bench) for e in events)
    assert all(len(log["chain"]) == 64 and log["rows"] > 0 for e in events for log in e["logs"])
    assert not (here / "staging").exists() and not (here / "changes").exists()


def test_again_brings_nothing_and_then_what_is_new(both, tmp_path):
    here, bench = both
    ok("import", "-d", here, bench)
    before = files(here)
    done = run("import", "-d", here, bench)
    assert done.returncode == 0 and "nothing new" in done.stderr and files(here) == before
    ok("materialize", "-d", bench)  # there, the dead producer's log is finished as well
    assert run("import", "-d", here, bench).returncode == 0
    record(tmp_path / "suite", bench, SUITE)
    run("daemon", "stop", "-d", bench)
    assert len(lines(ok("import", "--json", "-d", here, bench))) == 1
    assert len(RunStore(here).list_runs()) == 4
    ok("archive", "--older-than", "0s", "-d", here)
    assert "nothing new" in run("import", "-d", here, bench).stderr, "an archived log is the same log"
    ok("verify", "--all", "-d", here)


def test_a_dry_run_changes_nothing(both):
    here, bench = both
    before = files(here)
    done = run("import", "--dry-run", "-d", here, bench)
    assert done.returncode == 0 and "would import 2 sessions with 2 runs" in done.stderr and len(done.stdout.splitlines()) == 2
    assert files(here) == before and not imported(here)


def test_a_name_that_another_run_has(both):
    """Two benches began a run in the same second: the one that comes gets another name, and rebuild keeps it."""
    here, bench = both
    (theirs,) = bench.glob("runs/*/*.parquet")
    (ours,) = here.glob("runs/*/*.parquet")
    taken = here / theirs.relative_to(bench)
    taken.parent.mkdir(exist_ok=True)
    shutil.copy(ours, taken)
    before = taken.read_bytes()
    ok("import", "-d", here, bench)
    assert taken.read_bytes() == before
    moved = [p for p in here.glob("runs/*/*.parquet") if p.read_bytes() == theirs.read_bytes()]
    run_id = pq.read_table(theirs, columns=["run_id"]).column(0)[0].as_py()
    assert [p.name for p in moved] == [theirs.name.replace("_BENCH", f"_{run_id[:8]}_BENCH")]
    taken.unlink()
    moved[0].unlink()
    ok("rebuild", "-d", here)
    assert moved[0].read_bytes() == theirs.read_bytes() and not taken.exists()
    ok("verify", "--all", "-d", here)
    assert "nothing new" in run("import", "-d", here, bench).stderr


def test_a_name_that_was_changed_elsewhere(both):
    """The bench takes its own sessions back, with the log that gave the run another name: its file has that name here, too, and is there once."""
    here, bench = both
    (theirs,) = bench.glob("runs/*/*.parquet")
    before = theirs.read_bytes()
    (ours,) = here.glob("runs/*/*.parquet")
    taken = here / theirs.relative_to(bench)
    taken.parent.mkdir(exist_ok=True)
    shutil.copy(ours, taken)
    ok("import", "-d", here, bench)
    taken.unlink()
    ok("import", "-d", bench, here)
    assert [p for p in bench.glob("runs/*/*.parquet") if p.read_bytes() == before] == [p for p in bench.glob("runs/*/*_BENCH.parquet")]
    assert not theirs.exists() and not theirs.with_name(theirs.stem + "_ref").exists() and len(list(bench.glob("runs/*/*_BENCH_ref/*.png"))) == 1
    for data in here, bench:
        ok("verify", "--all", "-d", data)
    ok("import", "-d", here, bench)
    ok("import", "-d", bench, here)
    assert [len(list(data.glob("runs/*/*_BENCH.parquet"))) for data in (here, bench)] == [1, 1], "and again"


def test_another_content_is_refused_and_named(both):
    here, bench = both
    ok("import", "-d", here, bench)
    log = max((p for p in bench.glob("events/*/*.arrow")), key=lambda p: p.stat().st_size)
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 1
    log.write_bytes(raw)
    before = files(here)
    done = run("import", "-d", here, bench)
    assert done.returncode == 4 and log.name in done.stderr and "different" in done.stderr
    assert files(here) == before


def test_a_damaged_log_comes_as_it_is(both):
    here, bench = both
    log = max((p for p in bench.glob("events/*/*.arrow")), key=lambda p: p.stat().st_size)
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 1
    log.write_bytes(raw)
    done = run("import", "-d", here, bench)
    assert done.returncode == 4 and "damaged" in done.stderr
    assert (here / log.relative_to(bench)).read_bytes() == bytes(raw)
    assert run("verify", "--all", "-d", here).returncode == 1


def as_anybody():
    """Also for root, a file of mode 0 is then one that cannot be read."""
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def test_a_file_that_cannot_be_read_leaves_out_its_session_alone(both):
    here, bench = both
    log = next(bench.glob("events/*/*.arrow"))
    session = log.name[:36]
    kept = log.parent / f"{session}_ref" / "picture.png"
    kept.parent.mkdir(exist_ok=True)
    kept.touch(mode=0)
    done = subprocess.run([*as_anybody(), LITMUS, "import", "--json", "-d", here, bench], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 5 and str(kept) in done.stderr
    status = {line["session_id"]: line["status"] for line in lines(done.stdout)}
    assert status.pop(session) == "unreadable" and list(status.values()) == ["came"]
    kept.chmod(0o600)
    ok("import", "-d", here, bench)
    ok("verify", "--all", "-d", here)


def test_a_session_that_cannot_be_made_ready_is_left_out_alone(both):
    """Its run has a file here already, which is not what the log says."""
    here, bench = both
    (theirs,) = bench.glob("runs/*/*.parquet")
    spoiled = here / theirs.relative_to(bench)
    spoiled.parent.mkdir(exist_ok=True)
    pq.write_table(pq.read_table(theirs), spoiled, compression="none")
    before = spoiled.read_bytes()
    done = run("import", "--json", "-d", here, bench)
    assert done.returncode == 4 and str(spoiled) in done.stderr and "imported 1 sessions" in done.stderr
    assert sorted(line["status"] for line in lines(done.stdout)) == ["came", "failed"]
    (failed,) = [line["session_id"] for line in lines(done.stdout) if line["status"] == "failed"]
    assert failed in done.stderr and not [path for path in files(here) if failed in path.name] and spoiled.read_bytes() == before
    assert len(imported(here)) == 1 and not (here / "staging").exists()
    spoiled.unlink()
    assert [line["session_id"] for line in lines(ok("import", "--json", "-d", here, bench))] == [failed]
    ok("verify", "--all", "-d", here)


def test_a_live_session_is_left_with_a_word(both):
    from litmus import _litmus

    here, bench = both
    with _litmus.Session(bench, daemon=False) as session:
        done = run("import", "--json", "-d", here, bench)
        assert done.returncode == 0 and "still writes" in done.stderr
        assert [s["status"] for s in lines(done.stdout) if s["session_id"] == session.id] == ["live"]
    assert session.id in ok("import", "--json", "-d", here, bench)


def test_what_was_pruned_does_not_come_back(both):
    here, bench = both
    ok("import", "-d", here, bench)
    ok("prune", "--keep", "0s", "--yes", "-d", here)
    done = run("import", "-d", here, bench)
    assert done.returncode == 0 and "removed here by litmus prune" in done.stderr
    assert RunStore(here).list_runs() == []


def test_what_came_cannot_vanish_unseen(both):
    here, bench = both
    session = lines(ok("import", "--json", "-d", here, bench))[0]["session_id"]
    for path in here.glob(f"events/*/{session}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = run("verify", "--all", "-d", here)
    assert done.returncode == 1 and session in done.stdout + done.stderr


def test_keys_of_others_are_told_of(both, recorded, tmp_path):
    here, bench = both
    assert "not known here" in run("import", "-d", here, bench).stderr
    assert run("verify", "--all", "-d", here).returncode == 0


@pytest.mark.parametrize("make, word, code", [
    (lambda d: d / "nowhere", "nowhere", 3),
    (lambda d: (d / "empty").mkdir() or d / "empty", "is no data_dir", 4),
    (lambda d: shutil.copytree(d / "bench", d / "home/data") and d / "home", "name ", 2),
    (lambda d: d / "here", "itself", 2),
    (lambda d: (d / "bench/litmus-format").write_text("99\n") and d / "bench", "newer litmus", 4),
    (lambda d: (d / "bench/changes").write_text("litmus-changes 1\nend\n") and d / "bench", "broken off", 5),
])
def test_what_cannot_be_imported(both, tmp_path, make, word, code):
    done = run("import", "-d", both[0], make(tmp_path))
    assert done.returncode == code and word in done.stderr, done.stderr
    assert not imported(both[0])


def test_links_and_strays_are_told_of(both, tmp_path):
    """Of a folder whose name no event can hold as it is."""
    here, bench = both[0], both[1].rename(tmp_path / os.fsdecode(b"b\xff\xe4"))
    (tmp_path / "secret").write_text("x")
    os.symlink(tmp_path / "secret", next(bench.glob("events/*")) / "00000000-0000-4000-8000-000000000000-1.arrow")
    done = run("import", "-d", here, bench)
    assert done.returncode == 0 and "1 files belong to no session" in done.stderr
    assert not list(here.glob("events/*/00000000*"))
    assert {said["source"] for said in imported(here)} == {str(tmp_path / "b??")}


def test_a_change_broken_off_is_finished_by_the_next_command(both):
    """Killed when the list is published: what comes next works it off."""
    here, bench = both
    import_ = subprocess.Popen([LITMUS, "import", "-d", here, bench], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    import_.send_signal(signal.SIGKILL)
    import_.wait()
    ok("runs", "-d", here)
    ok("import", "-d", here, bench)
    assert len(RunStore(here).list_runs()) == 3
    ok("verify", "--all", "-d", here)
