# SPDX-License-Identifier: Apache-2.0
"""litmus doctor: each check has a fault planted, sees it named, mends it if it can, and sees it gone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys

import pyarrow as pa
import pytest

from litmus import _litmus
from test_cli import ok, record, run

SUITE = """
    import array
    def test_rail(attach):
        attach(b"0,1,2", "trace.csv")
    def test_load(channel):
        ch = channel("scope.ch1", units="V")
        for n in range(3):
            ch.block(array.array("d", [n, 10.0 + n, -n]), interval=0.1, start=1_700_000_000_000_000_000 + n * 10**9)
"""
KILLED = """
    import os, signal
    def test_it(): os.kill(os.getpid(), signal.SIGKILL)
    def test_never(): pass
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A station with a key, two sessions, a catalog and a lake."""
    top = tmp_path_factory.mktemp("doctor")
    (top / "litmus.yaml").write_text("signing_key: keys/station.key\n")
    ok("keygen", "--key", top / "keys/station.key")
    for suite in ("first", "second"):
        record(top / suite, top / "data", SUITE, "--litmus-no-daemon")
    ok("compact", "-d", top / "data")
    age(top / "data")
    ok("runs", "-d", top / "data")
    return top


@pytest.fixture
def station(recorded, tmp_path):
    """One to spoil."""
    shutil.copytree(recorded, tmp_path / "station")
    return tmp_path / "station"


@pytest.fixture
def data(station):
    return station / "data"


def age(data):
    """Folders that were left alone for a while: the catalog takes them as they are."""
    for folder in [*data.glob("runs/*"), *data.glob("events/*"), data / "runs", data / "events"]:
        os.utime(folder, (1, 1))


def doctor(data, *options):
    done = run("doctor", data, "--json", *options)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode in (0, 1) and lines, done.stderr
    assert done.returncode == (1 if lines[-1]["wrong"] else 0)
    return lines[:-1]


def wrong(findings):
    return [f for f in findings if f["level"] == "wrong" and not f["mended"]]


def state(data):
    """Of every file and folder: what it is, what is in it, when it was written."""
    return {p.relative_to(data): (p.lstat().st_mode, p.lstat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() and not p.is_symlink() else None)
            for p in data.rglob("*")}


def one(data, pattern):
    return sorted(data.glob(pattern))[0]


def log_of(data, number=0):
    """The log of a producer."""
    logs = [p for p in sorted(data.glob("events/*/*.arrow"), key=lambda p: p.stat().st_mtime_ns) if pa.ipc.open_file(p).read_all().num_rows > 2]
    return logs[number]


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 0x20
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_healthy_data_dir_says_nothing(data):
    before = state(data)
    done = run("doctor", data)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
    assert state(data) == before
    assert run("doctor", data, "--mend").stdout == ""


def test_a_run_in_flight_is_nothing_wrong(data):
    run_id = "33333333-3333-4333-8333-333333333333"
    with _litmus.Session(data, daemon=False) as session:
        session.emit("run.started", {"dut_serial": "SN1"}, run_id)
        session.emit("test.step_started", {"step_name": "a", "step_path": "a", "step_index": 0}, run_id)
        assert wrong(doctor(data)) == [] and wrong(doctor(data, "--mend")) == []
        session.emit("run.ended", {"outcome": "passed"}, run_id)
    assert wrong(doctor(data)) == []


def test_the_table_of_checks():
    rows = [json.loads(line) for line in ok("doctor", "--list", "--json").splitlines()]
    page = (pathlib.Path(__file__).resolve().parent.parent / "docs/doctor.md").read_text().splitlines()
    for row in rows:
        assert f"| {row['check']} | {row['looks_at']} | {row['remedy']} |" in page
    tested = {check for check, _ in MENDABLE + UNMENDABLE}
    assert {row["check"] for row in rows} - tested == {"space", "signature", "kept", "daemon", "unread"}  # which have tests of their own
    assert {row["check"] for row in rows if row["mendable"]} - {check for check, _ in MENDABLE} == {"daemon"}


# ---- what can be mended


def marker(data):
    (data / "litmus-format").write_text("two\n")


def closed_folder(data):
    one(data, "runs/*").chmod(0o500)


def unreadable_file(data):
    one(data, "runs/*/*.parquet").chmod(0o200)


def lock_is_a_folder(data):
    (data / "materialize.lock").unlink(missing_ok=True)
    (data / "materialize.lock").mkdir()


def socket_of_a_dead_daemon(data):
    here = os.getcwd()
    os.chdir(data)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("daemon.sock")
    os.chdir(here)


def change_broken_off(data):
    (data / "changes").write_text("litmus-changes 1\nrm runs/2020-01-01/gone.parquet\nend\n")


def half_a_run_file(data):
    path = one(data, "runs/*") / ".3f2a.tmp"
    path.write_bytes(b"PAR1")
    os.utime(path, (1, 1))
    age(data)


def staged(data):
    (data / "staging").mkdir()
    (data / "staging/log.arrow").write_bytes(b"ARROW1")


def killed(data):
    record(data.parent / "third", data, KILLED, "--litmus-no-daemon")


def channel_writer_killed(data):
    code = "import os, sys, litmus; from litmus import _litmus; c = litmus.open_channel('dmm.v', session=_litmus.Session(sys.argv[1], daemon=False))\n"
    subprocess.run([sys.executable, "-c", code + "c.append(1.0); os.kill(os.getpid(), 9)", data], check=False)
    ok("materialize", "-d", data)  # the session
    (path,) = data.glob("channels/*/*dmm.v.arrow")
    assert path.read_bytes().endswith(b"ARROW1"), "and its channel"
    path.write_bytes(path.read_bytes()[:-200])


def run_file_changed(data):
    flip(one(data, "runs/*/*.parquet"))


def run_file_gone(data):
    one(data, "runs/*/*.parquet").unlink()


def copy_of_attachment_gone(data):
    one(data, "runs/*/*_ref/*").unlink()


def copy_of_attachment_changed(data):
    one(data, "runs/*/*_ref/*").write_text("9,9,9")


def attachment_gone(data):
    one(data, "events/*/*_ref/*").unlink()


def attachment_changed(data):
    one(data, "events/*/*_ref/*").write_text("9,9,9")


def catalog(script):
    def spoil(data):
        con = sqlite3.connect(data / "catalog.sqlite")
        con.executescript(script)
        con.close()
    return spoil


def no_database(data):
    (data / "catalog.sqlite").write_bytes(b"no database at all " * 300)


def catalog_is_a_folder(data):
    (data / "catalog.sqlite").unlink()
    (data / "catalog.sqlite").mkdir()


def lake_file_damaged(data):
    part = one(data, "lake/*/part-*.parquet")
    content = bytearray(part.read_bytes())
    content[1000:3000] = bytes(2000)
    part.write_bytes(content)


def lake_rows_changed(data):
    """A file as good as any, of the same size and time: with another outcome in it."""
    part = one(data, "lake/*/part-*.parquet")
    content, times = part.read_bytes(), part.stat()
    part.write_bytes(content.replace(b"passed", b"failed"))
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))


def lake_file_gone(data):
    one(data, "lake/*/part-*.parquet").unlink()


def manifest_damaged(data):
    (data / "lake/_manifest.json").write_text("{")


def lake_list_damaged(data):
    one(data, "lake/*/_part-*.json").write_text("[]")


def lake_file_of_nobody(data):
    part = one(data, "lake/*/part-*.parquet")
    shutil.copy(part, part.with_name("part-stray.parquet"))


def lake_of_removed_runs(data):
    log = log_of(data)
    ok("prune", "-d", data, "--keep", "2999-01-01", "--yes")
    assert not log.exists()


MENDABLE = [
    ("format", marker), ("mode", closed_folder), ("mode", unreadable_file), ("locks", lock_is_a_folder), ("locks", socket_of_a_dead_daemon), ("changes", change_broken_off),
    ("leftovers", half_a_run_file), ("leftovers", staged), ("unfinished", killed), ("unfinished", channel_writer_killed), ("run files", run_file_changed), ("run files", run_file_gone),
    ("attachments", copy_of_attachment_gone), ("attachments", copy_of_attachment_changed), ("attachments", attachment_gone), ("attachments", attachment_changed),
    ("catalog", catalog("UPDATE runs SET outcome = 'failed'")), ("catalog", catalog("DELETE FROM files")), ("catalog", catalog("DROP TABLE logs")),
    ("catalog", catalog("PRAGMA user_version = 999")), ("catalog", catalog("PRAGMA application_id = 7")), ("catalog", no_database), ("catalog", catalog_is_a_folder),
    ("lake", lake_file_damaged), ("lake", lake_rows_changed), ("lake", lake_file_gone), ("lake", manifest_damaged), ("lake", lake_list_damaged), ("lake", lake_file_of_nobody),
]


def test_verify_looks_at_the_lake_too(data):
    assert run("verify", "--all", "-d", data).returncode == 0
    lake_rows_changed(data)
    done = run("verify", "--all", "-d", data)
    assert done.returncode == 1 and "part-" in done.stdout and "makes the lake anew" in done.stdout, done.stdout + done.stderr
    assert run("doctor", data, "--mend").returncode == 0 and run("verify", "--all", "-d", data).returncode == 0


@pytest.mark.parametrize("check, plant", MENDABLE, ids=[f"{check}-{number}" for number, (check, _) in enumerate(MENDABLE)])
def test_what_can_be_mended(data, check, plant):
    records = {p.name: p.read_bytes() for p in data.glob("events/*/*.arrow")}
    files = {p.relative_to(data): p.read_bytes() for p in data.glob("runs/*/*.parquet")}
    plant(data)
    before = state(data)
    found = wrong(doctor(data))
    assert [f for f in found if f["check"] == check and f["mendable"]] and {f["check"] for f in found} <= {check, "lake"}, found
    assert state(data) == before, "looking changes nothing"
    mended = doctor(data, "--mend")
    assert wrong(mended) == [] and [f for f in mended if f["mended"] and f["check"] == check], mended
    assert wrong(doctor(data)) == []
    assert run("verify", "--all", "-d", data).returncode == 0
    assert records.items() <= {p.name: p.read_bytes() for p in data.glob("events/*/*.arrow")}.items(), "no log is touched"
    assert files.items() <= {p.relative_to(data): p.read_bytes() for p in data.glob("runs/*/*.parquet")}.items(), "run files are as they were"


@pytest.mark.parametrize("plant", [run_file_changed, copy_of_attachment_changed, attachment_changed, marker])
def test_what_is_replaced_is_kept(data, plant):
    before = {hashlib.sha256(p.read_bytes()).hexdigest() for p in data.rglob("*") if p.is_file()}
    plant(data)
    planted = {hashlib.sha256(p.read_bytes()).hexdigest() for p in data.rglob("*") if p.is_file()} - before
    doctor(data, "--mend")
    kept = {hashlib.sha256(p.read_bytes()).hexdigest() for p in data.rglob("*.aside-1")}
    assert planted == kept
    assert [f["check"] for f in doctor(data) if f["file_path"].endswith(".aside-1")] == ["kept"]


def old_tmp(path, name=None):
    """As a crash leaves what it was writing, long ago."""
    hidden = path.with_name(f".{name or path.name}.tmp")
    shutil.copy(path, hidden)
    os.utime(hidden, (1, 1))
    return hidden


def staged_log(data):
    return moved(log_of(data), data / "staging/events" / log_of(data).parent.name)


def moved(path, folder):
    folder.mkdir(parents=True, exist_ok=True)
    return path.rename(folder / path.name)


def staged_log_behind_a_link(data):
    """It looks as if the store had it still."""
    day = log_of(data).parent
    (data / "staging/events").mkdir(parents=True)
    day.rename(data / "staging/events" / day.name)
    day.symlink_to(f"../staging/events/{day.name}")
    return data / "staging/events" / day.name / log_of(data).name


def renamed_log(data):
    hidden = old_tmp(log_of(data))
    log_of(data).unlink()
    return hidden


def log_renamed_as_a_run_file(data):
    hidden = old_tmp(log_of(data), "3f2a")
    log_of(data).unlink()
    return hidden


def log_renamed_as_another(data):
    hidden = old_tmp(log_of(data), log_of(data, 1).name)
    log_of(data).unlink()
    return hidden


def true_log_beside_another(data):
    hidden = old_tmp(log_of(data))
    flip(log_of(data))
    return hidden


def staged_channel(data):
    path = one(data, "channels/*/*.arrow")
    return moved(path, data / "staging/channels" / path.parent.name)


def channel_renamed_as_a_log(data):
    hidden = one(data, "channels/*/*.arrow").rename(log_of(data).with_name(f".{log_of(data).name}.tmp"))
    os.utime(hidden, (1, 1))
    return hidden


@pytest.mark.parametrize("plant", [staged_log, staged_log_behind_a_link, renamed_log, log_renamed_as_a_run_file, log_renamed_as_another, true_log_beside_another, staged_channel,
                                   channel_renamed_as_a_log], ids=lambda plant: plant.__name__)
def test_no_mend_loses_a_record(data, plant):
    planted = plant(data)
    content = planted.read_bytes()
    (found,) = [f for f in wrong(doctor(data)) if f["check"] == "leftovers" and f["file_path"] == str(planted)]
    assert "puts it aside" in found["finding"] or plant is true_log_beside_another, found
    mended = doctor(data, "--mend")
    assert not planted.exists() and [f for f in mended if f["mended"] and f["file_path"] == str(planted)]
    (kept,) = [p for p in data.rglob("*") if p.is_file() and p.read_bytes() == content]
    assert ".aside-1" in str(kept.relative_to(data)) and str(kept) in {f["file_path"] for f in mended if f["check"] == "kept"}
    doctor(data, "--mend")
    assert kept.read_bytes() == content


def test_what_was_left_half_made_beside_its_log_goes(data):
    log = log_of(data)
    for part in (log.read_bytes(), log.read_bytes()[:3000], log.read_bytes()[:7], b""):
        hidden = old_tmp(log)
        hidden.write_bytes(part)
        os.utime(hidden, (1, 1))
        (data / "staging/events/2026-01-01").mkdir(parents=True)
        shutil.copy(log, data / "staging/events/2026-01-01")
        assert wrong(doctor(data, "--mend")) == []
        assert not hidden.exists() and not (data / "staging").exists() and not list(data.rglob("*aside*"))


def test_a_missing_catalog_is_worth_a_note(data):
    (data / "catalog.sqlite").unlink()
    found = doctor(data)
    assert wrong(found) == [] and [f["finding"] for f in found if f["check"] == "catalog"]
    assert not (data / "catalog.sqlite").exists()
    assert any(f["mended"] for f in doctor(data, "--mend") if f["check"] == "catalog")
    assert (data / "catalog.sqlite").exists()


def test_a_catalog_that_was_looked_at_half_way_is_not_wrong(data):
    """A log came to a session of old, and the times of its others were not taken anew yet: its listing is under way in another process."""
    ok("note", "last", "looked at", "--by", "ann", "-d", data)
    for path in data.glob("events/*"):
        os.utime(path, (2, 2))
    ok("runs", "-d", data)
    with contextlib.closing(sqlite3.connect(data / "catalog.sqlite")) as catalog:
        (session, name), *_ = catalog.execute("SELECT session_id, name FROM logs ORDER BY mtime_us DESC, name").fetchall()
        catalog.execute("UPDATE logs SET mtime_us = mtime_us - 1 WHERE session_id = ?", (session,))
        catalog.commit()
        assert any("ended before its last event" in f["finding"] for f in wrong(doctor(data)))
        catalog.execute("UPDATE logs SET mtime_us = NULL, session_id = '', unread = 1 WHERE name = ?", (name,))
        catalog.commit()
        assert any("ended before its last event" in f["finding"] for f in wrong(doctor(data))), "no look would come to that session"
        catalog.execute("UPDATE logs SET mtime_us = NULL, session_id = ?, unread = 0 WHERE name = ?", (session, name))
        catalog.commit()
        assert wrong(doctor(data)) == []
    ok("verify", "--all", "-d", data)
    with contextlib.closing(sqlite3.connect(data / "catalog.sqlite")) as catalog:
        assert catalog.execute("SELECT count(*) FROM logs WHERE mtime_us IS NULL").fetchone() == (0,)


@pytest.mark.parametrize("place", ["runs", "runs/*"])
@pytest.mark.parametrize("wrong_file", [lambda _: None, lambda path: path.write_bytes(b"PAR1")])
def test_nothing_is_mended_behind_a_link(data, tmp_path, place, wrong_file):
    outside, folder = tmp_path / "outside", one(data, place)
    folder.rename(outside)
    folder.symlink_to(outside)
    for path in outside.rglob("*_ref/*"):
        path.unlink()
    wrong_file(next(outside.rglob("*.parquet")))
    before = state(outside)
    assert [f for f in wrong(doctor(data, "--mend")) if f["check"] == "owner"]
    assert state(outside) == before


@pytest.mark.parametrize("place", ["runs", "events"])
def test_no_attachment_goes_behind_a_link(data, tmp_path, place):
    folder, outside = one(data, f"{place}/*/*_ref"), tmp_path / "outside"
    outside.mkdir()
    (attachment,) = folder.iterdir()
    (outside / attachment.name).write_text("another's")
    shutil.rmtree(folder)
    folder.symlink_to(outside)
    assert [f for f in wrong(doctor(data, "--mend")) if f["check"] == "attachments"]
    said = run("rebuild", "-d", data)
    assert said.returncode == 0 or "not followed" in said.stderr, said.stderr
    assert [p.read_text() for p in outside.iterdir()] == ["another's"]


# ---- what can only be told


def link_leads_out(data):
    (one(data, "runs/*") / "more").symlink_to("/usr")
    age(data)


def link_leads_nowhere(data):
    (data / "more").symlink_to(data / "nothing")


def event_changed(data):
    log = log_of(data)
    content = log.read_bytes()
    log.write_bytes(content.replace(b'"passed"', b'"failed"'))


def log_broken(data):
    log = log_of(data)
    content = bytearray(log.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 2000] = bytes(2000)
    log.write_bytes(content)


def no_log(data):
    (one(data, "events/*") / "notes.arrow").write_text("not one of ours")


def samples(path):
    """Where each block's three samples lie."""
    content = path.read_bytes()
    return [content.index(struct.pack("<3d", n, 10.0 + n, -n)) for n in range(3)]


