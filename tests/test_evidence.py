# SPDX-License-Identifier: Apache-2.0
"""Signed logs, links between sessions, and what both verifiers (ours and examples/check_evidence.py) say of every kind of tampering."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from test_cli import LITMUS, environment, ok, record, run

CHECKER = pathlib.Path(__file__).resolve().parent.parent / "examples/check_evidence.py"
sys.path.insert(0, str(CHECKER.parent))
import check_evidence  # noqa: E402

SUITE = """
    def test_rail(): pass
    def test_load(): assert 0
"""
MOMENTS = ("occurred_at", "received_at")
SEAL = (b"litmus.sealed_by", b"litmus.public_key", b"litmus.signature")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A station with a key, and two sessions of it, one after the other."""
    top = tmp_path_factory.mktemp("station")
    (top / "litmus.yaml").write_text("signing_key: keys/station.key\n")
    ok("keygen", "--key", top / "keys/station.key")
    for suite in ("first", "second"):
        record(top / suite, top / "data", SUITE)
        run("daemon", "stop", "-d", top / "data")
    return top


@pytest.fixture
def station(recorded, tmp_path):
    """One to spoil."""
    shutil.copytree(recorded, tmp_path / "station", ignore=shutil.ignore_patterns("*.sock", "*.lock", "catalog*"))
    return tmp_path / "station"


def logs(station):
    """The producers' logs, oldest first."""
    return sorted((p for p in station.glob("data/events/*/*.arrow") if pa.ipc.open_file(p).read_all().num_rows > 2), key=lambda p: Log(p).rows[0]["received_at"])


# ---- a log, to be written again by somebody who knows the format


class Log:
    def __init__(self, path):
        self.path = path
        self.table = pa.ipc.open_file(pa.py_buffer(path.read_bytes())).read_all()
        self.rows = [{**row, **{m: self.table[m].cast(pa.int64())[i].as_py() for m in MOMENTS}} for i, row in enumerate(self.table.drop_columns(list(MOMENTS)).to_pylist())]
        self.identity = self.table.schema.metadata[b"litmus.identity"]
        metadata = self.table.schema.metadata
        self.seal = {k: v for k, v in metadata.items() if k in SEAL}
        self.table = self.table.replace_schema_metadata({k: v for k, v in metadata.items() if k not in SEAL})

    def chain_again(self):
        def text(value):
            return b"\xff" * 8 if value is None else struct.pack("<q", len(value.encode())) + value.encode()

        last = hashlib.sha256(b"litmus-log-1\n" + self.identity).digest()
        for r in self.rows:
            r["chain"] = last = hashlib.sha256(last + text(r["id"]) + text(r["event_type"]) + struct.pack("<qq", r["occurred_at"], r["received_at"]) + text(r["session_id"])
                                               + text(r["run_id"]) + text(r["json"])).digest()

    def sign(self, key):
        public = key.public_key().public_bytes_raw()
        message = b"litmus-seal-1\nproducer\n%d\n%s\n%s\n" % (len(self.rows), self.rows[-1]["chain"].hex().encode(), self.identity)
        self.seal = {b"litmus.sealed_by": b"producer", b"litmus.public_key": public.hex().encode(), b"litmus.signature": key.sign(message).hex().encode()}

    def forget_key(self):
        event = json.loads(self.rows[0]["json"])
        event["signing_key"] = None
        self.rows[0]["json"] = json.dumps(event)

    def write(self):
        schema = self.table.schema.with_metadata({**self.table.schema.metadata, **self.seal})
        columns = [pa.array([r[f.name] for r in self.rows], pa.int64()).cast(f.type) if f.name in MOMENTS else pa.array([r[f.name] for r in self.rows], f.type) for f in schema]
        with pa.ipc.new_file(self.path, schema) as out:
            for i in range(len(self.rows)):
                out.write_batch(pa.record_batch([c[i:i + 1] for c in columns], schema=schema))


def edit(log):
    row = next(r for r in log.rows if r["event_type"] == "test.step_ended")
    row["json"] = row["json"].replace("failed", "passed")


def delete(log):
    del log.rows[3]


def insert(log):
    log.rows.insert(3, {**log.rows[2], "id": "11111111-1111-4111-8111-111111111111"})


def swap(log):
    log.rows[2], log.rows[3] = log.rows[3], log.rows[2]


def cut(log):
    del log.rows[-2:]


def date_back(log):
    for row in log.rows[2:]:
        for moment in MOMENTS:
            row[moment] -= 86_400_000_000


def move(log):
    """A log of the same station, under the name of another."""
    log.identity = log.identity[:-1] + b"%d" % ((int(log.identity[-1:]) + 1) % 10)
    log.table = log.table.replace_schema_metadata({**log.table.schema.metadata, b"litmus.identity": log.identity})


TAMPERINGS = [edit, delete, insert, swap, cut, date_back, move]
WAYS = {
    "as_it_is": (lambda log: None, r"the chain breaks at event \d+|did not sign this end"),
    "chained_again": (lambda log: log.chain_again(), "did not sign this end"),
    "signature_dropped": (lambda log: (log.chain_again(), log.seal.clear()), "is not signed, but"),
    "signed_by_another": (lambda log: (log.chain_again(), log.sign(ed25519.Ed25519PrivateKey.generate())), "which is not known"),
}


def findings(station, *options):
    done = run("verify", "--all", "--json", "-d", station / "data", *options)
    assert done.returncode in (0, 1), done.stderr
    *found, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert total["finding"] is None and total["findings"] == len(found) and (done.returncode == 1) == bool(found)
    return found


def second_opinion(station, path):
    """What is wrong with the log, as the verifier says that shares nothing with ours."""
    known = [check_evidence.key_of((station / "keys/station.key.pub").read_bytes())]
    return check_evidence.check_log(path.read_bytes(), known)[0]


def test_nothing_is_found_where_nothing_was_done(station):
    assert findings(station, "--signed") == []
    paths = sorted(station.glob("data/events/*/*.arrow"))
    done = subprocess.run([sys.executable, CHECKER, "--key", station / "keys/station.key.pub", *paths], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and done.stdout.count("signed by") == len(paths) == 4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda f: f.__name__)
def test_both_find_it(station, tampering, way):
    """And name it: file, place, event; whatever the forger does about chain and signature, but without the station's key."""
    path = logs(station)[0]
    log = Log(path)
    tampering(log)
    finish, expected = WAYS[way]
    finish(log)
    log.write()
    told = next(f for f in findings(station) if f["file_path"] == str(path) and re.search(expected, f["finding"]))
    second = second_opinion(station, path)
    assert told["offset"] > 0 and len(second) == 1 and re.search(expected, second[0])
    if "chain breaks" in told["finding"]:
        assert second[0] == told["finding"].split(": it or")[0]


@pytest.mark.parametrize("unseen", [bytes(64), b"unseen!!" * 8, None], ids=["zeros", "text", "an_event"])
def test_both_find_what_no_end_lists(station, unseen):
    """Bytes between the last event and the end: a reader that goes by the footer passes over them."""
    path = logs(station)[0]
    data = path.read_bytes()
    at = len(data) - 18 - int.from_bytes(data[-10:-6], "little")
    last = data.rfind(b"\xff\xff\xff\xff\x30\x02\0\0", 0, at)  # 560 bytes of metadata follow: an event
    path.write_bytes(data[:at] + (data[last:at] if unseen is None else unseen) + data[at:])
    assert any(f["file_path"] == str(path) and re.search("are damaged|chain breaks", f["finding"]) for f in findings(station))
    with pytest.raises(pa.ArrowInvalid) if unseen == b"unseen!!" * 8 else contextlib.nullcontext():
        assert second_opinion(station, path) == ["holds other events than its end lists, or other columns than a log"]


def test_both_find_other_columns(station):
    """The values that are signed, and others beside them, or read as other ones: no chain covers a schema."""
    path = logs(station)[0]
    table = pa.ipc.open_file(pa.py_buffer(path.read_bytes())).read_all()
    says = pa.array(["{}"] * len(table))
    number = table["occurred_at"].cast(pa.int64())
    other = {"more": table.append_column("note", says), "twice": table.append_column("json", says), "no zone": table.set_column(2, "occurred_at", number.cast(pa.timestamp("us"))),
             "unit": table.set_column(2, "occurred_at", number.cast(pa.timestamp("ns", "UTC"))), "order": table.select([1, 0, *range(2, 8)]),
             "version": table.replace_schema_metadata({**table.schema.metadata, b"litmus.log_version": b"2"})}
    for what, forged in {"same": table, **other}.items():
        with pa.ipc.new_file(path, forged.schema) as out:
            out.write_table(forged)
        assert any(f["file_path"] == str(path) for f in findings(station)) == bool(second_opinion(station, path)) == (what != "same"), what


