# SPDX-License-Identifier: Apache-2.0
"""A second opinion on logs and evidence files of litmus, by src/log/FORMAT.md and src/evidence/FORMAT.md, with nothing of litmus.
One line a file; exits with 1 if anything is wrong. Needs pyarrow, to read Arrow and Parquet files; the rest is Python's own."""

import argparse
import base64
import hashlib
import json
import pathlib
import re
import struct
import zipfile

import pyarrow as pa
import pyarrow.parquet

KINDS = ["string", "string", "timestamp[us, tz=UTC]", "timestamp[us, tz=UTC]", "string", "string", "string", "fixed_size_binary[32]"]
COLUMNS = [*zip("id event_type occurred_at received_at session_id run_id json chain".split(), KINDS)]
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # Ed25519, RFC 8032 (to check a signature, nothing is secret)
D, DER = -121665 * pow(121666, -1, P) % P, bytes.fromhex("302a300506032b6570032100")  # DER: what a public key in it begins with


def point(data):  # in extended coordinates, from its 32 bytes; None: there is none
    y, odd = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    x = pow(square := (y * y - 1) * pow(D * y * y + 1, -1, P) % P, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    fine, x = not ((x * x - square) % P or y >= P or (x == 0 and odd)), x if x % 2 == odd else P - x
    return (x, y, 1, x * y % P) if fine else None


def add(p, q):
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P, 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    return ((b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P)


def times(n, p):
    return add(times(n >> 1, add(p, p)), p) if n & 1 else times(n >> 1, add(p, p)) if n else (0, 1, 1, 0)


def key_of(pem):  # the 32 bytes of a public key in PEM
    der = base64.b64decode(pem.decode().partition("-----BEGIN PUBLIC KEY-----")[2].partition("-----END")[0])
    if len(der) != 44 or der[:12] != DER:
        raise ValueError("no public Ed25519 key")
    return der[12:]


def key_id(public):
    return hashlib.sha256(DER + public).hexdigest()[:16]


def check_key(public, message, signature, known, what):
    base, a, r, s = point(bytes([0x58] + [0x66] * 31)), point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a and r and s < ORDER and len(signature) == 64:
        left, right = times(s, base), add(r, times(int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER, a))
        if all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1)):
            return [] if not known or public in known else [f"is signed by key {key_id(public)}, which is not known"]
    return [f"key {key_id(public)} did not sign this {what}"]


def text(value):
    return b"\xff" * 8 if value is None else struct.pack("<q", len(value.encode())) + value.encode()


def check_log(data, known):
    """(what is wrong, what it says of itself, its end for the statement, what it tells of run files and reviews); `known`: public keys, none of them means that any will do."""
    table, source = pa.ipc.open_file(pa.py_buffer(data)).read_all(), pa.BufferReader(data[8:])
    stream, footer = pa.ipc.open_stream(source).read_all(), int.from_bytes(data[-10:-6], "little")  # by the footer, and from the first byte to the last
    whole = stream.equals(table) and stream.schema.metadata.items() <= table.schema.metadata.items() and 8 + source.tell() + footer + 10 == len(data)
    if not whole or [(column.name, str(column.type)) for column in table.schema] != COLUMNS or table.schema.metadata[b"litmus.log_version"] != b"1":
        return ["holds other events than its end lists, or other columns than a log"], "", None
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    last, columns = hashlib.sha256(b"litmus-log-1\n" + said["litmus.identity"].encode()).digest(), [c.cast(pa.int64()) if k[0] == "t" else c for c, k in zip(table.columns, KINDS)]
    for number, (one, kind, occurred, received, session, run, body, chain) in enumerate(zip(*(c.to_pylist() for c in columns)), 1):
        last = hashlib.sha256(last + text(one) + text(kind) + struct.pack("<qq", occurred, received) + text(session) + text(run) + text(body)).digest()
        if chain != last or session not in (None, said["litmus.session_id"]):
            return [f"the chain breaks at event {number}, id {one}, {kind}" if chain != last else f"event {number} says that it is of session {session}"], "", None
    told = [(kind, run, json.loads(body)) for kind, run, body in zip(*(columns[i].to_pylist() for i in (1, 5, 6))) if kind.startswith(("run.materialized", "review."))]
    if not any(key in said for key in ("litmus.signature", "litmus.public_key", "litmus.sealed_by")):
        wanted, end = json.loads(columns[6][0].as_py()).get("signing_key") if table.num_rows else None, (table.num_rows, last.hex(), None)
        return [f"is not signed, but was to be by key {wanted}"] if wanted else [], f"{table.num_rows} events, unsigned", end, told
    public, signature, by = bytes.fromhex(said["litmus.public_key"]), bytes.fromhex(said["litmus.signature"]), said["litmus.sealed_by"]
    message, end = f"litmus-seal-1\n{by}\n{table.num_rows}\n{last.hex()}\n{said['litmus.identity']}\n".encode(), (table.num_rows, last.hex(), key_id(public))
    return check_key(public, message, signature, known, f"end, of {end[0]} events"), f"{end[0]} events, signed by {end[2]}", end, told


OUTCOMES = ("record_type", "step_path", "measurement_name", "run_outcome", "vector_outcome", "measurement_outcome", "never_ran_reason")
NEVER_RAN = {"step_path": "step_path", "vector_index": "vector_index", "node_id": "step_node_id", "reason": "never_ran_reason", "cause": "never_ran_cause"}
NAMES = re.compile(r"(events|runs)(/[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*){1,8}|station\.pub|report\.json|page\.html|statement\.intoto\.jsonl")