def channel_removed(data):
    one(data, "channels/*/*.arrow").unlink()


def channel_cut(data):
    """Sealed again, as any tool does it: only the log knows of the other rows."""
    path = one(data, "channels/*/*.arrow")
    path.write_bytes(path.read_bytes()[:samples(path)[1]])
    ok("channel", "-d", data)
    assert path.read_bytes().endswith(b"ARROW1")


def channel_damaged(data):
    path = one(data, "channels/*/*.arrow")
    content, (first, second, _) = bytearray(path.read_bytes()), samples(path)
    content[first + 100:second] = bytes(second - first - 100)
    path.write_bytes(content)


def sample_changed(data):
    path = one(data, "channels/*/*.arrow")
    content, (_, second, _) = bytearray(path.read_bytes()), samples(path)
    content[second + 8:second + 16] = struct.pack("<d", 11.5)
    path.write_bytes(content)


def inner_sample_changed(data):
    """One that is no extreme: only the log, which has the file's hash, can tell."""
    path = one(data, "channels/*/*.arrow")
    content, (_, second, _) = bytearray(path.read_bytes()), samples(path)
    content[second:second + 8] = struct.pack("<d", 1.5)
    path.write_bytes(content)


def strangers_among_channels(data):
    path = one(data, "channels/*/*.arrow")
    strangers = {path.with_name(name) for name in ("00000000" + path.name[8:], "x.arrow", ".y.arrow.tail")}
    for stranger in strangers:
        shutil.copy(path, stranger)
    (path.parent / "x.arrow").write_text("not one of ours")
    assert strangers == {pathlib.Path(f["file_path"]) for f in wrong(doctor(data)) if f["check"] == "channels"}