def test_the_next_session_tells_what_was_forged_whole(station):
    """A log that is written anew as if it had never been signed is right in itself; the session after it knows better."""
    path = logs(station)[0]
    log = Log(path)
    edit(log)
    log.forget_key()
    log.chain_again()
    log.seal.clear()
    log.write()
    assert second_opinion(station, path) == []
    found = findings(station)
    assert [f["finding"] for f in found if f["file_path"] == str(path)][0].startswith("was replaced: ")
    assert any(f["finding"] == "is not signed" for f in findings(station, "--signed"))


def test_the_next_session_tells_what_was_cut(station):
    path = logs(station)[0]
    log = Log(path)
    log.forget_key()
    cut(log)
    log.chain_again()
    log.seal.clear()
    log.write()
    assert any(f["finding"].startswith("was cut: ") and f["file_path"] == str(path) for f in findings(station))


def test_a_session_cannot_vanish(station):
    """With its run file and all its logs: the session after it names it."""
    first, second = logs(station)
    session = Log(first).rows[0]["session_id"]
    for path in station.glob(f"data/events/*/{session}-*"):
        path.unlink()
    oldest = sorted(station.glob("data/runs/*/*.parquet"))[0]
    oldest.unlink()
    found = findings(station)
    assert any(f["file_path"] == str(second) and f"log {first.stem} is missing" in f["finding"] for f in found), found


def test_nor_can_the_last_one(station):
    second = logs(station)[1]
    session = Log(second).rows[0]["session_id"]
    for path in station.glob(f"data/events/*/{session}-*"):
        path.unlink()
    sorted(station.glob("data/runs/*/*.parquet"))[-1].unlink()
    assert any("is missing" in f["finding"] and f["file_path"].endswith("/heads") for f in findings(station))


def test_a_session_that_could_name_nobody_is_counted(station):
    """It is no find: a busy machine may have such, too."""
    assert "could not say which logs" not in run("verify", "--all", "-v", "-d", station / "data").stderr
    with (station / "data/heads").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record(station / "third", station / "data", SUITE)
        run("daemon", "stop", "-d", station / "data")
    assert findings(station, "--signed") == []
    done = run("verify", "--all", "-v", "-d", station / "data")
    assert done.returncode == 0 and "1 session could not say which logs came before" in done.stderr
    assert "could not say" not in run("verify", "--all", "-d", station / "data").stderr


def test_a_folder_in_the_place_of_heads(station):
    """It keeps nothing else from being looked at."""
    (station / "data/heads").unlink()
    (station / "data/heads").mkdir()
    sorted(station.glob("data/runs/*/*.parquet"))[-1].unlink()
    found = findings(station)
    assert any(f["file_path"].endswith("/heads") and "not a plain file" in f["finding"] for f in found) and any("rebuild" in f["finding"] for f in found), found


def add_log(station, name, rows, beside=None, **metadata):
    """Unsigned, by somebody who knows the format."""
    log = Log(beside or logs(station)[0])
    log.path, log.identity, log.rows = log.path.with_name(name + ".arrow"), name.encode(), rows(log.rows)
    log.table = log.table.replace_schema_metadata({**log.table.schema.metadata, b"litmus.identity": log.identity, **{b"litmus." + k.encode(): v for k, v in metadata.items()}})
    log.chain_again()
    log.seal.clear()
    log.write()


def a_log_that_says_it_again(station):
    """The session has one log more, in which the failed step passed."""
    session = Log(logs(station)[0]).rows[0]["session_id"]
    add_log(station, session + "-99999", lambda rows: [{**r, "id": OTHER_ID, "json": r["json"].replace("failed", "passed")} for r in rows if r["event_type"] == "test.step_ended"])


def a_log_of_the_same_name(station):
    path = logs(station)[0]
    (station / "data/events/2026-01-01").mkdir()
    log = Log(path)
    edit(log)
    log.forget_key()
    log.chain_again()
    log.seal.clear()
    log.path = station / "data/events/2026-01-01" / path.name
    log.write()


def a_log_twice(station):
    path = logs(station)[0]
    shutil.copy(path, path.with_name(Log(path).rows[0]["session_id"] + "-99999.arrow"))


def a_log_under_the_name_of_another_session(station):
    next(p for p in station.glob("data/events/*/*.arrow") if Log(p).rows[0]["event_type"] == "run.materialized").rename(logs(station)[0].with_name(OTHER_ID + "-1.arrow"))


def a_log_that_says_less_of_its_session(station):
    """The id is cut where the name would still begin with it: nothing that the chain covers."""
    path = logs(station)[0]
    log = Log(path)
    log.table = log.table.replace_schema_metadata({**log.table.schema.metadata, b"litmus.session_id": log.identity.split(b"-")[0]})
    log.write()


def the_word_that_a_session_was_pruned(station):
    """A session is removed, and a log is put there that says so."""
    pruned = Log(logs(station)[0]).rows[0]["session_id"]
    event = {"id": OTHER_ID, "event_type": "retention.pruned", "session_id": OTHER_ID, "run_id": None, "json": json.dumps({"pruned_session_id": pruned})}
    add_log(station, OTHER_ID + "-1", lambda rows: [{**rows[0], **event}], session_id=OTHER_ID.encode())
    for path in station.glob(f"data/events/*/{pruned}-*.arrow"):
        path.unlink()
    sorted(station.glob("data/runs/*/*.parquet"))[0].unlink()


def a_prune_that_recovery_signs(station):
    """The same, put there without its end, as if its producer had died: whoever finishes that has the station's key."""
    the_word_that_a_session_was_pruned(station)
    path, = station.glob(f"data/events/*/{OTHER_ID}-1.arrow")
    data = path.read_bytes()
    path.write_bytes(data[:data.rfind(b"\xff\xff\xff\xff\0\0\0\0")])
    ok("materialize", "-d", station / "data")
    assert "after its producer died" in run("verify", "--all", "-v", "-d", station / "data").stdout


def key_of_another_station(station):
    """Which is known here."""
    key = ed25519.Ed25519PrivateKey.generate()
    (station / "keys/bench.pub").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return key


def sign_added(station, key):
    path, = station.glob("data/events/*/*-99999.arrow")
    log = Log(path)
    log.chain_again()
    log.sign(key)
    log.write()


def a_log_that_another_station_signs(station):
    """The failed step passed, by the word of whoever has any key that is known here."""
    a_log_that_says_it_again(station)
    sign_added(station, key_of_another_station(station))


def a_run_that_another_station_ends(station):
    """As if it had finished the session, but for what it says."""
    add_said(station, "run.ended", {"outcome": "passed", "said_by": "recovery"})
    sign_added(station, key_of_another_station(station))


def a_session_that_another_station_begins(station):
    """Once more, with its own key as the one by which all is to be signed."""
    key = key_of_another_station(station)
    first = Log(logs(station)[0]).rows[0]
    said = {**json.loads(first["json"]), "signing_key": hashlib.sha256(key.public_key().public_bytes(*DER)).hexdigest()[:16]}
    add_log(station, first["session_id"] + "-99999", lambda rows: [{**first, "id": OTHER_ID, "json": json.dumps(said)}])
    sign_added(station, key)


def a_run_file_of_no_log(station):
    path = sorted(station.glob("data/runs/*/*.parquet"))[0]
    table = pq.read_table(path)
    at = table.schema.get_field_index("run_id")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([OTHER_ID] * len(table), table.schema.field(at).type)), path.with_name("20260101T000000Z.parquet"))
    assert run("verify", OTHER_ID, "-d", station / "data").returncode == 1


def a_key_of_the_forgers(station):
    """With a litmus.yaml in the data_dir that calls it the station's: who can write the record must not say whose signature counts."""
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (station / "data/station.key.pub").write_bytes(pem)
    (station / "data/litmus.yaml").write_text("signing_key: station.key\n")
    for path in station.glob("data/events/*/*.arrow"):
        log = Log(path)
        log.sign(key)
        log.write()
    inside = subprocess.run([LITMUS, "verify", "--all", "-d", "."], cwd=station / "data", env=environment(), capture_output=True, text=True, timeout=300)
    assert inside.returncode == 1 and inside.stdout.count("which is not known here") == 4
    (station / "data/here").symlink_to(".")
    (station / "data/runs/here").symlink_to("..")
    for way_in in ("data/runs/..", "data/runs/../runs/..", "data/here", "data/runs/here", "data/here/here"):
        found = run("verify", "--all", "-d", station / way_in).stdout
        assert found.count("which is not known here") == 4, (way_in, found)
    for link in ("here", "runs/here"):
        (station / "data" / link).unlink()


def add_said(station, event_type, said=None, of=0, **more):
    """A log with one event of the run, earlier than all others."""
    first = Log(logs(station)[of]).rows[1]
    row = {**first, "id": OTHER_ID, "event_type": event_type, "json": json.dumps(said or {"text": "fine", "by": "R. Roe"}), **{m: first[m] - 10**6 for m in MOMENTS}, **more}
    add_log(station, first["session_id"] + "-99999", lambda rows: [row])


