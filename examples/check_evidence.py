# SPDX-License-Identifier: Apache-2.0
"""A second opinion on logs and evidence files of litmus, by src/log/FORMAT.md and src/evidence/FORMAT.md, with nothing of litmus.

    python check_evidence.py [--key STATION.pub]... LOG.arrow|FILE.zip...

One line a file; exits with 1 if anything is wrong. Needs pyarrow, to read Arrow and Parquet files; the rest is Python's own."""

import argparse
import base64
import hashlib
import io
import json
import pathlib
import struct
import sys
import zipfile

import pyarrow as pa
import pyarrow.parquet

# ---- Ed25519, RFC 8032 (to check a signature, nothing is secret)
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
DER = bytes.fromhex("302a300506032b6570032100")  # what a public key in DER begins with


def point(data):
    """A point in extended coordinates from its 32 bytes; None: there is none."""
    y, odd = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or y >= P or (x == 0 and odd):
        return None
    x = x if x % 2 == odd else P - x
    return (x, y, 1, x * y % P)


def add(p, q):
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P, 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, p):
    even = times(n >> 1, add(p, p)) if n else (0, 1, 1, 0)
    return add(even, p) if n & 1 else even


def signature_holds(public, message, signature):
    base, a, r, s = point(bytes([0x58] + [0x66] * 31)), point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER or len(signature) != 64:
        return False
    left, right = times(s, base), add(r, times(int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def key_of(pem):
    """The 32 bytes of a public key in PEM."""
    der = base64.b64decode("".join(line for line in pem.decode().splitlines() if "-----" not in line))
    if len(der) != 44 or der[:12] != DER:
        raise ValueError("no public Ed25519 key")
    return der[12:]


def key_id(public):
    return hashlib.sha256(DER + public).hexdigest()[:16]


def check_key(public, message, signature, known, what):
    if not signature_holds(public, message, signature):
        return [f"key {key_id(public)} did not sign this {what}"]
    return [] if not known or public in known else [f"is signed by key {key_id(public)}, which is not known"]


def text(value):
    return b"\xff" * 8 if value is None else struct.pack("<q", len(value.encode())) + value.encode()


def check_log(data, known):
    """(what is wrong, what it says of itself); `known`: public keys, none of them means that any will do."""
    table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    identity = said["litmus.identity"]
    last, moments = hashlib.sha256(b"litmus-log-1\n" + identity.encode()).digest(), ["occurred_at", "received_at"]
    columns = [table[n].cast(pa.int64()) if n in moments else table[n] for n in ("id", "event_type", *moments, "session_id", "run_id", "json", "chain")]
    for number, (one, kind, occurred, received, session, run, body, chain) in enumerate(zip(*(c.to_pylist() for c in columns)), 1):
        last = hashlib.sha256(last + text(one) + text(kind) + struct.pack("<qq", occurred, received) + text(session) + text(run) + text(body)).digest()
        if chain != last:
            return [f"the chain breaks at event {number}, id {one}, {kind}"], ""
    if not any(key in said for key in ("litmus.signature", "litmus.public_key", "litmus.sealed_by")):
        wanted = json.loads(columns[6][0].as_py()).get("signing_key") if table.num_rows else None
        return [f"is not signed, but was to be by key {wanted}"] if wanted else [], f"{table.num_rows} events, unsigned"
    public, signature = bytes.fromhex(said["litmus.public_key"]), bytes.fromhex(said["litmus.signature"])
    message = f"litmus-seal-1\n{said['litmus.sealed_by']}\n{table.num_rows}\n{last.hex()}\n{identity}\n".encode()
    wrong = check_key(public, message, signature, known, f"end, of {table.num_rows} events")
    return wrong, f"{table.num_rows} events, signed by {key_id(public)}"


OUTCOMES = ("record_type", "step_path", "measurement_name", "run_outcome", "vector_outcome", "measurement_outcome", "never_ran_reason")
NEVER_RAN = {"step_path": "step_path", "vector_index": "vector_index", "node_id": "step_node_id", "reason": "never_ran_reason", "cause": "never_ran_cause"}


def check_envelope(line, public, known):
    """(what is wrong, the statement); `public` is the key that came along, or None."""
    envelope = json.loads(line)
    payload, signature = base64.b64decode(envelope["payload"]), base64.b64decode(envelope["signatures"][0]["sig"]) if public else b""
    signatures = [{"keyid": key_id(public), "sig": base64.b64encode(signature).decode()}] if public else []
    again = {"payloadType": "application/vnd.in-toto+json", "payload": base64.b64encode(payload).decode(), "signatures": signatures}
    wrong = [] if line == json.dumps(again, separators=(",", ":")).encode() + b"\n" else ["the statement is not written as it should be"]
    wrong += check_key(public, b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload), signature, known, "statement") if public else []
    return wrong, json.loads(payload)


def check_zip(data, known):
    with zipfile.ZipFile(io.BytesIO(data)) as box:
        names, members = box.namelist(), {name: box.read(name) for name in box.namelist()}
    public = key_of(members["station.pub"]) if "station.pub" in members else None
    wrong, statement = check_envelope(members.pop("statement.intoto.jsonl"), public, known)
    hashes, said = {name: hashlib.sha256(member).hexdigest() for name, member in members.items()}, {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    wrong += [f"{name} is not what the statement names" for name in sorted({*said, *hashes}) if said.get(name) != hashes.get(name) or names.count(name) > 1]
    for name, member in members.items():
        found = check_log(member, known)[0] if name.startswith("events/") and "_ref/" not in name else []
        rows = pa.parquet.read_table(pa.py_buffer(member)).to_pylist() if name.startswith("runs/") and "_ref/" not in name else []
        result = b"litmus-result-1\n" + b"".join(b"".join(text(r[c]) for c in OUTCOMES) + text("" if r["vector_index"] is None else str(r["vector_index"])) for r in rows)
        never = [{said: r[c] for said, c in NEVER_RAN.items()} for r in rows if r["record_type"] == "step" and r["vector_outcome"] is r["step_started_at"] is None]
        found += ["other steps never ran than the statement says"] if rows and never != statement["predicate"]["never_ran"] else []
        found += ["is another result than the statement says"] if rows and hashlib.sha256(result).hexdigest() != statement["predicate"]["result"]["digest"] else []
        wrong += [f"{name}: {what}" for what in found]
    return wrong, f"run {statement['predicate']['run']['run_id']}, " + (f"signed by {key_id(public)}" if public else "unsigned")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--key", action="append", default=[], type=lambda path: key_of(pathlib.Path(path).read_bytes()))
    options.add_argument("files", nargs="+", type=pathlib.Path)
    asked, failed = options.parse_args(), False
    for path, data in ((path, path.read_bytes()) for path in asked.files):
        try:
            wrong, says = (check_zip if data[:2] == b"PK" else check_log)(data, asked.key)
        except (pa.ArrowException, OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, NotImplementedError, struct.error, zipfile.BadZipFile) as e:
            wrong, says = [f"is no whole file: {e}"], ""
        failed |= bool(wrong)
        print(f"{path}: {'; '.join(wrong) or says}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