def channels_moved(data, place):
    """A day's files."""
    path = one(data, "channels/*/*.arrow")
    (data / place).parent.mkdir(exist_ok=True)
    return path.parent.rename(data / place) / path.name


def channels_deeper(data):
    """Where a walk finds them, and no reader."""
    return channels_moved(data, "channels/deep/2026-01-01")


def channels_hidden(data):
    return channels_moved(data, "channels/.hidden")


def channel_linked(data):
    path = one(data, "channels/*/*.arrow")
    path.symlink_to(path.rename(data / path.name))
    return path


def channel_day_linked(data):
    """And what the log names is there, but out of the readers' sight."""
    deep, day = channels_deeper(data), data / "channels/2026-01-01"
    shutil.copytree(deep.parent, data / "other")
    day.symlink_to("../other")
    return day


def channels_linked(data):
    top = data / "channels"
    top.symlink_to(top.rename(data / "other").name)
    return top


def session_removed(data):
    session = log_of(data).name[:36]
    for log in data.glob(f"events/*/{session}*.arrow"):
        log.unlink()


def attachment_lost(data):
    attachment_gone(data)
    name = one(data, "runs/*/*_ref/*").name
    for copy in data.glob(f"*/*/*_ref/{name}"):
        copy.unlink()


def copied_run(data):
    folder = data / "runs/2001-01-01"  # first by name, and the copy nevertheless
    folder.mkdir()
    shutil.copy(one(data, "runs/*/*.parquet"), folder / "copy.parquet")