def a_note_that_names_another_session(station):
    """The fold takes a run's session from its first event: the run would be another session's."""
    add_said(station, "review.noted", session_id=Log(logs(station)[1]).rows[0]["session_id"])


def a_remark_that_makes_the_run_longer(station):
    """A run whose producer died ends with the last event that is no review."""
    add_said(station, "diagnostic.warning", {"source": "x", "message": "y"})


def a_review_of_no_kind(station):
    add_said(station, "review.other")


def a_name_where_nobody_looks(station):
    """By a log as an import writes it; the catalog reads one folder below runs/, and no folder of attachments."""
    rename_run(station, "runs/2026-01-01/deeper/it.parquet")


def a_run_file_where_nobody_looks(station):
    """But for `read_parquet('runs/**/*.parquet')`."""
    (station / "data/runs/2026-01-01/it_ref").mkdir(parents=True)
    shutil.copy(sorted(station.glob("data/runs/*/*.parquet"))[0], station / "data/runs/2026-01-01/it_ref/it.parquet")


def a_log_of_another_name(station):
    """Of the same session: logs of one moment are merged in the order of their names."""
    path = logs(station)[0]
    path.rename(path.with_name(Log(path).rows[0]["session_id"] + "-1.arrow"))


def a_catalog_that_knows_no_such_session(station):
    """Nor that its run file is another now."""
    ok("runs", "-d", station / "data")
    path = sorted(station.glob("data/runs/*/*.parquet"))[0]
    table, before = pq.read_table(path), path.stat()
    at = table.schema.get_field_index("run_outcome")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(["passed"] * len(table), table.schema.field(at).type)), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        catalog.execute("UPDATE logs SET session_id = (SELECT max(session_id) FROM logs)")
        catalog.execute("UPDATE files SET size = ? WHERE name = ?", (path.stat().st_size, path.name))
        catalog.execute("UPDATE runs SET outcome = 'passed'")
        catalog.commit()
    found = [f["finding"] for f in findings(station)]
    assert any("the catalog has it as a log of session" in f for f in found) and any("column run_outcome: the file has" in f for f in found), found
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        other = "(SELECT o.session_id FROM runs o WHERE o.path <> runs.path)"
        run_id, = catalog.execute("SELECT run_id FROM runs WHERE path LIKE '%' || ?", (path.name,)).fetchone()
        catalog.execute(f"UPDATE runs SET path = 'runs/none.parquet', session_id = {other} WHERE run_id = ?", (run_id,))
        catalog.commit()
    assert "speaks of run" in run("verify", run_id, "-d", station / "data").stdout


def a_log_that_somebody_keeps_open(station):
    """As if its producer lived: cut, and without its end. The next session named it when it was sealed."""
    path = logs(station)[0]
    data = path.read_bytes()
    last = data.rfind(b"\xff\xff\xff\xff\x30\x02\0\0")
    path.write_bytes(data[:last])
    file = path.open("rb")
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        assert any(f["finding"].startswith("was cut") for f in findings(station))
    finally:
        file.close()


def a_run_that_never_began(station):
    """Only a name is said of it, as an import says it, which needs no key."""
    add_said(station, "run.materialized", {"materializer": "parquet", "destination": "runs/2026-01-01/it.parquet", "renamed": 1}, run_id=OTHER_ID)


def a_run_file_that_others_read(station):
    (station / "data/runs/2026-01-01/a").mkdir(parents=True)
    pq.write_table(pq.read_table(sorted(station.glob("data/runs/*/*.parquet"))[0]), station / "data/runs/2026-01-01/a/it.parquet", compression="brotli")


def a_catalog_that_will_lie(station):
    """Of each run to come."""
    ok("runs", "-d", station / "data")
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        catalog.execute("CREATE TRIGGER lie AFTER INSERT ON runs BEGIN UPDATE runs SET outcome = 'passed' WHERE rowid = NEW.rowid; END")
        catalog.commit()


def a_session_that_has_a_run_of_another(station):
    """Whole, unsigned, and listed first: the failed run is a passed one."""
    first = Log(logs(station)[0])
    session = first.rows[0]["session_id"]
    for path in station.glob(f"data/events/*/{session}-*.arrow"):
        log = Log(path)
        log.path, log.identity = path.with_name(path.name.replace(session, OTHER_ID)), log.identity.replace(session.encode(), OTHER_ID.encode())
        metadata = {**log.table.schema.metadata, b"litmus.identity": log.identity, b"litmus.session_id": OTHER_ID.encode()}
        log.table = log.table.replace_schema_metadata(metadata)
        log.rows = [{**r, "session_id": OTHER_ID, "id": OTHER_ID[:-4] + f"{i:04}"} for i, r in enumerate(log.rows)]
        if log.rows[0]["event_type"] == "session.started":
            log.forget_key()
        for row in log.rows:
            said = json.loads(row["json"])
            said |= {k: "passed" for k in ("outcome", "step_outcome") if said.get(k) == "failed"}
            if "destination" in said:
                said["destination"] = "runs/2026-01-01/00.parquet"
                del said["log_rows"]
            row["json"] = json.dumps(said).replace(session, OTHER_ID)
        log.chain_again()
        log.seal.clear()
        log.write()


def a_log_that_renames_while_it_is_kept_open(station):
    """What is not sealed cannot be signed yet; but who says that a run has its file is about to seal."""
    add_said(station, "run.materialized", {"materializer": "parquet", "destination": "runs/2026-01-01/it.parquet", "renamed": 1})
    path, = station.glob("data/events/*/*-99999.arrow")
    data = path.read_bytes()
    path.write_bytes(data[:data.rfind(b"\xff\xff\xff\xff\0\0\0\0")])  # as a stream has it before its end
    assert all("is not sealed" not in f["finding"] for f in findings(station) if path.name not in f["file_path"])
    KEPT.append(path.open("rb"))
    fcntl.flock(KEPT[-1], fcntl.LOCK_EX)


def rename_run(station, destination):
    add_said(station, "run.materialized", {"materializer": "parquet", "destination": destination, "renamed": 1})
    (station / "data" / destination).parent.mkdir(parents=True, exist_ok=True)
    sorted(station.glob("data/runs/*/*.parquet"))[0].rename(station / "data" / destination)


def a_name_that_is_a_value(station):
    """Readers of a hive of files take a folder's name for a column's value."""
    rename_run(station, "runs/run_outcome=passed/it.parquet")


def a_name_with_a_separator(station):
    """Of DuckDB, where a pattern stands beside it: another file would be read twice, and this one not at all."""
    rename_run(station, "runs/x\\y*.parquet")


def a_name_that_is_passed_over(station):
    """By pyarrow, Spark and Hive."""
    rename_run(station, "runs/2026-01-01/_it.parquet")


def a_run_file_as_an_attachment(station):
    """Of no run: its name is one that attachments have."""
    folder = station / "data/runs/2026-01-01/it_ref"
    folder.mkdir(parents=True)
    pq.write_table(pq.read_table(sorted(station.glob("data/runs/*/*.parquet"))[0]), folder / ("0" * 8 + "_" + "0" * 56 + ".parquet"), compression="brotli")


def a_link_to_a_run_file(station):
    path = sorted(station.glob("data/runs/*/*.parquet"))[0]
    (station / "data/runs/2026-01-01/it_ref").mkdir(parents=True)
    (station / "data/runs/2026-01-01/it_ref/it.parquet").symlink_to(path)


def a_link_to_a_day(station):
    (station / "data/runs/2026-01-01").symlink_to(sorted(station.glob("data/runs/*"))[0])


def a_link_to_all_runs(station):
    (station / "data/runs").rename(station / "runs")
    (station / "data/runs").symlink_to(station / "runs")


def channel_file(station, data, volts):
    """A session of its own, with one channel of that many volts: its file."""
    code = """
import array, sys, litmus
from litmus import _litmus
with _litmus.Session(sys.argv[1], daemon=False) as session, litmus.open_channel("scope", session=session) as channel:
    channel.block(array.array("d", [float(sys.argv[2])] * 50), interval=1e-3, start=1_700_000_000_000_000_000)
"""
    subprocess.run([sys.executable, "-c", code, station / data, volts], env=environment(), cwd=station, check=True, timeout=300)
    path, = (station / data).glob("channels/*/*.arrow")
    return path


def other_samples(station):
    """A signed session's channel file is another one now, right in itself: its name, and its SHA-256."""
    path, other = channel_file(station, "data", "99"), channel_file(station, "other", "1")
    data = other.read_bytes()
    was, now = (pa.ipc.open_file(p).schema.metadata for p in (other, path))
    for key in was:
        assert len(was[key]) == len(now[key])
        data = data.replace(was[key], now[key])
    path.write_bytes(data)
    shutil.rmtree(station / "other")
    return f"{path.parent.name}/{path.name}", path.name[:36], hashlib.sha256(data).hexdigest()


