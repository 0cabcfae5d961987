# SPDX-License-Identifier: Apache-2.0
"""Evidence files: what is in one, that it proves itself where nothing else is, and that both verifiers (ours and examples/check_evidence.py) find
every change in it. Also zip files that nobody should unpack."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from unittest import mock

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from test_cli import LITMUS, environment, ok, record, run
from test_evidence import Log, TAMPERINGS, check_evidence, edit, record_with_worker

SUITE = """
    import pytest

    @pytest.mark.parametrize("volt", [3.3, 5.0])
    def test_rail(volt, verify):
        verify("rail", volt, limit={"low": 3.0, "high": 4.0, "units": "V"})

    def test_load():
        assert 0, "too <hot> & loud"

    def test_never(): pass
    def test_nor_this(): pass
"""
STATEMENT = "statement.intoto.jsonl"


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    """A station with a key, a run of which two steps never ran, and its evidence file."""
    top = tmp_path_factory.mktemp("station")
    (top / "litmus.yaml").write_text("signing_key: keys/station.key\n")
    ok("keygen", "--key", top / "keys/station.key")
    record(top / "first", top / "data", SUITE, "--maxfail", "2")
    record(top / "second", top / "data", "def test_it(): pass")
    run("daemon", "stop", "-d", top / "data")
    ok("concede", "@2", "test_never", "--by", "R. Roe", "--why", "waiver W-17", "-d", top / "data")
    ok("note", "@2", "fan replaced <before>", "--by", "rr", "-d", top / "data")
    pack(top, "@2", top / "run.zip")
    return top


def pack(station, ref, path, *options):
    return ok("evidence", ref, "-o", path, "-k", station / "keys/station.key", "-d", station / "data", *options)


def members(path):
    with zipfile.ZipFile(path) as box:
        return {name: box.read(name) for name in box.namelist()}


def write(path, content):
    """As litmus writes it, from a dict or a list of (name or ZipInfo, bytes)."""
    with zipfile.ZipFile(path, "w") as box:
        for name, data in content.items() if isinstance(content, dict) else content:
            box.writestr(name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name), data)
    return path


def statement_of(content):
    return json.loads(base64.b64decode(json.loads(content[STATEMENT])["payload"]))


def envelope(statement, key=None):
    payload = (statement if isinstance(statement, str) else json.dumps(statement, separators=(",", ":"), ensure_ascii=False)).encode()
    kind = b"application/vnd.in-toto+json"
    signatures = []
    if key:
        signature = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
        signatures = [{"keyid": check_evidence.key_id(key.public_key().public_bytes_raw()), "sig": base64.b64encode(signature).decode()}]
    return json.dumps({"payloadType": kind.decode(), "payload": base64.b64encode(payload).decode(), "signatures": signatures}, separators=(",", ":")).encode() + b"\n"


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def name_anew(content, statement):
    """The hashes of the files as they are now."""
    statement["subject"] = [{"name": n, "digest": {"sha256": hashlib.sha256(content[n]).hexdigest()}} for n in sorted(content) if n != STATEMENT]


def verify(path, *options, **more):
    """Ours, where nothing else is: (exit code, findings, sum, what it said)."""
    nowhere = path.parent / "nowhere"
    done = run("verify", path, "--json", *options, LITMUS_HOME=str(nowhere), HOME=str(nowhere), XDG_CONFIG_HOME=str(nowhere), **more)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode in (0, 1, 4), done.stderr
    assert not nowhere.exists()
    return done.returncode, lines[:-1], lines[-1] if lines else None, done.stderr


def second_opinion(path, *keys):
    """(exit code, what it says) of the verifier that shares nothing with ours. It never stumbles."""
    words = [check_evidence.__file__, *(word for key in keys for word in ("--key", str(key))), str(path)]
    with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(io.StringIO()) as out:
        return int(check_evidence.main()), out.getvalue()


def both_find(station, path, expected):
    key = station / "keys/station.key.pub"
    code, found, _, said = verify(path, "--key", key)
    assert code in (1, 4), said
    told = "\n".join([f"{f['file_path']}: {f['finding']}" for f in found] + [said])
    assert re.search(expected, told), told
    second, words = second_opinion(path, key)
    assert second == 1, words


# ---- what is in it


def test_it_proves_itself_elsewhere(station):
    key = station / "keys/station.key.pub"
    code, found, total, _ = verify(station / "run.zip", "--key", key, "--signed")
    assert (code, found) == (0, []) and total["signature"] == "known" and total["outcome"] == "failed" and total["events"] > 10
    assert second_opinion(station / "run.zip", key)[0] == 0


def test_who_is_not_trusted_is_said(station):
    code, _, total, said = verify(station / "run.zip")
    assert code == 0 and total["signature"] == "unknown" and "which you have not said that you trust" in said
    other = station / "other.pub"
    other.write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    code, found, *_ = verify(station / "run.zip", "--key", other)
    assert code == 1 and any("not known here" in f["finding"] for f in found)
    assert second_opinion(station / "run.zip", other)[0] == 1


def test_the_statement_commits_to_plan_result_and_what_never_ran(station):
    content = members(station / "run.zip")
    statement = statement_of(content)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    predicate = statement["predicate"]
    assert [(s["step_path"].split("/")[-1], s["reason"]) for s in predicate["never_ran"]] == [("test_never", "maxfail"), ("test_nor_this", "maxfail")]
    assert predicate["plan"]["steps"] == 5 and predicate["result"]["never_ran"] == 2 and predicate["result"]["failed"] == 2 and predicate["result"]["passed"] == 1
    assert re.fullmatch(r"[0-9a-f]{64}", predicate["plan"]["digest"]) and predicate["run"]["outcome"] == predicate["result"]["outcome"] == "failed"
    assert [(r["what"], r["event"]["by"]) for r in predicate["reviews"]] == [("conceded", "R. Roe"), ("noted", "rr")]
    assert {s["name"] for s in statement["subject"]} == set(content) - {STATEMENT}
    assert len(predicate["logs"]) == 4 and all(log["signed_by"] for log in predicate["logs"])


@pytest.mark.parametrize("moved", range(4))
def test_a_session_of_two_days(station, tmp_path, moved):
    """Its logs lie in two folders, whichever of them come first by name: a note on the next day."""
    shutil.copytree(station / "data", tmp_path / "data")
    shutil.copytree(station / "keys", tmp_path / "keys")
    session = json.loads(ok("runs", "--json", "-n", "0", "-d", station / "data").splitlines()[1])["session_id"]
    logs = sorted((tmp_path / "data").glob(f"events/*/{session}*.arrow"))
    day = tmp_path / "data/events" / ("2031-12-31" if moved % 2 else "2021-12-31")
    day.mkdir()
    logs[moved].rename(day / logs[moved].name)
    pack(tmp_path, "@2", tmp_path / "run.zip")
    assert len(logs) == 4 and len([name for name in members(tmp_path / "run.zip") if name.endswith(".arrow")]) == 4
    key = station / "keys/station.key.pub"
    assert verify(tmp_path / "run.zip", "--key", key, "--signed")[:2] == (0, [])
    assert second_opinion(tmp_path / "run.zip", key)[0] == 0


def test_others_read_it(station):
    """The files are those of the record, the report is JSON, the page is XML that needs nothing else."""
    etree = pytest.importorskip("lxml.html")
    content = members(station / "run.zip")
    for name, data in content.items():
        if name.startswith(("events/", "runs/")):
            assert (station / "data" / name).read_bytes() == data
    assert json.loads(content["report.json"])["findings"] == []
    page = etree.fromstring(content["page.html"])
    text = page.text_content()
    for words in ("too <hot> & loud", "fan replaced <before>", "waiver W-17", "never ran", "maxfail", "rail"):
        assert words in text
    assert not page.xpath("//script | //link | //img | //*[@src or @href]")
    attached = [data for name, data in content.items() if "_ref/" in name]
    assert len(attached) == 4 and any(b"too <hot> & loud" in data for data in attached)
    assert content["station.pub"] == (station / "keys/station.key.pub").read_bytes()
    if subprocess.run(["which", "unzip"], capture_output=True).returncode == 0:
        assert subprocess.run(["unzip", "-tq", station / "run.zip"], capture_output=True).returncode == 0


def test_the_signature_is_one_that_others_check(station):
    content = members(station / "run.zip")
    sealed = json.loads(content[STATEMENT])
    payload = base64.b64decode(sealed["payload"], validate=True)
    public = serialization.load_pem_public_key(content["station.pub"])
    public.verify(base64.b64decode(sealed["signatures"][0]["sig"]), b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload))


def test_the_same_run_gives_the_same_bytes(station, tmp_path):
    for name, zone in (("a.zip", "UTC"), ("b.zip", "Asia/Tokyo")):
        ok("evidence", "@2", "-o", tmp_path / name, "-k", station / "keys/station.key", "-d", station / "data", TZ=zone)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes() == (station / "run.zip").read_bytes()
    out = subprocess.run([LITMUS, "evidence", "@2", "-o", "-", "-k", station / "keys/station.key", "-d", station / "data"], capture_output=True, env=environment(), timeout=600)
    assert out.returncode == 0 and out.stdout == (station / "run.zip").read_bytes()


def test_nothing_is_replaced_unasked(station, tmp_path):
    path = tmp_path / "run.zip"
    path.write_text("mine")
    refused = run("evidence", "@2", "-o", path, "-d", station / "data")
    assert refused.returncode == 5 and "--force" in refused.stderr and path.read_text() == "mine"
    ok("evidence", "@2", "-o", path, "-d", station / "data", "--force")
    assert zipfile.is_zipfile(path) and os.listdir(tmp_path) == ["run.zip"]


def test_without_a_key_it_says_so(station, tmp_path):
    done = run("evidence", "@2", "-o", tmp_path / "run.zip", "-d", station / "data", LITMUS_SIGNING_KEY=str(tmp_path / "none.key"))
    assert done.returncode == 0 and "not signed" in done.stderr
    code, found, total, said = verify(tmp_path / "run.zip")
    assert (code, found, total["signature"], total["key"]) == (0, [], "none", None) and "not signed" in said
    assert b"not signed" in members(tmp_path / "run.zip")["page.html"]
    assert "unsigned" in second_opinion(tmp_path / "run.zip")[1]
    assert verify(tmp_path / "run.zip", "--signed")[0] == 1


def test_a_key_that_cannot_be_used_is_no_reason_to_go_without(station, tmp_path):
    (tmp_path / "bad.key").write_text("no key")
    done = run("evidence", "@2", "-o", tmp_path / "run.zip", "-k", tmp_path / "bad.key", "-d", station / "data")
    assert done.returncode != 0 and "bad.key" in done.stderr and os.listdir(tmp_path) == ["bad.key"]


def test_a_folder_that_cannot_be_written_is_named(station, tmp_path):
    done = run("evidence", "@2", "-o", tmp_path / "none/run.zip", "-d", station / "data")
    assert done.returncode in (3, 5) and "none" in done.stderr


def test_what_is_no_file_is_not_packed(station, tmp_path):
    """Nor waited for: a pipe has no end."""
    shutil.copytree(station / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    for path in (tmp_path / "data").glob("runs/*/*.parquet"):
        path.unlink()
        os.mkfifo(path)
    run_id = next(row["run_id"] for path in (tmp_path / "data").glob("events/*/*.arrow") for row in Log(path).rows if row["run_id"])
    done = run("evidence", run_id, "-o", tmp_path / "run.zip", "-d", tmp_path / "data")
    assert done.returncode == 4 and "is not a plain file" in done.stderr and os.listdir(tmp_path) == ["data"]


def test_what_was_found_is_in_it(station, tmp_path):
    """A record that was changed is packed as it is, with the finding; whoever gets it finds it again."""
    shutil.copytree(station / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.sock", "*.lock", "catalog*"))
    path = max((tmp_path / "data").glob("events/*/*.arrow"), key=lambda p: (any(r["event_type"] == "test.step_ended" for r in Log(p).rows), p.stat().st_size))
    log = Log(path)
    edit(log)
    log.write()
    run_id = next(r["run_id"] for r in log.rows if r["run_id"])
    done = run("evidence", run_id, "-o", tmp_path / "run.zip", "-k", station / "keys/station.key", "-d", tmp_path / "data")
    assert done.returncode == 1 and "chain breaks" in done.stderr
    assert "chain breaks" in json.loads(members(tmp_path / "run.zip")["report.json"])["findings"][0]["finding"]
    both_find(station, tmp_path / "run.zip", "chain breaks")


# ---- what is changed in it is found


def main_log(content):
    return max((n for n in content if n.endswith(".arrow")), key=lambda n: len(content[n]))


@pytest.mark.parametrize("tampering, forge", [(edit, "hashes_made_anew"), (edit, "signed_by_another"), *((t, f) for t in TAMPERINGS for f in ("hashes_as_they_were", "unsigned"))],
                         ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_a_changed_log(station, tmp_path, tampering, forge):
    content = members(station / "run.zip")
    name = main_log(content)
    log_path = tmp_path / pathlib.Path(name).name
    log_path.write_bytes(content[name])
    log = Log(log_path)
    tampering(log)
    log.write()
    content[name] = log_path.read_bytes()
    refill(content, forge)
    both_find(station, write(tmp_path / "forged.zip", content), re.escape(pathlib.Path(name).name) + ".*(chain breaks|did not sign this end)")


def refill(content, forge):
    """What a forger can do about the statement without the station's key."""
    if forge == "hashes_as_they_were":
        return
    statement, key = statement_of(content), ed25519.Ed25519PrivateKey.generate() if forge == "signed_by_another" else None
    if key:
        content["station.pub"] = pem(key)
    if forge == "unsigned":
        del content["station.pub"]
    name_anew(content, statement)
    if forge == "hashes_made_anew":
        sealed = json.loads(content[STATEMENT])
        sealed["payload"] = base64.b64encode(json.dumps(statement, separators=(",", ":")).encode()).decode()
        content[STATEMENT] = json.dumps(sealed, separators=(",", ":")).encode() + b"\n"
    else:
        content[STATEMENT] = envelope(statement, key)