def foreign_run(data):
    shutil.copy(one(data, "runs/*/*.parquet"), one(data, "runs/*") / "other.parquet")
    (one(data, "runs/*") / "broken.parquet").write_bytes(b"PAR1")
    age(data)


def others_can_read_the_key(data):
    (data.parent / "keys/station.key").chmod(0o644)


def broken_config(data):
    (data.parent / "litmus.yaml").write_text("signing_key: [\n")


def from_the_future(data):
    os.utime(log_of(data), (4e9, 4e9))


UNMENDABLE = [("owner", link_leads_out), ("owner", link_leads_nowhere), ("chain", event_changed), ("log", log_broken), ("log", no_log), ("channels", channel_removed), ("channels", channel_cut), ("channels", channel_damaged),
              ("channels", sample_changed), ("channels", inner_sample_changed), ("channels", strangers_among_channels),
              ("channels", channels_deeper), ("channels", channels_hidden), ("channels", channel_linked), ("channels", channel_day_linked), ("channels", channels_linked), ("links", session_removed),
              ("attachments", attachment_lost), ("foreign", foreign_run), ("copies", copied_run), ("key", others_can_read_the_key), ("config", broken_config), ("clock", from_the_future)]


@pytest.mark.parametrize("check, plant", UNMENDABLE, ids=[plant.__name__ for _, plant in UNMENDABLE])
def test_what_can_only_be_told(data, check, plant):
    plant(data)
    before = state(data)
    files = {p: p.read_bytes() for p in data.glob("*/*/*") if p.is_file()}
    found = wrong(doctor(data))
    assert check in {f["check"] for f in found}, found
    assert all(f["remedy"] and f["file_path"].startswith(str(data.parent)) for f in found)
    assert state(data) == before
    assert check in {f["check"] for f in wrong(doctor(data, "--mend"))}
    assert files.items() <= {p: p.read_bytes() for p in data.glob("*/*/*") if p.is_file()}.items(), "nothing on record is touched"