def say_closed(station, name, sha256, of):
    """By a whole unsigned session, listed first."""
    said = {"channel_id": "scope", "samples": 50, "file": name, "sha256": sha256}
    event = {"id": OTHER_ID, "event_type": "channel.closed", "session_id": of, "run_id": None, "json": json.dumps(said)}
    add_log(station, of + "-1", lambda rows: [{**rows[0], **event}], session_id=of.encode())


def a_channel_file_that_another_session_closed(station):
    name, _, sha256 = other_samples(station)
    say_closed(station, name, sha256, "00000000-0000-4000-8000-000000000001")
    assert any("is not the file that its writer closed" in f["finding"] for f in findings(station))


def a_channel_file_that_half_its_session_closed(station):
    """The id of a session that ends where the id of the other one goes on."""
    name, session, sha256 = other_samples(station)
    say_closed(station, name, sha256, session[:8])
    assert any("is not the file that its writer closed" in f["finding"] for f in findings(station))


def a_channel_file_that_is_closed_twice(station):
    """By an unsigned log of its own session, which comes first."""
    name, session, sha256 = other_samples(station)
    say_closed(station, name, sha256, session)


DER = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
KEPT = []
OTHER_ID = "11111111-1111-4111-8111-111111111111"
FORGERIES = {
    a_run_that_never_began: "says that run .* has a file, and none that it began",
    a_run_file_that_others_read: "lies where no log has its file, and cannot be read here",
    a_catalog_that_will_lie: "the catalog has trigger lie otherwise than litmus makes it",
    a_log_that_says_it_again: "is not signed, but its session was to be signed by key .* may have put it there",
    a_log_of_the_same_name: "is not signed, but its session was to be signed by key .* may have put it there",
    a_log_twice: "is a copy of log",
    a_log_under_the_name_of_another_session: "of session .* by its own word",
    a_log_that_says_less_of_its_session: "of session .* by its own word",
    the_word_that_a_session_was_pruned: "is missing: .* is not signed by a key that is known",
    a_prune_that_recovery_signs: "is missing: .* or was so only after its producer's death",
    a_log_that_another_station_signs: "is signed by its producer with key .*, but its session was to be signed by key",
    a_run_that_another_station_ends: "is signed by its producer with key .*, but its session was to be signed by key",
    a_session_that_another_station_begins: "says that its session is to be signed by key .*, and another log of it says by key",
    a_run_file_of_no_log: "no log of its session says that run",
    a_key_of_the_forgers: "which is not known here",
    a_note_that_names_another_session: "says that it is of session .*, and stands in a log of session",
    a_remark_that_makes_the_run_longer: "is not signed, but its session was to be signed by key .* may have put it there",
    a_review_of_no_kind: "is not signed, but its session was to be signed by key .* may have put it there",
    a_name_where_nobody_looks: "is said to be .*, which is no path below runs/",
    a_run_file_where_nobody_looks: "holds a run, and lies where no log has its file",
    a_log_of_another_name: "by its own word, and is not where its session looks for it",
    a_catalog_that_knows_no_such_session: "the catalog has it as a log of session",
    a_log_that_somebody_keeps_open: "was cut: ",
    a_session_that_has_a_run_of_another: "and logs of two sessions say so: one of them was put there",
    a_name_that_is_a_value: "is said to be .*, which is no path below runs/",
    a_name_with_a_separator: "is said to be .*, which is no path below runs/",
    a_name_that_is_passed_over: "is said to be .*, which is no path below runs/",
    a_run_file_as_an_attachment: "lies where no log has its file, and cannot be read here",
    a_link_to_a_run_file: "is a link: some readers follow it, others do not",
    a_link_to_a_day: "is a link: some readers follow it, others do not",
    a_link_to_all_runs: "is a link: some readers follow it, others do not",
    a_channel_file_that_another_session_closed: "says that channel file .* was closed here, which is of another session",
    a_channel_file_that_half_its_session_closed: "says that channel file .* was closed here, which is of another session",
    a_channel_file_that_is_closed_twice: "says that channel file .* has another SHA-256 than .* has",
    a_log_that_renames_while_it_is_kept_open: "says that a run has its file, and is kept open by a process that does not finish the session",
}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f.__name__)
def test_what_is_added_or_moved(station, forgery):
    """Where each file is right in itself. The run files are made anew by the forger, from what is there now."""
    forgery(station)
    run("rebuild", "-d", station / "data", LITMUS_SIGNING_KEY=str(station / "none.key"))
    found = findings(station)
    while KEPT:
        KEPT.pop().close()
    assert any(re.search(FORGERIES[forgery], f["finding"]) for f in found), found


CATALOG_LIES = {
    "UPDATE runs SET lake = NULL": None,
    "UPDATE runs SET lake = NULL; DELETE FROM lake_stale": "for counted and for passed over, or for neither",
    "INSERT INTO lake_stale SELECT lake, run_id FROM runs": "for counted and for passed over, or for neither",
    "UPDATE runs SET lake = 99; DELETE FROM lake_stale": "takes its rows from the lake, where they are not",
    "DELETE FROM lake_files": "takes its rows from the lake, where they are not|other lake files than the lake's own list",
    "DELETE FROM lake_files; UPDATE runs SET lake = NULL": "other lake files than the lake's own list",
    "UPDATE lake_files SET rows = 1": "other lake files than the lake's own list",
    "UPDATE logs SET mtime_us = 1": "has it as ended before its last event",
}


@pytest.mark.parametrize("lie", CATALOG_LIES)
def test_a_catalog_that_lies_of_lake_and_logs(station, lie):
    """SQL would lack runs or have them twice, `litmus events --since` be silent. What is as litmus left it is no find, nor is what reindex makes."""
    for command in ("compact", "runs"):
        ok(command, "-d", station / "data")
    assert findings(station) == []
    count = ["sql", "-d", station / "data", "--csv", "-c", "SELECT run_id, count(*) FROM steps GROUP BY ALL ORDER BY ALL"]
    before = ok(*count)
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        assert catalog.execute("SELECT count(*) FROM runs WHERE lake IS NOT NULL").fetchone() == (2,)
        catalog.executescript(lie)
    if CATALOG_LIES[lie] is None:  # leaves the word that the lake's rows do not count: nothing is lost
        assert findings(station) == [] and ok(*count) == before
        return
    found = findings(station)
    assert any(re.search(CATALOG_LIES[lie], f["finding"]) for f in found), found
    ok("reindex", "-d", station / "data")
    assert findings(station) == [] and ok(*count) == before


@pytest.mark.parametrize("moment", [-(10**18), 0, 1, "now", 4 * 10**18])
@pytest.mark.parametrize("table", ["runs", "events"])
def test_a_catalog_that_hides_files(station, table, moment):
    """By a folder's time: it holds all names of the folder for known as of then. Nor does it help to give the folder a time at which nobody believes that."""
    ok("runs", "-d", station / "data")
    path = logs(station)[0] if table == "events" else sorted(station.glob("data/runs/*/*.parquet"))[0]
    folder = path.parent.relative_to(station / "data")
    os.utime(path.parent, **({} if moment == "now" else {"ns": (moment, moment)}))
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        if table == "runs":
            catalog.execute("DELETE FROM runs WHERE path = ?", (str(path.relative_to(station / "data")),))
        catalog.execute(f"DELETE FROM {'files' if table == 'runs' else 'logs'} WHERE dir = ? AND name = ?", (str(folder), path.name))
        catalog.execute("UPDATE dirs SET mtime_ns = ? WHERE path = ?", (path.parent.stat().st_mtime_ns, str(folder)))
        catalog.commit()
    found = [f["finding"] for f in findings(station) if f["file_path"] == str(path)]
    listed = [json.loads(line) for line in ok(table, "--json", "-d", station / "data").splitlines()]
    seen = len(listed) if table == "runs" else sum(e["event_type"] == "session.started" for e in listed)
    assert found == (["the catalog does not know it; litmus reindex makes it anew"] if seen == 1 else []) and seen in (1, 2)
    ok("reindex", "-d", station / "data")
    assert findings(station) == []


@pytest.mark.parametrize("place", ["data/events", "data/events/it_ref", "data/events/.it", "data/events/out", "data/events/no_day"])
def test_a_log_is_listed_or_missed(station, place):
    """Wherever a signed log is moved: what the listings pass over is told as missing."""
    (station / "out").mkdir()
    if place.endswith("out"):
        (station / place).symlink_to(station / "out")
    (station / place).mkdir(exist_ok=True)
    path = logs(station)[0]
    session = Log(path).rows[0]["session_id"]
    ok("events", "-d", station / "data")
    path.rename(station / place / path.name)
    for _ in "twice":
        missed = any("is missing" in f["finding"] and path.stem in f["finding"] for f in findings(station))
        events = [json.loads(line) for line in ok("events", "--json", "-d", station / "data").splitlines()]
        assert missed != any(e["session_id"] == session and e["event_type"] == "test.step_ended" for e in events), place
        ok("reindex", "-d", station / "data")


