# SPDX-License-Identifier: Apache-2.0
"""`litmus prune`: whole sessions by policy, all that is theirs, and a record of what went."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest

import litmus
from litmus.data.event_store import EventStore
from litmus.data.run_store import RunStore
from litmus.errors import CatalogBehind
from test_cli import LITMUS, environment, ok, record, run

SUITE = """
    def test_a(): pass
    def test_b(): assert 0
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two old sessions, one of them with a channel, and one that is to stay; `limit` lies between."""
    top = tmp_path_factory.mktemp("prune")
    record(top / "suite", top / "data", SUITE + "    def test_c(channel, attach):\n        channel('scope.ch1').append(1.0)\n        attach(b'a picture', 'scope.png')\n")
    assert list((top / "data").glob("channels/*/*")) and len(list((top / "data").glob("*/*/*_ref/*.png"))) == 2
    record(top / "suite", top / "data", SUITE)
    limit = datetime.datetime.now(datetime.timezone.utc).isoformat()
    record(top / "suite", top / "data", SUITE)
    run("daemon", "stop", "-d", top / "data")
    return top / "data", limit


@pytest.fixture
def data(recorded, tmp_path):
    shutil.copytree(recorded[0], tmp_path / "data")
    (tmp_path / "data" / "daemon.lock").unlink(missing_ok=True)
    return tmp_path / "data"


def stores(data):
    return {path.relative_to(data) for top in ("events", "runs", "channels") for path in (data / top).rglob("*") if path.is_file()}


def records(data):
    return [json.loads(line) for line in ok("events", "--type", "retention.pruned", "--json", "-d", data).splitlines()]


def test_old_sessions_go_and_are_on_record(data, recorded):
    runs = RunStore(data).list_runs()
    sessions = {r["session_id"]: r["test_run_id"] for r in runs}
    log = max(data.glob(f"events/*/{runs[1]['session_id']}*.arrow"))
    log.with_name(f".{log.name}.tmp").write_bytes(log.read_bytes()[:2000])  # of an archive that was killed
    pathlib.Path(runs[1]["file_path"]).with_name(f".{runs[1]['test_run_id']}.tmp").write_bytes(b"PAR1")  # of a rebuild that was
    before = stores(data)
    done = ok("prune", "--keep", recorded[1], "--yes", "--json", "-d", data)
    went = {json.loads(line)["session_id"] for line in done.splitlines()}
    assert went == set(list(sessions)[1:]), "all but the newest"
    left = RunStore(data).list_runs()
    assert [r["test_run_id"] for r in left] == [runs[0]["test_run_id"]]
    said = {r["pruned_session_id"]: r for r in records(data)}
    assert set(said) == went
    for session, what in said.items():
        assert [r["run_id"] for r in what["runs"]] == [sessions[session]]
        assert all(len(log["chain"]) == 64 and log["rows"] > 0 for log in what["logs"]) and len(what["logs"]) >= 2
    assert not [path for path in stores(data) if any(session in path.name or sessions[session] in path.name for session in went)]
    assert len(list(data.glob("runs/*/*.parquet"))) == 1 and len(before) > len(stores(data))
    assert not list(data.rglob("*.png")) and len(list(data.glob("*/*/*_ref"))) <= 2, "those of the one that stays"
    assert not (data / "staging").exists() and not (data / "changes").exists()
    ok("verify", "--all", "-d", data)
    with EventStore(data, daemon=False) as store:
        assert not [e for e in store.events(run_id=runs[1]["test_run_id"]) if e["event_type"].startswith("test.")]
    assert "removed 0 sessions" in run("prune", "--keep", recorded[1], "--yes", "-d", data).stderr


def test_what_tells_of_it_stays(data):
    ok("prune", "--keep", "0s", "--yes", "-d", data)
    assert len(records(data)) == 3 and RunStore(data).list_runs() == []
    ok("prune", "--keep", "0s", "--yes", "-d", data)
    assert len(records(data)) == 3


def test_no_answer_holds_them(data, recorded):
    ok("compact", "-d", data)
    ok("prune", "--keep", recorded[1], "--yes", "-d", data)
    with litmus.connect(data) as sql:
        assert sql.sql("SELECT count(*) FROM runs").fetchone() == (1,)
    import duckdb

    assert duckdb.sql(f"SELECT count(DISTINCT run_id) FROM '{data}/lake/**/*.parquet'").fetchone() == (1,), "nor one that globs the lake"


def test_a_dry_run_and_a_missing_yes_change_nothing(data):
    before = stores(data)
    assert "would remove 3 sessions with 3 runs" in run("prune", "--keep", "0s", "--dry-run", "-d", data).stderr
    assert run("prune", "--keep", "0s", "-d", data).returncode == 2
    assert run("prune", "--yes", "-d", data).returncode == 2
    assert run("prune", "--keep", "soon", "--yes", "-d", data).returncode == 2
    assert stores(data) == before


def test_a_clock_that_was_set_ahead_removes_nothing(tmp_path):
    """It looks like a data_dir in which nothing was recorded for long, which is one of an old log."""
    day = tmp_path / "events" / "2026-05-16"
    day.mkdir(parents=True)
    log = pathlib.Path(__file__).parent / "golden" / "v1" / "sealed.arrow"
    shutil.copy(log, day / f"{pa.ipc.open_file(log).schema.metadata[b'litmus.identity'].decode()}.arrow")
    for more in ("--dry-run", "--yes"):
        refused = run("prune", "--keep", "30d", more, "-d", tmp_path)
        assert refused.returncode == 5 and "nothing was recorded since 2026-05-16, and the clock says" in refused.stderr
    assert "session" in run("prune", "--keep", "2026-06-01", "--yes", "-d", tmp_path).stderr


def test_unfinished_and_damaged_sessions_stay(data):
    newest, *_, oldest = RunStore(data).list_runs()
    pathlib.Path(oldest["file_path"]).unlink()
    log = max((path for path in data.glob("events/*/*.arrow") if path.name.startswith(newest["session_id"])), key=lambda path: path.stat().st_size)
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 1
    log.write_bytes(raw)
    done = run("prune", "--keep", "0s", "--yes", "-d", data)
    assert done.returncode == 4 and "damaged" in done.stderr and "without its file" in done.stderr
    assert log.exists()


def await_that(what, happens):
    deadline = time.monotonic() + 300
    while not happens():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def waiting(lock):
    place = f":{os.fstat(lock.fileno()).st_ino} "
    return sum("->" in line and place in line for line in pathlib.Path("/proc/locks").read_text().splitlines())


def place_of(name):
    """Of a lock in materialize.lock, as range_lock.c has it."""
    h = 1469598103934665603
    for c in name.encode():
        h = (h ^ c) * 1099511628211 & (1 << 64) - 1
    return h >> 2


def start(*command):
    return subprocess.Popen([LITMUS, *command], env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_rebuild_brings_nothing_back(data, recorded):
    """Sessions go between the moment in which rebuild lists the logs and that in which it comes to them."""
    with open(data / "materialize.lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        rebuild = start("rebuild", "-d", data)
        state = pathlib.Path(f"/proc/{rebuild.pid}/stat")
        await_that("rebuild waits for a session", lambda: waiting(lock))
        rebuild.send_signal(signal.SIGSTOP)
        await_that("rebuild is stopped, and waits no more", lambda: state.read_text().rpartition(") ")[2][0] == "T")
    ok("prune", "--keep", recorded[1], "--yes", "-d", data)
    rebuild.send_signal(signal.SIGCONT)
    said = rebuild.communicate(timeout=300)
    assert rebuild.returncode == 0 and "1 files as they were, 0 changed, 0 made, 0 failed" in said[1], said
    assert len(list(data.glob("runs/*/*.parquet"))) == 1
    ok("verify", "--all", "-d", data)


def test_who_is_stopped_with_a_lock_stops_no_other_without_a_word(tmp_path):
    """Who reads goes on without the run that is being finished; who writes waits, and says for whom."""
    unsealed(tmp_path)
    stop = "import fcntl, os, signal, sys; f = open(sys.argv[1], 'wb'); fcntl.lockf(f, fcntl.LOCK_EX); os.kill(os.getpid(), signal.SIGSTOP)"
    holder = subprocess.Popen([sys.executable, "-c", stop, tmp_path / "materialize.lock"])
    try:
        os.waitpid(holder.pid, os.WUNTRACED)
        who = f"process {holder.pid} (python"
        for command, code in (["runs"], 0), (["verify", "--all"], 5):
            done = run(*command, "-d", tmp_path)
            assert done.returncode == code and who in done.stderr and "which is stopped" in done.stderr, done.stderr
        writer = start("materialize", "-d", tmp_path)
        assert who in writer.stderr.readline()
    finally:
        holder.kill()
    assert "1 run written" in writer.communicate(timeout=300)[1] and writer.returncode == 0


def unsealed(data_dir):
    """A dead producer's log, put into the data_dir: its path, and its session."""
    log = pathlib.Path(__file__).parent / "golden" / "v1" / "unsealed.arrow"
    about = pa.ipc.open_stream(log.read_bytes()[8:]).schema.metadata
    day = data_dir / "events" / "2026-05-16"
    day.mkdir(parents=True)
    return pathlib.Path(shutil.copy(log, day / f"{about[b'litmus.identity'].decode()}.arrow")), about[b"litmus.session_id"].decode()