@pytest.mark.parametrize("plant", [channels_deeper, channels_hidden, channel_linked, channel_day_linked, channels_linked], ids=lambda plant: plant.__name__)
def test_what_is_proved_of_channels_is_what_readers_read(data, plant):
    session = one(data, "channels/*/*.arrow").name[:36]
    planted = str(plant(data))
    for scope, left in (["--all"], plant is channel_linked), ([session], 0):
        proof = run("verify", *scope, "--json", "-d", data)
        *found, total = map(json.loads, proof.stdout.splitlines())
        assert proof.returncode == 1 and planted in {f["file_path"] for f in found}, proof.stdout + proof.stderr
        assert any("no file below channels/ has it" in f["finding"] for f in found) and total["channel_files"] == left, proof.stdout


def test_of_two_files_of_a_run_the_copy_is_named(data):
    own, runs = one(data, "runs/*/*.parquet"), len(list(data.glob("runs/*/*.parquet")))
    copied_run(data)
    (finding,) = wrong(doctor(data))
    assert finding["check"] == "copies" and finding["file_path"] == str(data / "runs/2001-01-01/copy.parquet")
    assert str(own.relative_to(data)) in finding["finding"]
    proof = run("verify", "--all", "-d", data)
    assert proof.returncode == 1 and "copy.parquet" in proof.stdout and "counts it twice" in proof.stdout
    assert len(ok("runs", "--json", "-d", data).splitlines()) == runs
    (data / "runs/2001-01-01/copy.parquet").unlink()
    assert wrong(doctor(data)) == []


