# SPDX-License-Identifier: Apache-2.0
"""A second opinion on logs of litmus: chain and signature by the rules of src/log/FORMAT.md, with nothing of litmus.

    python check_evidence.py [--key STATION.pub]... LOG.arrow...

One line a log; exits with 1 if anything is wrong. Needs pyarrow, to read Arrow files; the rest is Python's own.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

import pyarrow as pa

# ---- Ed25519, RFC 8032 (to check a signature, nothing is secret)
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def point(data):
    """A point in extended coordinates from its 32 bytes; None: there is none."""
    y, odd = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or y >= P or (x == 0 and odd):
        return None
    x = x if x % 2 == odd else P - x
    return (x, y, 1, x * y % P)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, p):
    result = (0, 1, 1, 0)
    while n:
        result, p, n = add(result, p) if n & 1 else result, add(p, p), n >> 1
    return result


BASE = point(bytes([0x58] + [0x66] * 31))


def signature_holds(public, message, signature):
    """Is `signature` (64 bytes) that of `message` by the key `public` (32 bytes)?"""
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    left, right = times(s, BASE), add(r, times(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def key_of(pem):
    """The 32 bytes of a public key in PEM."""
    der = base64.b64decode("".join(line for line in pem.decode().splitlines() if "-----" not in line))
    if len(der) != 44 or der[:12] != bytes.fromhex("302a300506032b6570032100"):
        raise ValueError("no public Ed25519 key")
    return der[12:]


def key_id(public):
    return hashlib.sha256(bytes.fromhex("302a300506032b6570032100") + public).hexdigest()[:16]


# ---- a log
def text(value):
    return b"\xff" * 8 if value is None else struct.pack("<q", len(value.encode())) + value.encode()


def check_log(path, known):
    """(what is wrong, what it says of itself); `known`: public keys, none of them means that any will do."""
    table = pa.ipc.open_file(pa.py_buffer(pathlib.Path(path).read_bytes())).read_all()
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
    wrong = [] if signature_holds(public, message, signature) else [f"key {key_id(public)} did not sign this end, of {table.num_rows} events"]
    if not wrong and known and public not in known:
        wrong = [f"is signed by key {key_id(public)}, which is not known"]
    return wrong, f"{table.num_rows} events, signed by {key_id(public)}"


def main(arguments):
    known, paths, failed = [], [], False
    while arguments:
        word = arguments.pop(0)
        if word == "--key":
            known.append(key_of(pathlib.Path(arguments.pop(0)).read_bytes()))
        else:
            paths.append(word)
    for path in paths:
        try:
            wrong, says = check_log(path, known)
        except (pa.ArrowException, KeyError, ValueError, IndexError, struct.error, OverflowError) as e:
            wrong, says = [f"is no whole log: {e}"], ""
        failed |= bool(wrong)
        print(f"{path}: {'; '.join(wrong) or says}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