def looks_at(process, lock):
    """Not in the kernel, so /proc/locks says nothing of it."""
    for fd in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.path.samestat(fd.stat(), os.fstat(lock.fileno())):
                return True
    return False


@pytest.mark.parametrize("command", [["materialize"], ["runs", "--json"]], ids=lambda command: command[0])
def test_a_log_under_recovery_is_not_taken_for_a_live_one(tmp_path, command):
    """Whoever recovers it holds it as its dead producer did. He is waited for; what he leaves undone is done."""
    log, session = unsealed(tmp_path)
    with open(tmp_path / "materialize.lock", "wb") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(f"session{session}"))
        with open(log) as recovered:
            fcntl.flock(recovered, fcntl.LOCK_EX)
            other = start(*command, "-d", tmp_path)
            await_that(f"{command[0]} asks for the session", lambda: waiting(lock) == 1 or (command[0] == "runs" and looks_at(other, lock)))
    said = other.communicate(timeout=300)
    assert other.returncode == 0 and len(list(tmp_path.glob("runs/*/*.parquet"))) == 1, said
    assert command[0] != "runs" or json.loads(said[0])["outcome"] == "aborted"


def test_a_live_session_of_which_a_run_is_finished_stays_open(tmp_path):
    """Somebody who makes the file of an earlier run has its lock, too: then he is waited for, and nothing is concluded."""
    log, session = unsealed(tmp_path)
    with open(log) as producer:
        fcntl.flock(producer, fcntl.LOCK_EX)
        with open(tmp_path / "materialize.lock", "wb") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(f"session{session}"))
            other = start("materialize", "-d", tmp_path)
            await_that("materialize waits for the session", lambda: waiting(lock) == 1)
        said = other.communicate(timeout=300)
        assert other.returncode == 0 and "0 runs written" in said[1], said
        assert [json.loads(line)["live"] for line in ok("runs", "--json", "-d", tmp_path).splitlines()] == [True]
    assert "1 run written" in run("materialize", "-d", tmp_path).stderr