@pytest.mark.parametrize("place", ["lake/it.parquet", "lake/month=2026-01/it.parquet", "lake/month=2026-01/part-00.parquet", "lake/deep/er/it.parquet", "lake/.it.parquet", "lake/month=2026-01/.part-00.parquet", "link"])
def test_a_stray_in_the_lake(station, place):
    ok("compact", "-d", station / "data")
    path = station / "data" / place
    if place == "link":
        path = station / "data/lake/month=2026-01"
        path.symlink_to(station / "data/runs")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sorted(station.glob("data/runs/*/*.parquet"))[0], path)
    found, = findings(station)
    assert found["file_path"] == str(path) and "whoever reads the folder counts its rows" in found["finding"]
    mended = run("doctor", "--mend", "-d", station / "data")
    assert path.exists() == ("part-" not in place) == (mended.returncode == 1)


def run_with_few(most, *args):
    return subprocess.run([LITMUS, *map(str, args)], capture_output=True, text=True, env=environment(), timeout=300,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))


@pytest.mark.parametrize("command", [["reindex"], ["runs"], ["sql", "-c", "SELECT count(*) FROM runs"], ["compact"], ["rebuild"], ["archive", "--older-than", "0s"], ["doctor", "--mend"],
                                     ["materialize"], ["note", "last", "test_load", "--by", "R. Roe", "--why", "x"]], ids=lambda c: c[0])
def test_too_few_descriptors_do_no_harm(station, command):
    """Whatever a command could not open: the catalog, the lake and the record are right when it has ended."""
    ok("compact", "-d", station / "data")
    for most in range(4, 20):
        done = run_with_few(most, *command, "-d", station / "data")
        assert done.returncode in (0, 1, 2, 4, 5, 127) and findings(station) == [], (most, done)
        assert len(ok("runs", "--json", "-d", station / "data").splitlines()) == 2
        if command == ["reindex"] and "cannot list" in done.stderr:
            assert done.returncode == 5


def test_too_few_descriptors(station):
    """What cannot be opened now is no find; what is said of it is that."""
    ok("compact", "-d", station / "data")
    codes = set()
    for most in range(4, 48):
        done = run_with_few(most, "verify", "--all", "-d", station / "data")
        if done.returncode not in (2, 127):  # no word of litmus.yaml, or of a library
            assert done.returncode in (0, 5) and done.stdout.count("Too many open files") == len(done.stdout.splitlines()), (most, done)
        codes.add(done.returncode)
    assert {0, 5} <= codes


@pytest.mark.parametrize("whole", [True, False])
def test_an_attached_parquet_file_is_no_run(tmp_path, whole):
    """Whether we can read it or not; in a run file's own folder, and named as what is attached is."""
    pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "trace.parquet")
    if not whole:
        (tmp_path / "trace.parquet").write_bytes(b"PAR1 and nothing more")
    record(tmp_path / "suite", tmp_path / "data", f"def test_it(attach): attach({str(tmp_path / 'trace.parquet')!r})")
    run("daemon", "stop", "-d", tmp_path / "data")
    assert len(list(tmp_path.glob("data/runs/*/*_ref/*.parquet"))) == 1 and findings(tmp_path) == []


def test_an_id_that_is_said_again_hides_nothing(station):
    """An unsigned log has each event anew, a moment earlier and passed; a plain copy is shown once."""
    def listed():
        return [json.loads(line) for line in ok("events", "--json", "-d", station / "data").splitlines()]

    before, path = listed(), logs(station)[0]
    name = path.stem.rsplit("-", 1)[0] + "-99999"
    shutil.copy(path, path.with_name(name + ".arrow"))
    assert listed() == before
    path.with_name(name + ".arrow").unlink()
    add_log(station, name, lambda rows: [{**r, "received_at": r["received_at"] - 1, "json": r["json"].replace("failed", "passed")} for r in rows])
    before, after = ([{**e, "received_at": None} for e in some] for some in (before, listed()))
    said_again = sum("failed" in row["json"] for row in Log(path).rows)
    assert all(e in after for e in before) and said_again > 0 and len(after) == len(before) + said_again


def test_a_row_of_no_file(station):
    """Nor does it end a listing by a signal."""
    ok("runs", "-d", station / "data")
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        catalog.execute("INSERT INTO runs(path) VALUES(NULL)")
        catalog.commit()
    for command in (["runs"], ["runs", "--json"], ["sql", "-c", "SELECT count(*) FROM runs"], ["show", "last"], ["yield"], ["verify", "last"], ["prune", "--keep", "1d", "--dry-run"]):
        assert run(*command, "-d", station / "data").returncode in (0, 1, 4, 5), command
    assert any("knows no file of it" in f["finding"] for f in findings(station))


@pytest.mark.parametrize("lie", ["DROP TRIGGER runs_go", "DROP TRIGGER runs_come", "DROP INDEX logs_unsettled"])
def test_a_catalog_without_a_trigger(station, lie):
    ok("runs", "-d", station / "data")
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        catalog.execute(lie)
        catalog.commit()
    assert any(f"{lie.split()[1].lower()} {lie.split()[2]} otherwise than litmus makes it" in f["finding"] for f in findings(station))


def test_no_key_of_the_data_dir_vouches_for_it(station):
    """The station's key was put there: whoever writes the record can put another one beside it."""
    assert "signed by a known key: 4 logs" in run("verify", "--all", "-v", "-d", station / "data").stderr
    shutil.copytree(station / "keys", station / "data/keys")
    (station / "data/there").symlink_to("keys")
    for folder in ("data/keys", "data/there", "data/keys/../there"):
        inside = run("verify", "--all", "-v", "-d", station / "data", LITMUS_SIGNING_KEY=str(station / folder / "station.key"))
        assert "signed by a known key: 0 logs; by an unknown key: 4" in inside.stderr and "no key is known here" in inside.stderr


def ghost_run(station):
    """A run of nobody, in a file that is none: a log is there under that name."""
    log = str(logs(station)[0].relative_to(station / "data/events"))
    return f"""CREATE TEMP TABLE ghost AS SELECT * FROM runs LIMIT 1;
               UPDATE ghost SET path = 'events/{log}', run_id = '{OTHER_ID}', outcome = 'passed';
               INSERT INTO runs SELECT * FROM ghost; INSERT INTO files VALUES ('events', '{log}', 1, 1, 'ok', NULL)"""


def ghost_log(station, folder="evil"):
    """A log outside of events/, in which a failed step is conceded."""
    session = Log(logs(station)[0]).rows[0]["session_id"]
    add_said(station, "review.conceded", {"step_path": "test_it.py/test_load", "vector_index": 0, "by": "QA lead", "why": "fine"})
    path, = station.glob("data/events/*/*-99999.arrow")
    (station / "data" / folder).mkdir()
    path.rename(station / "data" / folder / path.name)
    return f"INSERT INTO logs VALUES ('{folder}', '{path.name}', '{session}', 9000000000000000, 0)"


def a_log_that_may_get_a_schema(station):
    """The folder is listed again and again, by who reads the files, and is told nothing of, and by who believes the catalog never."""
    empty = logs(station)[0].with_name(OTHER_ID + "-99999.arrow")
    empty.touch()
    os.utime(empty, ns=(4 * 10**18, 4 * 10**18))
    folder = empty.parent
    os.utime(folder, ns=(10**18, 10**18))
    return f"DELETE FROM logs WHERE session_id = (SELECT min(session_id) FROM logs); UPDATE dirs SET mtime_ns = {10**18} WHERE path = '{folder.relative_to(station / 'data')}'"