def check_zip(data, known):
    with zipfile.ZipFile(pa.BufferReader(data)) as box:
        entries, at, to, odd, logs, rows, told = box.infolist(), 0, box.start_dir, [], [], [], []
        for e in entries:  # stored side by side, with nothing before, between and behind them
            n, plain, both = len(e.orig_filename.encode()), e.create_system != 3 or e.external_attr >> 28 in (0, 8), struct.unpack("<5H3IH", data[to + 6 : to + 30])
            fine = (at, data[at : at + 30], data[to + 30 : to + 36]) == (e.header_offset, struct.pack("<4s5H3I2H", b"PK\3\4", *both, 0), bytes(6)) and both[6] == both[7]
            odd += [] if fine and plain and both[0] <= 20 and both[1] in (0, 2048) and both[2] == 0 and both[8] == n and NAMES.fullmatch(e.orig_filename) else [e.filename]
            at, to = at + 30 + n + e.file_size, to + 46 + n
        if odd or (data[to:], len(entries)) != (struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(entries), len(entries), to - at, at, 0), len(box.NameToInfo)):
            raise ValueError(f"it holds more than its members, or what litmus does not write: {', '.join(odd)}")
        members = {name: box.read(name) for name in sorted(box.namelist())}
    line, public = members.pop("statement.intoto.jsonl"), key_of(members["station.pub"]) if "station.pub" in members else None
    payload, signature = base64.b64decode(json.loads(line)["payload"]), base64.b64decode(json.loads(line)["signatures"][0]["sig"]) if public else b""
    signatures = [{"keyid": key_id(public), "sig": base64.b64encode(signature).decode()}] if public else []
    again = {"payloadType": "application/vnd.in-toto+json", "payload": base64.b64encode(payload).decode(), "signatures": signatures}
    wrong = [] if line == json.dumps(again, separators=(",", ":")).encode() + b"\n" else ["the statement is not written as it should be"]
    wrong += check_key(public, b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload), signature, known, "statement") if public else []
    statement = json.loads(payload, object_pairs_hook=lambda pairs: (odd.append(len(pairs) - len(dict(pairs))), dict(pairs))[1])
    wrong, hashes = wrong + (["the statement has a key twice"] if any(odd) else []), {name: hashlib.sha256(member).hexdigest() for name, member in members.items()}
    says, said = statement["predicate"], {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    wrong += [f"{name} is not what the statement names" for name in sorted({*said, *hashes}) if said.get(name) != hashes.get(name)]
    for name, member in ((name, member) for name, member in members.items() if "_ref/" not in name):
        found, _, end, *from_logs = check_log(member, known) if name.startswith("events/") else ([], "", None)
        wrong, logs, told = wrong + [f"{name}: {what}" for what in found], logs + ([(name, *end)] if end else []), sum(from_logs, told)
        rows += pa.parquet.read_table(pa.py_buffer(member)).to_pylist() if name.startswith("runs/") else []
    result = b"litmus-result-1\n" + b"".join(b"".join(text(r[c]) for c in OUTCOMES) + text("" if r["vector_index"] is None else str(r["vector_index"])) for r in rows)
    steps, digest, files = [r for r in rows if r["record_type"] == "step"], hashlib.sha256(result).hexdigest(), [{"name": n, "digest": {"sha256": h}} for n, h in hashes.items()]
    never = [{said: r[c] for said, c in NEVER_RAN.items()} for r in steps if r["vector_outcome"] is r["step_started_at"] is None]
    counts = {c: sum(r["vector_outcome"] == c for r in steps) for c in "passed failed errored skipped done terminated aborted".split()} | {"never_ran": len(never)}
    made = [log for kind, _, body in told if kind == "run.materialized" for log in body.get("log_rows", {}).items()]
    for what, there, here in (
        ("files", [statement["_type"], statement["predicateType"], statement["subject"]], ["https://in-toto.io/Statement/v1", "urn:litmus:evidence:1", files]),
        ("run", [says["run"]["run_id"], says["run"]["dut_serial"], says["plan"]["digest"]], [rows[0][c] for c in ("run_id", "dut_serial", "plan_digest")]),
        ("result", [says["run"]["outcome"], *(says["result"][name] for name in ("outcome", "digest", *counts))], [*[rows[0]["run_outcome"]] * 2, digest, *counts.values()]),
        ("steps that never ran", says["never_ran"], never),
        ("logs that a run was made from", [n for n, events in made if events and not any(f"/{n}.arrow" in log[0] and log[1] >= events for log in logs)], []),
        ("reviews", [r for r in says["reviews"] if ("review." + r["what"], says["run"]["run_id"], r["event"]) not in told], []),
        ("logs", sorted((log["name"], log["events"], log["chain"], log["signed_by"]) for log in says["logs"]), logs),
    ):
        wrong += [f"other {what} than the statement says"] if json.dumps(there, sort_keys=True) != json.dumps(here, sort_keys=True) else []
    return wrong, f"run {says['run']['run_id']}, " + (f"signed by {key_id(public)}" if public else "unsigned")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--key", action="append", default=[], type=lambda path: key_of(pathlib.Path(path).read_bytes()))
    options.add_argument("files", nargs="+", type=pathlib.Path)
    asked, failed = options.parse_args(), False
    for path, data in ((path, path.read_bytes()) for path in asked.files):
        try:
            wrong, says = (check_zip if data[:2] == b"PK" else check_log)(data, asked.key)[:2]
        except (pa.ArrowException, OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError, struct.error, zipfile.BadZipFile) as e:
            wrong, says = [f"is no whole file: {e}"], ""
        failed |= bool(wrong)
        print(f"{path}: {'; '.join(wrong) or says}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