def change_statement(change):
    def forge(content, key=None):
        statement = statement_of(content)
        change(statement["predicate"])
        content[STATEMENT] = envelope(statement, key)
    return forge


LIES = {
    "a_never_ran_step_is_dropped": lambda p: p["never_ran"].pop(),
    "a_reason_is_another": lambda p: p["never_ran"][0].update(reason="skip_marker"),
    "the_result_is_another": lambda p: p["result"].update(digest="0" * 64),
    "the_plan_is_another": lambda p: p["plan"].update(digest="0" * 64),
    "a_count_is_another": lambda p: p["result"].update(failed=0, passed=3),
    "the_outcome_is_another": lambda p: p["run"].update(outcome="passed"),
    "a_concession_is_dropped": lambda p: p["reviews"].clear(),
    "a_concession_is_invented": lambda p: p["reviews"][0]["event"].update(by="the head of quality"),
    "a_note_is_a_concession": lambda p: p["reviews"][1].update(what="conceded"),
    "a_chain_value_is_another": lambda p: p["logs"][0].update(chain="0" * 64),
    "something_is_added": lambda p: p.update(approved=True),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_changed_statement(station, tmp_path, lie):
    """As it is; and signed anew by a key that one trusts: then what the files say decides."""
    content = members(station / "run.zip")
    change_statement(LIES[lie])(content)
    both_find(station, write(tmp_path / "edited.zip", content), "not signed|did not sign|no envelope")
    trusted = ed25519.Ed25519PrivateKey.generate()
    content = members(station / "run.zip")
    content["station.pub"] = pem(trusted)
    (tmp_path / "trusted.pub").write_bytes(pem(trusted))
    statement = statement_of(content)
    name_anew(content, statement)
    content[STATEMENT] = envelope(statement, trusted)
    keys = ("--key", tmp_path / "trusted.pub", "--key", station / "keys/station.key.pub")
    assert verify(write(tmp_path / "whole.zip", content), *keys)[0] == 0
    change_statement(LIES[lie])(content, trusted)
    code, found, *_ = verify(write(tmp_path / "lie.zip", content), *keys)
    assert code == 1 and all(f["file_path"].endswith(STATEMENT) for f in found)
    assert any("the statement says" in f["finding"] or "added or moved" in f["finding"] for f in found)
    if any(word in lie for word in ("never_ran", "reason", "result", "invented", "note")):
        assert second_opinion(tmp_path / "lie.zip", *keys[1::2])[0] == 1


AMBIGUOUS = {
    "the predicate, the lie first": lambda text: text.replace('"predicate":{', '"predicate":{"run":{}},"predicate":{', 1),
    "the predicate, the lie last": lambda text: text[:-1] + ',"predicate":{"run":{}}}',
    "the run": lambda text: text[:-2] + ',"run":{"outcome":"passed"}}}',
    "a list inside": lambda text: text.replace('"never_ran":[', '"never_ran":[],"never_ran":[', 1),
    "a field of a member": lambda text: text.replace('{"name":', '{"name":"x","name":', 1),
    "no number": lambda text: text.replace('"errored":0', '"errored":false', 1),
    "another number": lambda text: text.replace('"failed":2', '"failed":2.0', 1),
}


def sign_anew(content, key, change=lambda text: text):
    """By a key that one trusts, as another version that may add fields."""
    statement = statement_of(content)
    content["station.pub"] = pem(key)
    name_anew(content, statement)
    statement["predicate"]["litmus_version"] = "99.0"
    content[STATEMENT] = envelope(change(json.dumps(statement, separators=(",", ":"), ensure_ascii=False)), key)
    return content


def test_a_statement_that_readers_may_take_otherwise(station, tmp_path):
    """Of a key that is there twice one reader takes the first, another the last."""
    trusted = ed25519.Ed25519PrivateKey.generate()
    keys = [tmp_path / "trusted.pub", station / "keys/station.key.pub"]
    keys[0].write_bytes(pem(trusted))
    for name, change in {"as it was": lambda text: text, "more": lambda text: text[:-2] + ',"approved":true}}', **AMBIGUOUS}.items():
        path = write(tmp_path / "twice.zip", sign_anew(members(station / "run.zip"), trusted, change))
        assert verify(path, "--key", keys[0], "--key", keys[1])[0] == second_opinion(path, *keys)[0] == int(name in AMBIGUOUS), name


def test_a_member_that_nothing_proves(station, tmp_path):
    """Named by the statement, and a log of another session, the same log again, or the file of another run."""
    pack(station, "last", tmp_path / "other.zip")
    trusted, content, other = ed25519.Ed25519PrivateKey.generate(), members(station / "run.zip"), members(tmp_path / "other.zip")
    keys = [tmp_path / "trusted.pub", station / "keys/station.key.pub"]
    keys[0].write_bytes(pem(trusted))
    log, file = main_log(other), next(n for n in other if n.endswith(".parquet"))
    twice = main_log(content).replace("events/2", "events/3")
    for name, data in {log: other[log], twice: content[main_log(content)], file: other[file]}.items():
        path = write(tmp_path / "more.zip", sign_anew({**content, name: data}, trusted))
        code, found, *_ = verify(path, "--key", keys[0], "--key", keys[1])
        assert code == 1 and any(f["file_path"].endswith(name) and re.search("nothing proves it|is a copy of", f["finding"]) for f in found), (name, found)
        assert second_opinion(path, *keys)[0] == 1, name


def test_the_run_file_of_another_run(station, tmp_path):
    pack(station, "last", tmp_path / "other.zip")
    content, other = members(station / "run.zip"), members(tmp_path / "other.zip")
    name, theirs = (next(n for n in c if n.endswith(".parquet")) for c in (content, other))
    content[name] = other[theirs]
    both_find(station, write(tmp_path / "swapped.zip", content), re.escape(name) + ".*(rows|column|SHA-256)")
    refill(content, "unsigned")
    code, found, *_ = verify(write(tmp_path / "again.zip", content))
    assert code == 1 and any(f["file_path"].endswith(name) for f in found)


def test_a_destination_that_leads_elsewhere(station, tmp_path):
    """What a log says of the run's file is not followed: not in a zip file, and not in a data_dir."""
    shutil.copytree(station / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.sock", "*.lock", "catalog*"))
    (tmp_path / "secret.parquet").write_text("secret")
    for path in (tmp_path / "data").glob("events/*/*.arrow"):
        log = Log(path)
        for row in log.rows:
            if row["event_type"] == "run.materialized":
                row["json"] = json.dumps({**json.loads(row["json"]), "destination": "runs/../../secret.parquet"})
        log.chain_again()
        log.write()
    done = run("verify", "@2", "--json", "-d", tmp_path / "data")
    assert done.returncode == 1 and "no path below runs/" in done.stdout and "is no Parquet" not in done.stdout
    assert run("evidence", "@2", "-o", tmp_path / "run.zip", "-d", tmp_path / "data").returncode == 5


@pytest.mark.parametrize("part", [".arrow", ".parquet", ".txt", "report.json", "page.html", "station.pub"])
def test_a_member_that_is_missing_or_added(station, tmp_path, part):
    content = members(station / "run.zip")
    name = next(n for n in content if n.endswith(part))
    gone = {n: data for n, data in content.items() if n != name}
    both_find(station, write(tmp_path / "gone.zip", gone), "not there|no public key|no file|No such file|holds no run|no envelope")
    added = {**content, "events/2026-01-01/more.arrow": content[main_log(content)]}
    both_find(station, write(tmp_path / "added.zip", added), "more.arrow.*it was added")


def test_a_log_that_is_gone(station, tmp_path):
    """From the record, before it was packed. Who packs it is told; whoever gets the file finds it again."""
    shutil.copytree(station / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.sock", "*.lock", "catalog*"))
    (tmp_path / "litmus.yaml").write_text(f"signing_key: {station}/keys/station.key\n")
    path, run_id = record_with_worker(tmp_path / "data")
    path.unlink()
    run("rebuild", "-d", tmp_path / "data")
    assert run("evidence", run_id, "-o", tmp_path / "run.zip", "-d", tmp_path / "data").returncode == 1
    both_find(station, tmp_path / "run.zip", f"log {path.stem} is missing")


def test_any_byte_of_any_member(station, tmp_path):
    """Flipped at random, with the check sums of the zip put right, as somebody does who wants it unseen."""
    random.seed(20261126)
    content = members(station / "run.zip")
    for name, data in content.items():
        for _ in range(4):
            at = random.randrange(len(data))
            forged = bytearray(data)
            forged[at] ^= random.randrange(1, 256)
            path = write(tmp_path / "flipped.zip", {**content, name: bytes(forged)})
            code, found, *_ = verify(path, "--key", station / "keys/station.key.pub")
            assert code in (1, 4), (name, at)
            assert code == 4 or any(f["file_path"].endswith(name) or name == "station.pub" for f in found), (name, at, found)
            assert second_opinion(path, station / "keys/station.key.pub")[0] == 1, (name, at)


@pytest.mark.parametrize("cut", [0, 1, 30, 0.5, 0.99, -1])
def test_a_file_that_is_cut(station, tmp_path, cut):
    data = (station / "run.zip").read_bytes()
    path = tmp_path / "cut.zip"
    path.write_bytes(data[:cut if isinstance(cut, int) else int(len(data) * cut)])
    code, *_, said = verify(path)
    assert code == 4 and "cut.zip" in said
    assert second_opinion(path)[0] == 1


# ---- zip files that nobody should unpack


def info(name, mode=0o100644, method=zipfile.ZIP_STORED):
    entry = zipfile.ZipInfo(name)
    entry.external_attr, entry.create_system, entry.compress_type = mode << 16, 3, method
    return entry


HOSTILE = {
    "parent": ("../evil.arrow", "name"),
    "inner_parent": ("events/../../evil.arrow", "name"),
    "absolute": ("/tmp/evil.arrow", "name"),
    "backslash": ("events\\..\\evil.arrow", "name"),
    "hidden": ("events/.evil", "name"),
    "line": ("events/a\nb.arrow", "name"),
    "folder": ("events/2026/", "name"),
    "deep": ("events/" + "a/" * 40 + "b", "name"),
    "list_of_changes": ("changes", "no place"),
    "catalog": ("catalog.sqlite", "no place"),
    "settings": ("litmus.yaml", "no place"),
    "link": (info("events/link.arrow", stat.S_IFLNK | 0o777), "link"),
    "device": (info("events/device.arrow", stat.S_IFCHR | 0o666), "no plain file"),
    "compressed": (info("events/bomb.arrow", method=zipfile.ZIP_DEFLATED), "compressed"),
    "no_statement": (None, "has no " + STATEMENT),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file(station, tmp_path, kind):
    name, expected = HOSTILE[kind]
    scratch = tmp_path / "scratch/inner"
    scratch.mkdir(parents=True)
    content = [] if name is None else [*members(station / "run.zip").items(), (name, bytes(100_000_000) if kind == "compressed" else b"evil")]
    code, *_, said = verify(write(tmp_path / "bad.zip", content), TMPDIR=str(scratch))
    assert code == 4 and expected in said and "bad.zip" in said
    assert second_opinion(tmp_path / "bad.zip")[0] == 1
    assert os.listdir(scratch) == [] and os.listdir(scratch.parent) == ["inner"]


def poke(where, at, value):
    """The zip file with a byte of the page's header changed: the one before it, or the one in the directory."""
    def change(data):
        name = b"page.html"
        place = data.find(name) - 30 if where == "local" else data.rfind(name) - 46
        return data[:place + at] + bytes([data[place + at] ^ value]) + data[place + at + 1:]
    return change


def zipped(content, hidden=None, **about):
    """Written with more about each member, or with bytes or a member between them that the directory does not name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as box:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)
            for key, value in about.items():
                setattr(entry, key, value)
            box.writestr(entry, data)
            if hidden == "bytes" and name == "page.html":
                box.fp.seek(box.start_dir)
                box.fp.write(b"unseen")
                box.start_dir = box.fp.tell()
        if hidden == "member":
            box.writestr("unseen.txt", b"unseen")
            box.filelist.pop()
        box.comment = hidden.encode() if hidden == "comment" else b""
    return buffer.getvalue()


class OldName(zipfile.ZipInfo):
    """A name that says of itself that it is not UTF-8."""

    def _encodeFilenameFlags(self):
        return self.filename.encode("cp437"), self.flag_bits


def old_names(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as box:
        for name, data in content.items():
            box.writestr(OldName(name), data)
        box.writestr(OldName("events/x_ref/\u00e9"), b"")
    return buffer.getvalue()


TRICKS = {
    "names in another code": lambda data, content: old_names(content),
    "bytes before": lambda data, content: b"#!/bin/sh\n" + data,
    "a zip file before": lambda data, content: data[:500] + data,
    "bytes behind": lambda data, content: data + b"unseen",
    **{hidden: (lambda hidden: lambda data, content: zipped(content, hidden))(hidden) for hidden in ("bytes", "member", "comment")},
    "compressed": lambda data, content: zipped(content, compress_type=zipfile.ZIP_DEFLATED),
    "extra field": lambda data, content: zipped(content, extra=struct.pack("<HH6s", 0xCAFE, 6, b"unseen")),
    "comments": lambda data, content: zipped(content, comment=b"unseen"),
    "links": lambda data, content: zipped(content, create_system=3, external_attr=(stat.S_IFLNK | 0o777) << 16),
    **{name: (lambda change: lambda data, content: change(data))(poke(*where)) for name, where in {
        "encrypted": ("directory", 8, 1), "check sum there": ("directory", 16, 1), "check sum here": ("local", 14, 1), "method here": ("local", 8, 8),
        "size here": ("local", 18, 1), "name here": ("local", 30, 1), "name there": ("directory", 46, 1),
        "flags here": ("local", 6, 1), "a flag there": ("directory", 9, 0x20), "time here": ("local", 10, 1), "time there": ("directory", 12, 1),
        "version there": ("directory", 6, 0x40), "a disk": ("directory", 34, 1), "compressed size there": ("directory", 20, 1), "comment's length there": ("directory", 32, 1)}.items()},
}


def test_zip_files_that_readers_may_take_otherwise(station, tmp_path):
    """All members as they were, by some reader, and something else in the file: nobody takes it. In another order they are the same."""
    data, content, path = (station / "run.zip").read_bytes(), members(station / "run.zip"), tmp_path / "trick.zip"
    for name, trick in TRICKS.items():
        path.write_bytes(trick(data, content))
        assert verify(path)[0] == 4, name
        assert second_opinion(path)[0] == 1, name
    assert verify(write(path, list(content.items())[::-1]))[0] == second_opinion(path)[0] == 0


def test_a_name_that_is_there_twice(station, tmp_path):
    content = members(station / "run.zip")
    with pytest.warns(UserWarning):
        path = write(tmp_path / "twice.zip", [*content.items(), ("page.html", b"another")])
    both_find(station, path, "twice|no whole zip")


def test_members_that_overlap(station, tmp_path):
    """Many names for the same bytes: small here, huge when unpacked."""
    big, count = bytes(1_000_000), 50
    with zipfile.ZipFile(tmp_path / "overlap.zip", "w") as box:
        for name, data in members(station / "run.zip").items():
            box.writestr(zipfile.ZipInfo(name), data)
        box.writestr(zipfile.ZipInfo("events/0.arrow"), big)
        first = box.infolist()[-1]
        for i in range(1, count):
            entry = zipfile.ZipInfo(f"events/{i}.arrow")
            entry.file_size, entry.compress_size, entry.CRC, entry.header_offset = first.file_size, first.compress_size, first.CRC, first.header_offset
            box.filelist.append(entry)
    code, *_, said = verify(tmp_path / "overlap.zip")
    assert code == 4 and "overlap.zip" in said


def test_what_is_no_zip_file_at_all(tmp_path):
    (tmp_path / "text.zip").write_text("PK but not really")
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "folder.zip").mkdir()
    for name in ("text.zip", "pipe.zip", "folder.zip"):
        code, *_, said = verify(tmp_path / name)
        assert code == 4 and name in said
    assert run("verify", tmp_path / "none.zip").returncode == 3


def test_a_huge_directory_is_refused(tmp_path):
    """65,535 members in the last record, and none behind it."""
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, 46 * 65535, 0, 0)
    (tmp_path / "many.zip").write_bytes(end)
    assert verify(tmp_path / "many.zip")[0] == 4
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as box:
        for i in range(10_001):
            box.writestr(zipfile.ZipInfo(f"events/{i}"), b"")
    (tmp_path / "members.zip").write_bytes(buffer.getvalue())
    code, *_, said = verify(tmp_path / "members.zip")
    assert code == 4 and "members" in said