FAILED = "(SELECT path FROM runs WHERE outcome = 'failed' LIMIT 1)"
GONE = f"DELETE FROM files WHERE dir || '/' || name = {FAILED}; DELETE FROM runs WHERE path = {FAILED}"
LOGS_GONE = "DELETE FROM logs WHERE session_id = (SELECT min(session_id) FROM logs)"
PASSED = "UPDATE runs SET outcome = 'passed'; UPDATE files SET size = size || 'x'"
TYPE_LIES = {
    "a time that is a text": "UPDATE dirs SET mtime_ns = mtime_ns || 'x'; ",
    "a name that ends": "UPDATE dirs SET path = path || char(0); ",
    "a name that is a blob": "UPDATE dirs SET path = CAST(path AS BLOB); ",
}
LIES = {f"{what}, {name}": how + then for name, how in TYPE_LIES.items() for what, then in (("a run is gone", GONE), ("logs are gone", LOGS_GONE), ("all passed", PASSED))} | {
    "the lake is gone": "UPDATE lake_state SET manifest = CAST(manifest AS BLOB); UPDATE lake_files SET name = name || char(0)",
    "two words of the lake": "INSERT INTO lake_state SELECT manifest FROM lake_state; UPDATE lake_state SET manifest = manifest || char(0); DELETE FROM lake_files",
    "no filter fits": "UPDATE runs SET started_at = CAST(started_at || 'x' AS TEXT), run_id = CAST(run_id AS BLOB)",
    "logs of no session": "UPDATE logs SET unread = 1, session_id = ''",
    "logs of another session": "UPDATE logs SET unread = 1, session_id = (SELECT max(session_id) FROM logs)",
    "a run of nobody": ghost_run,
    "a log elsewhere": ghost_log,
    "a log deeper": lambda station: ghost_log(station, next(str(p.relative_to(station / "data")) for p in station.glob("data/events/*")) + "/evil"),
    "a folder that is never known": a_log_that_may_get_a_schema,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_catalog_that_lies_to_its_readers(station, lie):
    """What SQL compares is not what C reads, and what the folders do not have nobody lists. The catalog is as sound a database as before."""
    for folder in [*station.glob("data/runs/*"), *station.glob("data/events/*"), station / "data/runs"]:
        os.utime(folder, ns=(10**18, 10**18))  # what changed a moment ago is looked at again
    for command in ("compact", "runs", "runs"):
        ok(command, "-d", station / "data")
    sql = LIES[lie] if isinstance(LIES[lie], str) else LIES[lie](station)
    with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
        catalog.executescript(sql)
        assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    found = findings(station)
    assert any("the catalog " in f["finding"] for f in found), found
    assert "conceded" not in ok("show", "last", "-d", station / "data") and len(ok("runs", "--json", "-d", station / "data").splitlines()) <= 2
    ok("reindex", "-d", station / "data")
    assert not any("the catalog " in f["finding"] for f in findings(station))


def test_a_catalog_that_ends_a_workers_log_too_early(station):
    """Of a session at work: `litmus events --since` would pass over the failed step."""
    producer = subprocess.Popen([sys.executable, "-c", WORKER.replace("worker.close()", "worker.close(); sys.stdout.flush(); sys.stdin.read()"), station / "data"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        path = producer.stdout.readline().split()[0]
        ok("runs", "-d", station / "data")
        assert findings(station) == []
        with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
            catalog.execute("UPDATE logs SET mtime_us = 1 WHERE name = ?", (pathlib.Path(path).name,))
            catalog.commit()
        assert any(f["file_path"] == path and "ended before its last event" in f["finding"] for f in findings(station))
    finally:
        producer.communicate()


def test_no_key_by_way_of_the_data_dir(station):
    """The folder of the station's key lies in the data_dir, and was made a link to elsewhere."""
    shutil.copytree(station / "keys", station / "elsewhere")
    (station / "data/keys").symlink_to(station / "elsewhere")
    for key in (station / "data/keys/station.key", station / "data/../data/keys/station.key"):
        done = run("verify", "--all", "-v", "-d", station / "data", LITMUS_SIGNING_KEY=str(key))
        assert "signed by a known key: 0 logs; by an unknown key: 4" in done.stderr


def test_where_one_stands_says_nothing_of_an_evidence_file(station):
    """Nor of a log: a litmus.yaml in a data_dir is part of a record."""
    ok("evidence", "last", "-o", station / "run.zip", "-d", station / "data")
    shutil.copytree(station / "keys", station / "data/keys")
    (station / "litmus.yaml").unlink()
    (station / "data/litmus.yaml").write_text("signing_key: keys/station.key\n")
    for options in ([], ["-d", "."], ["-d", station / "data"]):
        done = subprocess.run([LITMUS, "verify", station / "run.zip", *options], cwd=station / "data", env=environment(), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and "which you have not said that you trust" in done.stderr + done.stdout
    (station / "data/litmus-format").unlink()  # whoever writes there may do that
    done = subprocess.run([LITMUS, "verify", station / "run.zip", "-d", "."], cwd=station / "data", env=environment(), capture_output=True, text=True, timeout=300)
    assert "which you have not said that you trust" in done.stderr + done.stdout


@pytest.mark.parametrize("evil", [False, True])
def test_a_data_dir_behind_a_link_is_signed_all_the_same(tmp_path, evil):
    """By producers, the daemon, reviews and prune; litmus.yaml is where the link is. One in the data_dir itself says nothing."""
    (tmp_path / "disk/data").mkdir(parents=True)
    (tmp_path / "up").mkdir()
    (tmp_path / "up/data").symlink_to(tmp_path / "disk/data")
    (tmp_path / "up/litmus.yaml").write_text("signing_key: ../keys/station.key\n")
    ok("keygen", "--key", tmp_path / "keys/station.key")
    if evil:
        ok("keygen", "--key", tmp_path / "disk/data/evil.key")
        (tmp_path / "disk/data/litmus.yaml").write_text("signing_key: evil.key\n")
    data = tmp_path / "up/data"
    for suite in ("first", "second"):
        record(tmp_path / suite, data, SUITE)
    run("daemon", "stop", "-d", data)
    ok("note", "last", "fine", "--by", "R. Roe", "-d", data)
    ok("prune", "--keep", "0s", "--yes", "-d", data)
    record(tmp_path / "third", data, SUITE)
    run("daemon", "stop", "-d", data)
    done = run("verify", "--all", "--signed", "-v", "-d", data)
    assert done.returncode == 0 and "by an unknown key: 0; unsigned: 0" in done.stderr, done


def test_a_catalog_that_hides_a_session_at_work(station):
    """As if it had ended, and nobody had to look at it again. The daemon and the next refresh would pass over it."""
    producer = subprocess.Popen([sys.executable, "-c", PRODUCER, station / "data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        session = producer.stdout.readline().strip()
        assert len(ok("runs", "--json", "-d", station / "data").splitlines()) == 3 and findings(station) == []
        with contextlib.closing(sqlite3.connect(station / "data/catalog.sqlite")) as catalog:
            catalog.execute("UPDATE logs SET mtime_us = 9e15 WHERE session_id = ?", (session,))
            catalog.commit()
        assert len(ok("runs", "--json", "-d", station / "data").splitlines()) == 2
        assert any("the catalog holds it for finished" in f["finding"] for f in findings(station))
    finally:
        producer.communicate()


PRODUCER = """
import sys, uuid
from litmus import _litmus
session = _litmus.Session(sys.argv[1], daemon=False)
session.emit("run.started", {}, str(uuid.uuid4()))
print(session.id, flush=True)
sys.stdin.read()
session.close()
"""


WORKER = """
import sys, uuid
from litmus import _litmus
owner = _litmus.Session(sys.argv[1], daemon=len(sys.argv) > 2)
worker = _litmus.Session(sys.argv[1], session_id=owner.id, joined=True, daemon=False)
run, step = str(uuid.uuid4()), {"step_path": "test_it", "step_name": "test_it", "step_index": 0, "vector_index": 0}
owner.emit("run.started", {}, run)
worker.emit("test.step_started", step, run)
worker.emit("test.step_ended", {**step, "outcome": "failed"}, run)
print(worker.log_path, run)
worker.close()
owner.emit("run.ended", {"outcome": "passed"}, run)
owner.close()
"""


def record_with_worker(*options):
    """(path of the worker's log, the run)"""
    path, run_id = subprocess.run([sys.executable, "-c", WORKER, *options], capture_output=True, text=True, check=True, env=environment(), timeout=300).stdout.split()
    return pathlib.Path(path), run_id


def test_a_log_of_one_run_that_is_gone(station):
    """Who looks at that run alone is told, too: its run.materialized says from which logs its file was made."""
    path, run_id = record_with_worker(station / "data")
    assert run("verify", run_id, "-d", station / "data").returncode == 0
    path.unlink()
    run("rebuild", "-d", station / "data", LITMUS_SIGNING_KEY=str(station / "none.key"))
    done = run("verify", run_id, "-d", station / "data")
    assert done.returncode == 1 and f"log {path.stem} is missing" in done.stdout


def unseal(path):
    """As a stream has it before its end: whoever finishes it signs it as it was found."""
    data = path.read_bytes()
    path.write_bytes(data[:data.rfind(b"\xff\xff\xff\xff\0\0\0\0")])


def test_a_log_that_was_found_revises_no_run(station):
    """A log is put there that says a failed run passed, and that its file was made anew with that. It is signed by who takes it for a dead producer's."""
    path = logs(station)[0]
    log, session = Log(path), Log(path).rows[0]["session_id"]
    run_id, rows = next(r["run_id"] for r in log.rows if r["run_id"]), {Log(p).identity.decode(): len(Log(p).rows) for p in path.parent.glob(session + "-*.arrow")}
    end = next(r for r in log.rows if r["event_type"] == "run.ended")
    failed = next(r for r in log.rows if r["event_type"] == "test.step_ended" and '"failed"' in r["json"])
    file = next(p for p in station.glob("data/runs/*/*.parquet") if pq.read_table(p)["run_id"][0].as_py() == run_id)
    words = [("run.ended", end["json"].replace("failed", "passed")), ("test.step_ended", failed["json"].replace("failed", "passed")),
             ("run.materialized", json.dumps({"materializer": "parquet", "destination": str(file.relative_to(station / "data")), "revised": 1, "log_rows": {**rows, session + "-99999": 3}}))]
    times = [{m: end[m] - 3 + i for m in MOMENTS} for i in range(3)]
    add_log(station, session + "-99999", lambda rows: [{**end, "id": OTHER_ID[:-1] + str(i), "event_type": w[0], "json": w[1], **times[i]} for i, w in enumerate(words)])
    unseal(path.with_name(session + "-99999.arrow"))
    file.unlink()
    ok("reindex", "-d", station / "data")
    ok("materialize", "-d", station / "data")
    assert f"{run_id[:8]}  " in ok("runs", "-d", station / "data") and run("gate", run_id, "-d", station / "data").returncode == 1
    assert pq.read_table(file)["run_outcome"][0].as_py() == "failed"
    assert all(f["file_path"] != str(file) for f in findings(station))


def test_another_name_is_no_word_that_a_run_was_made(station):
    """Said while the run was at work: it would never have been said of which logs its file was made, and one could go unseen."""
    beside, worker = logs(station)[0], WORKER.replace("worker.close()", "worker.close(); sys.stdout.flush(); sys.stdin.read()")
    producer = subprocess.Popen([sys.executable, "-c", worker, station / "data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        path, run_id = producer.stdout.readline().split()
        path = pathlib.Path(path)
        session = path.name[:36]
        word = {"materializer": "parquet", "destination": f"runs/{path.parent.name}/20260101T000000Z.parquet", "renamed": 1}
        add_log(station, session + "-77-1", lambda rows: [{**rows[0], "id": OTHER_ID, "event_type": "run.materialized", "session_id": session, "run_id": run_id, "json": json.dumps(word)}],
                beside=beside, session_id=session.encode())
        assert any("and none says that it was made" in f["finding"] for f in findings(station))
        assert any(json.loads(line)["test_run_id"] == run_id for line in ok("runs", "--json", "-d", station / "data").splitlines())
    finally:
        producer.communicate()
    ok("materialize", "-d", station / "data")
    words = [e for e in map(json.loads, ok("events", "--json", "--type", "run.materialized", "-d", station / "data").splitlines()) if e.get("run_id") == run_id]
    assert sum("log_rows" in e for e in words) == 1
    path.unlink()
    run("rebuild", "-d", station / "data", LITMUS_SIGNING_KEY=str(station / "none.key"))
    assert f"log {path.stem} is missing" in run("verify", run_id, "-d", station / "data").stdout


@pytest.mark.parametrize("session", [None, ""])
def test_a_note_of_no_session_is_one_of_its_log(station, session):
    """Put there before the run's file was made, and earlier than all of it: the run was of no session."""
    path = logs(station)[1]
    log = Log(path)
    for other in path.parent.glob(log.rows[0]["session_id"] + "-*.arrow"):
        if other != path:
            other.unlink()
    (station / "data/heads").unlink()
    run_id = next(r["run_id"] for r in log.rows if r["run_id"])
    next(p for p in station.glob("data/runs/*/*.parquet") if pq.read_table(p)["run_id"][0].as_py() == run_id).unlink()
    said = {"id": OTHER_ID, "event_type": "review.noted", "session_id": session, "run_id": run_id, "json": json.dumps({"text": "fine", "by": "R. Roe"})}
    add_log(station, path.stem.rsplit("-", 1)[0] + "-99999", lambda rows: [{**rows[0], **said, **{m: rows[0][m] - 10**6 for m in MOMENTS}}], beside=path)
    ok("reindex", "-d", station / "data")
    ok("materialize", "-d", station / "data")
    file = next(p for p in station.glob("data/runs/*/*.parquet") if pq.read_table(p)["run_id"][0].as_py() == run_id)
    assert set(pq.read_table(file)["session_id"].to_pylist()) == {log.rows[0]["session_id"]}
    assert ("says that it is of session" in run("verify", run_id, "-d", station / "data").stdout) == (session is not None)


WORKERS = """
import sys, uuid
from litmus import _litmus
owner = _litmus.Session(sys.argv[1], daemon=False)
run, at = str(uuid.uuid4()), 1795846902000000
step = {"step_path": "test_it", "step_name": "test_it", "step_index": 0, "vector_index": 0}
owner.emit("run.started", {}, run, at)
workers = [_litmus.Session(sys.argv[1], session_id=owner.id, joined=True, daemon=False) for _ in range(2)]
for worker, outcome in zip(workers, ("passed", "failed")):
    worker.emit("test.step_started", step, run, at + 1000)
    worker.emit("test.step_ended", {**step, "outcome": outcome}, run, at + 1000)
    print(worker.log_path)
    worker.close()
print(run, flush=True)
sys.stdin.read()
owner.emit("run.ended", {"outcome": "done"}, run, at + 2000)
owner.close()
"""


def test_the_folder_of_a_log_decides_nothing(station):
    """Events of one moment in two logs come in the order of the names, which are signed."""
    *workers, run_id = subprocess.run([sys.executable, "-c", WORKERS, station / "data"], input="", capture_output=True, text=True, check=True, env=environment()).stdout.split()
    before = ok("show", run_id, "-d", station / "data")
    first = pathlib.Path(workers[0])
    (station / "data/events/2031-12-31").mkdir()
    first.rename(station / "data/events/2031-12-31" / first.name)
    run("rebuild", "-d", station / "data")
    assert ok("show", run_id, "-d", station / "data") == before and findings(station) == []


def test_the_folder_of_a_log_decides_nothing_of_what_is_imported(station):
    """Nor where some of its logs are there already, and others come."""
    *workers, run_id = subprocess.run([sys.executable, "-c", WORKERS, station / "data"], input="", capture_output=True, text=True, check=True, env=environment()).stdout.split()
    data = station / "data"
    first = pathlib.Path(workers[0])
    (data / "events/2031-12-31").mkdir()
    moved = first.rename(data / "events/2031-12-31" / first.name)
    ok("rebuild", "-d", data)
    before = ok("show", run_id, "-d", data)
    for number, gone in enumerate((None, moved, pathlib.Path(workers[1]))):
        here = station / f"here{number}"
        if gone:
            shutil.copytree(data, here)
            (here / gone.relative_to(data)).unlink()
        ok("import", data, "-d", here)
        ok("verify", "--all", "-d", here)
        assert ok("show", run_id, "-d", here).replace(str(here), str(data)) == before


def test_what_is_not_there_is_not_proved(tmp_path):
    done = run("verify", "--all", "-d", tmp_path / "slip")
    assert done.returncode == 3 and "slip" in done.stderr and not (tmp_path / "slip").exists(), done
    assert run("verify", "--all", "-d", tmp_path).returncode == 0, "nothing was recorded there yet"


def test_two_logs_of_one_name(tmp_path):
    """As a process made them that came back to its session on the next day. No event of either is counted for the other's."""
    producer = subprocess.Popen([sys.executable, "-c", WORKERS, tmp_path / "data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    paths = [pathlib.Path(producer.stdout.readline().strip()) for _ in range(2)]
    run_id = producer.stdout.readline().strip()
    second = Log(paths[1])
    second.rows = second.rows[:1] + [{**second.rows[0], "id": OTHER_ID}] + second.rows[1:]  # longer than the first
    second.identity = paths[0].stem.encode()
    second.table = second.table.replace_schema_metadata({**second.table.schema.metadata, b"litmus.identity": second.identity})
    second.chain_again()
    (tmp_path / "data/events/2031-12-31").mkdir()
    second.path = tmp_path / "data/events/2031-12-31" / paths[0].name
    second.write()
    paths[1].unlink()
    (tmp_path / "data/heads").unlink()
    producer.communicate("")
    ok("materialize", "-d", tmp_path / "data")
    before, found = ok("show", run_id, "-d", tmp_path / "data"), findings(tmp_path)
    assert "1 failed" in before and not any("rows, the log gives" in f["finding"] or "came after" in f["finding"] for f in found), found
    ok("rebuild", "-d", tmp_path / "data")
    assert ok("show", run_id, "-d", tmp_path / "data") == before


def test_no_second_log_of_one_name(tmp_path):
    """A process that comes back to its session on another day finds its old name taken there."""
    code = """
import datetime, pathlib, sys
from litmus import _litmus
today = datetime.datetime.now(datetime.timezone.utc)
owner = _litmus.Session(sys.argv[1], daemon=False)
names = []
for day in (f"{today - datetime.timedelta(30):%Y-%m-%d}", f"{today - datetime.timedelta(1):%Y-%m-%d}", None):
    worker = _litmus.Session(sys.argv[1], session_id=owner.id, joined=True, daemon=False)
    path = pathlib.Path(worker.log_path)
    names.append(path.name)
    worker.close()
    if day:
        (path.parent.parent / day).mkdir()
        path.rename(path.parent.parent / day / path.name)
print(len(set(names)))
owner.close()
"""
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "data"], capture_output=True, text=True, check=True, env=environment()).stdout == "3\n"


JUST_ENDED = """
import subprocess, sys
from litmus import _litmus
session, run = _litmus.Session(sys.argv[1], daemon=False), "22222222-2222-4222-8222-222222222222"
session.emit("run.started", {}, run)
session.emit("run.ended", {"outcome": "passed"}, run)
sys.exit(subprocess.run([sys.argv[2], "verify", "--all", "-d", sys.argv[1]]).returncode)
"""


def test_a_run_that_has_just_ended_is_no_alarm(tmp_path):
    """Its producer is there, and about to write its file."""
    done = subprocess.run([sys.executable, "-c", JUST_ENDED, tmp_path / "data", LITMUS], capture_output=True, text=True, env=environment(), timeout=300)
    assert (done.returncode, done.stdout) == (0, "") and "0 findings" in done.stderr
    ok("materialize", "-d", tmp_path / "data")
    assert findings(tmp_path) == []


def test_a_review_may_be_unsigned(station):
    """Who accepts a step need not have the station's key; that nobody signed it is counted."""
    ok("concede", "last", "test_load", "--by", "R. Roe", "--why", "waiver", "-d", station / "data", LITMUS_SIGNING_KEY=str(station / "none.key"))
    assert findings(station) == [] and any(f["finding"] == "is not signed" for f in findings(station, "--signed"))


def test_an_archive_is_as_provable(station):
    ok("archive", "--older-than", "0s", "-d", station / "data")
    assert findings(station, "--signed") == []
    assert [second_opinion(station, path) for path in logs(station)] == [[], []]
    log = Log(logs(station)[0])
    edit(log)
    log.chain_again()
    log.write()
    assert findings(station)


# ---- keys


def test_a_key_is_never_replaced(tmp_path):
    key = tmp_path / "new/station.key"
    fingerprint = ok("keygen", "--key", key).split()[0]
    assert key.stat().st_mode & 0o7777 == 0o600 and key.parent.stat().st_mode & 0o077 == 0
    private = key.read_bytes()
    again = run("keygen", "--key", key)
    assert again.returncode == 5 and "--rotate" in again.stderr and key.read_bytes() == private
    assert ok("keygen", "--public", "--key", key) == (tmp_path / "new/station.key.pub").read_text()
    rotated = json.loads(ok("keygen", "--rotate", "--json", "--key", key))
    assert rotated["fingerprint"] != fingerprint
    assert (tmp_path / f"new/station.key.{fingerprint[:16]}").read_bytes() == private
    key.unlink()
    lonely = run("keygen", "--key", key)
    assert lonely.returncode == 5 and "without its private key" in lonely.stderr


def test_a_key_is_read_by_others(tmp_path):
    """OpenSSL reads both halves, and the fingerprint is what everybody computes."""
    key = tmp_path / "station.key"
    fingerprint = ok("keygen", "--key", key).split()[0]
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(der).hexdigest() == fingerprint


def test_a_key_that_others_can_read_signs_nothing(tmp_path):
    """And that is on record; the test run goes on."""
    (tmp_path / "litmus.yaml").write_text("signing_key: station.key\n")
    ok("keygen", "--key", tmp_path / "station.key")
    (tmp_path / "station.key").chmod(0o644)
    record(tmp_path / "suite", tmp_path / "data", SUITE)
    run("daemon", "stop", "-d", tmp_path / "data")
    warnings = [json.loads(line) for line in ok("events", "--type", "diagnostic.warning", "--json", "-d", tmp_path / "data").splitlines()]
    assert len(warnings) == 1 and "chmod 600" in warnings[0]["message"]
    assert run("verify", "--all", "-d", tmp_path / "data").returncode == 0
    assert any(f["finding"] == "is not signed" for f in findings(tmp_path, "--signed"))


def test_former_keys_stay_known(station):
    ok("keygen", "--rotate", "--key", station / "keys/station.key")
    record(station / "third", station / "data", SUITE)
    run("daemon", "stop", "-d", station / "data")
    assert findings(station, "--signed") == []
    assert all("not known" in f["finding"] for f in findings(station, "--key", station / "keys/station.key.pub"))
    assert findings(station, "--key", station / "keys/station.key.pub")


@pytest.mark.parametrize("joined", [True, False])
def test_a_key_may_go_while_a_session_goes_on(station, joined):
    """A process that joins it later, or says that it begins, signs with the new one, and so does who finishes it."""
    code = """
import os, subprocess, sys
from litmus import _litmus
session, run = _litmus.Session(sys.argv[1], daemon=False), "22222222-2222-4222-8222-222222222222"
session.emit("run.started", {}, run)
subprocess.run([sys.argv[2], "keygen", "--rotate", "--key", sys.argv[3]], check=True)
worker = "import sys; from litmus import _litmus; s = _litmus.Session(sys.argv[1], session_id=sys.argv[2], joined=bool(sys.argv[4]), daemon=False); s.emit('run.ended', {'outcome': 'passed'}, sys.argv[3]); s.close()"
subprocess.run([sys.executable, "-c", worker, sys.argv[1], session.id, run, sys.argv[4]], check=True)
session.close()
"""
    subprocess.run([sys.executable, "-c", code, station / "data", LITMUS, station / "keys/station.key", "joined" * joined], env=environment(), check=True, timeout=300)
    ok("materialize", "-d", station / "data")
    assert findings(station, "--signed") == []
    counts = [json.loads(line).get("key") for line in ok("verify", "--all", "-v", "--json", "-d", station / "data").splitlines()]
    assert len({key for key in counts if key}) == 2


def test_another_station_finishes_a_session(station, tmp_path):
    """Whose producer died: its log is sealed by recovery, the run's end is said there, and its file made, all with the key of who took it in."""
    code = "import os, sys; from litmus import _litmus; s = _litmus.Session(sys.argv[1], daemon=False); s.emit('run.started', {}, '2' * 8 + '-2222-4222-8222-' + '2' * 12); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, station / "data"], env=environment(), check=True, timeout=300)
    ok("keygen", "--key", tmp_path / "there/keys/station.key")
    (tmp_path / "there/litmus.yaml").write_text("signing_key: keys/station.key\n")
    shutil.copy(station / "keys/station.key.pub", tmp_path / "there/keys/bench.pub")
    ok("import", station / "data", "-d", tmp_path / "there/data")
    ok("materialize", "-d", tmp_path / "there/data")
    assert findings(tmp_path / "there", "--signed") == []
    *_, total = [json.loads(line) for line in ok("verify", "--all", "--json", "-d", tmp_path / "there/data").splitlines()]
    assert total["signed_by_recovery"] == 1 and total["run_files"] == 3


def test_a_key_may_come_while_a_daemon_runs(tmp_path):
    """And the litmus.yaml that names it: the daemon signs like the producers."""
    record_with_worker(tmp_path / "data", "daemon")
    ok("keygen", "--key", tmp_path / "station.key")
    (tmp_path / "litmus.yaml").write_text("signing_key: station.key\n")
    record_with_worker(tmp_path / "data", "daemon")
    run("daemon", "stop", "-d", tmp_path / "data")
    assert findings(tmp_path) == [] and len(findings(tmp_path, "--signed")) == 3


def test_a_prune_that_is_killed_is_no_alarm(station):
    """Its session is sealed before anything goes: recovery never has to."""
    for i in range(12):
        shutil.copytree(station, station / "copy", ignore=shutil.ignore_patterns("copy"))
        prune = subprocess.Popen([LITMUS, "prune", "--keep", "0s", "--yes", "-d", station / "copy/data"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            prune.wait(timeout=0.003 * i)
        prune.kill()
        prune.communicate()
        ok("materialize", "-d", station / "copy/data")
        assert findings(station / "copy", "--signed") == []
        shutil.rmtree(station / "copy")


def test_what_was_pruned_is_no_alarm(station):
    """Its removal is on record, signed like everything else; what is removed besides is still missed."""
    first, second = logs(station)
    ok("prune", "--keep", "0s", "--yes", "-d", station / "data")
    assert not first.exists() and not second.exists()
    assert findings(station, "--signed") == []
    record(station / "third", station / "data", SUITE)
    run("daemon", "stop", "-d", station / "data")
    assert findings(station, "--signed") == []
    for path in station.glob("data/events/*/*.arrow"):
        if any(row["event_type"] == "retention.pruned" for row in Log(path).rows):
            path.unlink()
    assert any("is missing" in f["finding"] for f in findings(station))