def test_no_run_file_is_made_from_a_log_that_was_changed(data):
    """The file is the last that says what was in it."""
    event_changed(data)
    files = {p: p.read_bytes() for p in data.glob("runs/*/*.parquet")}
    found = wrong(doctor(data, "--mend"))
    assert {"chain", "run files"} <= {f["check"] for f in found}
    assert {p: p.read_bytes() for p in data.glob("runs/*/*.parquet")} == files


def test_a_signature_of_an_unknown_key(data, tmp_path):
    ok("keygen", "--key", tmp_path / "other.key")
    assert {f["check"] for f in wrong(doctor(data, "--key", tmp_path / "other.key.pub"))} == {"signature"}


def test_notes_do_not_count(data, tmp_path):
    (one(data, "events/*") / "x.arrow.torn-512").write_bytes(b"half an event")
    done = run("doctor", data)
    assert (done.returncode, done.stdout) == (0, "")
    assert "x.arrow.torn-512" in run("doctor", data, "-v").stdout
    assert [f["check"] for f in doctor(data) if f["file_path"].endswith("torn-512")] == ["kept"]
    record(tmp_path / "unsigned", tmp_path / "data", SUITE, "--litmus-no-daemon")
    assert {"signature", "key"} <= {f["check"] for f in doctor(tmp_path / "data") if f["level"] == "note"}