KILLED = """
import os, signal, sys, uuid
from litmus import _litmus
session = _litmus.Session(sys.argv[1], daemon=False)
session.emit("run.started", {}, str(uuid.uuid4()))
print(session.id, session.log_path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(data_dir):
    """A session whose producer died: its id, and its log."""
    return subprocess.run([sys.executable, "-c", KILLED, data_dir], stdout=subprocess.PIPE, text=True, env=environment(), timeout=300).stdout.split()


def files(data):
    return len(list(data.glob("runs/*/*.parquet")))


def test_who_waits_for_one_recovery_does_the_rest_before(tmp_path):
    session, log = [killed(tmp_path) for _ in range(3)][1]
    with open(tmp_path / "materialize.lock", "ab+") as lock, open(log) as recovered:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(f"session{session}"))
        fcntl.flock(recovered, fcntl.LOCK_EX)
        other = start("materialize", "-d", tmp_path)
        await_that("the other two are finished, and the third is waited for", lambda: files(tmp_path) == 2 and waiting(lock) == 1)
        fcntl.flock(recovered, fcntl.LOCK_UN)
    said = other.communicate(timeout=300)
    assert other.returncode == 0 and files(tmp_path) == 3, said


def test_whose_recovery_begins_while_another_is_waited_for_is_waited_for_too(tmp_path):
    """It was plainly dead when all were looked at."""
    (first, one), (second, two) = killed(tmp_path), killed(tmp_path)
    with open(tmp_path / "materialize.lock", "ab+") as lock, open(one) as recovered, open(two) as next_one:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(f"session{first}"))
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(f"session{second}"))
        fcntl.flock(recovered, fcntl.LOCK_EX)
        other = start("materialize", "-d", tmp_path)
        await_that("somebody is waited for", lambda: waiting(lock) == 1)
        fcntl.flock(next_one, fcntl.LOCK_EX)
        fcntl.flock(recovered, fcntl.LOCK_UN)
        fcntl.lockf(lock, fcntl.LOCK_UN, 1, place_of(f"session{first}"))
        await_that("the other is waited for", lambda: waiting(lock) == 1)
        assert other.poll() is None
        fcntl.flock(next_one, fcntl.LOCK_UN)
    said = other.communicate(timeout=300)
    assert other.returncode == 0 and files(tmp_path) == 2, said


def test_a_log_that_was_empty_when_it_was_looked_at_is_not_missing(tmp_path):
    """Its maker was about to write its first event, and somebody names it by now."""
    (first, _), (second, _) = sorted(killed(tmp_path) for _ in range(2))
    ok("materialize", first, "-d", tmp_path)
    (log,) = (path for path in tmp_path.glob(f"events/*/{first}-*.arrow") if path.stem.count("-") == 6)
    assert log.stem in (tmp_path / "heads").read_text()
    whole = log.read_bytes()
    log.write_bytes(b"")
    with open(tmp_path / "materialize.lock", "ab+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(f"session{second}"))
        verify = start("verify", "--all", "--json", "-d", tmp_path)
        await_that("it waits for the second session", lambda: all(looks_at(verify, lock) or time.sleep(0.01) for _ in range(20)))
        log.write_bytes(whole)
    *found, total = map(json.loads, verify.communicate(timeout=300)[0].splitlines())
    assert not any("missing" in f["finding"] for f in found) and total["logs"] == 3, found
    log.write_bytes(b"")
    assert "is missing" in run("verify", "--all", "-d", tmp_path).stdout


def test_a_live_producer_is_not_waited_for(tmp_path):
    """Though an earlier run of its session gets its file meanwhile: its log is held by a process that finishes nothing."""
    log, session = unsealed(tmp_path)
    hold = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    producer = subprocess.Popen([sys.executable, "-c", hold, log], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert producer.stdout.readline() == "held\n"
    with open(tmp_path / "materialize.lock", "wb") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of(f"session{session}"))
        for command in ["materialize"], ["runs", "--json"]:
            done = run(*command, "-d", tmp_path)
            assert done.returncode == 0 and "waited" not in done.stderr and "waiting" not in done.stderr, done.stderr
            assert command[0] == "materialize" or json.loads(done.stdout)["live"]
    producer.communicate()


def test_who_reads_is_not_held_up_by_a_change(data):
    """It goes on, and says what it may lack; who changes something waits, and says for whom."""
    run_id, runs = RunStore(data).list_runs()[0]["test_run_id"], ok("runs", "--json", "-d", data)
    stop = "import fcntl, os, signal, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); os.kill(os.getpid(), signal.SIGSTOP)"
    holder = subprocess.Popen([sys.executable, "-c", stop, data / "materialize.lock"])
    try:
        os.waitpid(holder.pid, os.WUNTRACED)
        who = f"process {holder.pid} (python"
        (data / "changes").write_text("litmus-changes 1\nend\n")
        for command, code in (["runs", "--json"], 0), (["show", run_id], 0), (["events"], 0), (["yield"], 0), (["verify", "--all"], 5), (["verify", run_id], 5):
            done = run(*command, "-d", data)
            assert done.returncode == code and who in done.stderr and "not waited for" in done.stderr, (command, done.stderr)
            assert command[0] != "runs" or done.stdout == runs
        with pytest.warns(CatalogBehind, match=re.escape(who)):
            assert len(RunStore(data).list_runs()) == len(runs.splitlines())
        note = ["note", run_id, "looked at", "--by", "ann"]
        writers = [start(*command, "-d", data) for command in (note, ["materialize"], ["rebuild"], ["doctor", "--mend"])]
        for writer in writers:
            assert f"waiting: {who}" in writer.stderr.readline(), writer.args
        (data / "changes").unlink()
        writers.append(start(*note, "-d", data))
        assert f"waiting: {who}" in writers[-1].stderr.readline()
    finally:
        holder.kill()
    for writer in writers:
        said = writer.communicate(timeout=300)
        assert writer.returncode == 0, (writer.args, said)
    assert not (data / "changes").exists()
    ok("verify", "--all", "-d", data)


@pytest.mark.parametrize("command", [["rebuild"], ["archive", "--older-than", "0s"], ["materialize", "--all"], ["doctor", "--mend"]], ids=lambda command: command[0])
def test_who_waits_for_a_prune_misses_nothing(data, recorded, command):
    """They list what there is when it is about to go, and come to it when it is gone."""
    for path in data.glob("runs/*/*.parquet"):
        path.write_bytes(path.read_bytes()[:-1]) if command[0] == "doctor" else None
    with open(data / "materialize.lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, place_of("changes"))
        prune = start("prune", "--keep", recorded[1], "--yes", "-d", data)
        await_that("prune has its list ready", lambda: waiting(lock) == 1)
        second = run("prune", "--keep", "0s", "--yes", "-d", data)
        assert second.returncode == 5 and "another prune or import is at work" in second.stderr, second.stderr
        other = start(*command, "-d", data)
        await_that(f"{command[0]} waits for a session", lambda: waiting(lock) == 2)
    assert prune.wait(300) == 0, prune.communicate()
    said = other.communicate(timeout=300)
    assert other.returncode == 0 and "No such file" not in said[1] and "no log" not in said[1], said
    ok("verify", "--all", "-d", data)


@pytest.mark.parametrize("place", ["runs/*/*.parquet", "channels/*/*.arrow"])
def test_a_folder_in_the_place_of_a_file_breaks_nothing_off(data, place):
    """It stays: it is none of ours. A change that could never be worked off would leave half a session."""
    path = min(data.glob(place))
    path.unlink()
    path.mkdir()
    ok("prune", "--keep", "0s", "--yes", "-d", data)
    assert not (data / "changes").exists() and not (data / "staging").exists()
    assert {p.parts[0] for p in stores(data)} == {"events"} and len(records(data)) == 3
    ok("prune", "--keep", "0s", "--yes", "-d", data)


def test_a_live_session_stays(data):
    from litmus import _litmus

    with _litmus.Session(data, daemon=False) as session:
        done = ok("prune", "--keep", "0s", "--yes", "--json", "-d", data)
        assert session.id not in done and [p for p in stores(data) if session.id in p.name]


def test_a_change_broken_off_is_finished_by_the_next_command(data, recorded):
    """The list is published, and nothing of it done: what a crash leaves at the worst moment."""
    session = RunStore(data).list_runs()[-1]["session_id"]
    own = sorted({p.relative_to(data) for top in ("events", "channels") for p in data.glob(f"{top}/*/{session}*/**/*") if p.is_file()} | {p for p in stores(data) if session in p.name})
    file = RunStore(data).list_runs()[-1]["file_path"]
    lines = [f"{'rmdir' if (data / path).is_dir() else 'rm'} {path}" for path in reversed(own)] + [f"rm {file.removeprefix(str(data) + '/')}"]
    (data / "changes").write_text("litmus-changes 1\n" + "\n".join(lines) + "\nend\n")
    assert len(json.loads("[" + ",".join(ok("runs", "--json", "-d", data).splitlines()) + "]")) == 2
    assert not [p for p in stores(data) if session in p.name] and not (data / "changes").exists()


@pytest.mark.parametrize("line", ["rm ../x", "rm litmus.yaml", "rm /etc/x", "mv events/a runs/b", "mv staging/a litmus.yaml", "rm events//x", "rm events/../x", "eat events/x"])
def test_a_list_is_not_believed(data, line):
    before = stores(data)
    (data.parent / "x").write_text("outside")
    (data / "changes").write_text(f"litmus-changes 1\n{line}\nend\n")
    ok("runs", "-d", data)
    assert stores(data) == before and (data.parent / "x").exists()
    done = run("prune", "--keep", "0s", "--yes", "-d", data)
    assert done.returncode == 4 and "changes" in done.stderr and stores(data) == before


def test_nothing_is_made_or_removed_behind_a_link(data, recorded, tmp_path):
    ok("compact", "-d", data)
    (month,) = data.glob("lake/month=*")
    month.rename(tmp_path / "month")
    month.symlink_to(tmp_path / "month")
    kept = sorted(p.name for p in (tmp_path / "month").iterdir())
    (tmp_path / "elsewhere").mkdir()
    (data / "staging").symlink_to(tmp_path / "elsewhere")
    refused = run("prune", "--keep", recorded[1], "--yes", "-d", data)
    assert refused.returncode == 5 and "staging is no folder" in refused.stderr, refused.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (data / "staging").unlink()
    ok("prune", "--keep", recorded[1], "--yes", "-d", data)
    assert sorted(p.name for p in (tmp_path / "month").iterdir()) == kept
