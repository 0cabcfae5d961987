# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the extension: writes JSON lines, checks each event against src/model/events.def.

It makes the plugin's tests independent of the core: LITMUS_FAKE_DIR names the folder that gets one
file a session and process. LITMUS_FAKE_FAIL makes it fail: `open`, `emit:TYPE`, `close`.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time

TABLE = os.path.join(os.path.dirname(__file__), "..", "..", "src", "model", "events.def")


def _load_table() -> dict:
    text = open(TABLE, encoding="utf-8").read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    field = re.compile(r'F\("(\w+)",\s*(\w+),\s*(\w+),')
    macros = {}
    for match in re.finditer(r"#define (\w+_FIELDS?)((?:.*\\\n)*.*)\n", text):
        macros[match.group(1)] = field.findall(match.group(2))
    table = {}
    body = re.sub(r"#define (?:.*\\\n)*.*\n", "", text)
    for match in re.finditer(r'EVENT\(\w+,\s*"([\w.]+)",\s*(\w+),(.*?)\)\n(?=\n|EVENT|#)', body, flags=re.S):
        fields = {}
        for part in re.finditer(r'(\w+_FIELDS?)\b|F\("(\w+)",\s*(\w+),\s*(\w+),', match.group(3)):
            if part.group(1):
                fields.update({name: (kind, need) for name, kind, need in macros[part.group(1)]})
            else:
                fields[part.group(2)] = (part.group(3), part.group(4))
        table[match.group(1)] = (match.group(2), fields)
    return table


_TABLE = None
_KINDS = {
    "STR": str, "INT": int, "NUM": (int, float), "BOOL": bool, "MAP": dict, "LIST": list, "LIST_STR": list,
    "LIST_MAP": list, "TIME": str, "UUID": str,
}  # fmt: skip


class FakeError(Exception):
    code = 2


FakeError.__module__ = "litmus.errors"


def _clean(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_clean(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    raise FakeError(f"the plugin handed over a {type(value).__name__}")


class Session:
    def __init__(
        self, data_dir=None, session_id=None, joined=False, payload=None, daemon=True, durability=None, group_ms=100
    ):
        self._fail = os.environ.get("LITMUS_FAKE_FAIL", "")
        if self._fail == "open":
            raise FakeError("/some/where: no space left; free some")
        folder = os.environ["LITMUS_FAKE_DIR"]
        self.id = session_id or "%08x-0000-4000-8000-%012x" % (os.getpid(), time.time_ns() % (1 << 48))
        self.data_dir = data_dir or folder
        self.log_path = os.path.join(folder, f"{self.id}-{os.getpid()}.jsonl")
        self._file = open(self.log_path, "a", buffering=1)
        self.rows = 0
        self._joined = joined
        self._runs = []
        if not joined:
            self.emit("session.started", payload or {})

    def store(self, name, content, sync=True):
        import hashlib

        if not isinstance(content, bytes):
            content = open(content, "rb").read()
        digest = hashlib.sha256(content).hexdigest()
        return f"file://_ref/{digest[:8]}_{digest[8:]}{os.path.splitext(name)[1] or '.bin'}", digest, len(content)

    def emit(self, event_type, payload, run_id=None, occurred_at=None):
        global _TABLE
        if _TABLE is None:
            _TABLE = _load_table()
        if self._fail == "emit:" + event_type:
            raise FakeError("log.arrow: no space left")
        scope, fields = _TABLE[event_type]
        if event_type.startswith("session."):
            run_id = None
        elif scope == "RUN" and run_id is None:
            raise FakeError(f"{event_type} without a run_id")
        for name, value in payload.items():
            if name not in fields:
                raise FakeError(f"{event_type} has no field {name}")
            kind = _KINDS.get(fields[name][0])
            if value is not None and kind is not None and not isinstance(value, kind):
                raise FakeError(f"{event_type}.{name} is a {type(value).__name__}")
        for name, (_, need) in fields.items():
            if need == "REQ" and payload.get(name) is None:
                raise FakeError(f"{event_type} lacks {name}")
        event = {"event_type": event_type, "run_id": run_id, "session_id": self.id, "pid_": os.getpid()}
        event["occurred_at"] = occurred_at or time.time_ns() // 1000
        event.update(_clean(payload))
        self._file.write(json.dumps(event) + "\n")
        self.rows += 1
        if event_type == "run.ended":
            self._runs.append((run_id, payload.get("outcome")))
        return "event-%d" % self.rows

    def close(self, outcome=None, wait=10.0):
        if not self._joined:
            self.emit("session.ended", {"outcome": outcome})
        self._file.close()
        if self._fail == "close":
            raise FakeError("cannot materialise")
        return [
            {
                "run_id": run_id, "path": os.path.join(self.data_dir, "runs", "x.parquet"), "outcome": result,
                "planned": 0, "never_ran": 0, "counts": {}, "materializer": "in-process",
            }
            for run_id, result in self._runs
        ]  # fmt: skip


def install() -> None:
    """Takes the extension's place in this process."""
    sys.modules["litmus._litmus"] = sys.modules[__name__]