DAEMON = """
import contextlib, fcntl, json, os, socket, sys
os.chdir(sys.argv[1])
lock = open("daemon.lock", "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
with socket.socket(socket.AF_UNIX) as s:
    s.bind("daemon.sock")
    s.listen()
    print("ready", flush=True)
    while True:
        peer, _ = s.accept()
        if peer.recv(100).startswith(b"stop"):
            os.unlink("daemon.sock")
            break
        with contextlib.suppress(OSError):  # who asked has gone
            peer.sendall(json.dumps({"pid": os.getpid(), "version": "0.0.1", "failures": [{"session_id": "s1", "error": "no space"}]}).encode() + b"\\n")
        peer.close()
"""


@pytest.fixture
def other_daemon(data):
    with subprocess.Popen([sys.executable, "-c", DAEMON, data], stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout.readline() == b"ready\n"
            yield daemon
        finally:
            daemon.kill()


def test_a_daemon_of_another_version(data, other_daemon):
    killed(data)
    findings = doctor(data)
    assert any("the daemon has it in hand" in f["finding"] for f in findings if f["check"] == "unfinished" and f["level"] == "note")
    said = [f["finding"] for f in wrong(findings) if f["check"] == "daemon"]
    assert any("0.0.1" in text for text in said) and any("session s1: no space" in text for text in said)
    assert wrong(doctor(data, "--mend")) == []
    assert other_daemon.wait(timeout=600) == 0


def test_a_daemon_that_does_not_answer(data, other_daemon):
    other_daemon.send_signal(signal.SIGSTOP)
    assert any("does not answer" in f["finding"] for f in wrong(doctor(data)) if f["check"] == "daemon")


def test_exit_codes(data, tmp_path):
    assert run("doctor", tmp_path / "nowhere").returncode == 3
    assert run("doctor", tmp_path, "-d", tmp_path).returncode == 2
    (data / "litmus-format").write_text("99\n")
    done = run("doctor", data)
    assert done.returncode == 4 and "newer litmus" in done.stderr
    assert run("doctor", pathlib.Path(__file__)).returncode == 2
