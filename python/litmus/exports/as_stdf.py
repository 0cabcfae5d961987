# SPDX-License-Identifier: Apache-2.0
"""STDF V4: a part (PIR to PRR) a run, a functional test (FTR) an attempt, a parametric one (PTR) a measurement.

A step that never ran is an FTR with the "not executed" bit of its test flags, and in the program's synopsis (TSR) a test
with no execution. A value or limit that 4-byte floats cannot hold is cut to the greatest that they can; its test is flagged as unreliable, and a
DTR beside it says what it was. Text has 255 bytes at most and is ASCII; what is not becomes \\xNN or \\uNNNN.
"""

from __future__ import annotations

import struct
import time

from litmus.exports.reading import BAD

# kind of record: (type, subtype)
_FAR, _MIR, _MRR, _PIR, _PRR, _PTR, _FTR, _TSR, _DTR, _PCR = (0, 10), (1, 10), (1, 20), (5, 10), (5, 20), (15, 10), (15, 20), (10, 30), (50, 30), (1, 30)
NOT_EXECUTED, ABORTED, NO_VERDICT, FAILED, INVALID, UNRELIABLE = 0x10, 0x20, 0x40, 0x80, 0x02, 0x04
_GREATEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_NONE = 4_294_967_295


def _cn(value) -> bytes:
    """Text: its length, then at most 255 bytes."""
    raw = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value or "")).encode("ascii", "backslashreplace")[:255]
    return bytes([len(raw)]) + raw


def _seconds(moment) -> int:
    return max(0, min(_NONE - 1, int(moment.timestamp()))) if moment is not None else 0


def _real(value) -> bytes:
    return struct.pack("<f", 0.0 if value is None or value != value else max(-_GREATEST, min(_GREATEST, value)))


def _flag(word) -> int:
    """Test flags of an outcome; bit 7: it failed."""
    if word in ("never_ran", "not_yet", "skipped"):
        return NOT_EXECUTED | NO_VERDICT
    if word in ("aborted", "terminated"):
        return ABORTED | FAILED
    return FAILED if word in BAD else NO_VERDICT if word in ("done", "running", None) else 0


class _File:
    def __init__(self, out):
        self.out, self.cut = out, 0  # cut: values that do not fit

    def add(self, kind: tuple, body: bytes) -> None:
        self.out.write(struct.pack("<HBB", len(body), *kind) + body)


def _head(file: _File, run) -> None:
    file.add(_FAR, bytes([2, 4]))  # little-endian, version 4
    get = run.fields.get if run is not None else {}.get
    started = _seconds(run.started) if run is not None else int(time.time())
    file.add(_MIR, struct.pack("<IIB", started, started, 1) + b"PN " + struct.pack("<H", 65535) + b" "
             + b"".join(_cn(v) for v in (get("dut_lot_number"), get("dut_part_number"), get("station_id") or get("station_hostname"), get("station_type"), get("project_name"),
                                         get("git_commit"), "", get("operator_id"), "litmus", get("litmus_version"), get("test_phase"))))


def _ftr(file: _File, number: int, flag: int, name: str) -> None:
    # OPT_FLAG 0xff: none of the fields up to REL_VADR is there; then the counts of what follows are 0
    file.add(_FTR, struct.pack("<IBBBB", number, 1, 1, flag, 0xFF) + bytes(26) + struct.pack("<HHH", 0, 0, 0) + _cn("") * 3 + _cn(name))


def _is_beyond(value) -> bool:
    return value is not None and abs(value) > _GREATEST


def _ptr(file: _File, number: int, m) -> bool:
    """Whether all of it could be said."""
    bad, value = m.outcome in BAD, m.value
    low, high = m.limit_low, m.limit_high
    cut = [f"{what} {number!r}" for what, number in (("value", value), ("low limit", low), ("high limit", high)) if _is_beyond(number)]
    flag = (FAILED if bad else 0 if m.outcome == "passed" else NO_VERDICT) | (INVALID if value is None or value != value else 0) | (UNRELIABLE if cut else 0)
    option = 0x0E | (0x40 if low is None else 0) | (0x80 if high is None else 0)  # no scaling, no specification limits
    file.add(_PTR, struct.pack("<IBBBB", number, 1, 1, flag, 0) + _real(value) + _cn(m.name) + _cn("") + bytes([option, 0, 0, 0]) + _real(low) + _real(high) + _cn(m.units))
    if cut:
        file.add(_DTR, _cn(f"{m.name}: {', '.join(cut)} is beyond a 4-byte float"))
    if value is None and m.text is not None:
        file.add(_DTR, _cn(f"{m.name}: {m.text}"))
    return not cut


def _part(file: _File, run, numbers: dict, sums: dict, part: int) -> None:
    file.add(_PIR, b"\1\1")
    if run.live:
        file.add(_DTR, _cn(f"run {run.id} is in flight"))
    tests = 0
    for step in run.steps:
        key = (step.path, step.vector_index)
        number, total = numbers.setdefault(key, len(numbers) + 1), sums.setdefault(key, [0, 0, step.node_id or step.path, "F"])
        for word in [a.outcome if i + 1 < len(step.attempts) else step.word for i, a in enumerate(step.attempts)] or [step.word]:
            _ftr(file, number, _flag(word), step.node_id or step.path)
            total[0] += step.ran
            total[1] += word in BAD
            tests += step.ran
        for m in step.measurements:
            key_m = (*key, m.name)
            number, total = numbers.setdefault(key_m, len(numbers) + 1), sums.setdefault(key_m, [0, 0, m.name, "P"])
            file.cut += not _ptr(file, number, m)
            total[0], total[1], tests = total[0] + 1, total[1] + (m.outcome in BAD), tests + 1
    flag = 0x08 if run.outcome in BAD else 0x10 if run.outcome != "passed" else 0  # failed; no verdict
    flag |= 0x04 if run.outcome in ("aborted", "terminated") else 0
    good = run.outcome == "passed"
    file.add(_PRR, struct.pack("<BBBHHHhhI", 1, 1, flag, min(tests, 65535), 1 if good else 0, 65535, -32768, -32768, min(_NONE - 1, round(run.seconds * 1000)))
             + _cn(run.fields.get("dut_serial") or part) + _cn(run.id) + b"\0")


def write(runs, out) -> None:
    file, numbers, sums = _File(out), {}, {}
    last, parts, good, bad = None, 0, 0, 0
    for run in runs:
        if parts == 0:
            _head(file, run)
        parts, last = parts + 1, run
        good, bad = good + (run.outcome == "passed"), bad + (run.outcome in BAD)
        _part(file, run, numbers, sums, parts)
    if parts == 0:
        _head(file, None)
    for key, (executed, failed, name, kind) in sums.items():
        # no alarms are counted; of the optional fields none is there
        file.add(_TSR, struct.pack("<BBcIIII", 1, 1, kind.encode(), numbers[key], executed, failed, _NONE) + _cn(name) + _cn("") * 2 + b"\xff")
    file.add(_PCR, struct.pack("<BBIIIII", 255, 0, parts, _NONE, _NONE, good, _NONE))
    file.add(_MRR, struct.pack("<I", _seconds(last.ended) if last is not None else 0) + b" " + _cn("") * 2)
    if file.cut:
        runs.note(f"{file.cut} value{'s' if file.cut != 1 else ''} or limits beyond {_GREATEST:.6g}, the greatest that STDF holds, were cut to it; a DTR beside each says what it was")
