# SPDX-License-Identifier: Apache-2.0
"""Runs pytest over generated suites in a process of its own, and reads back what was recorded.

Everything is held against pytest itself: its summary line, its `--collect-only`. Where the C core
is installed, that is what records (logs read with pyarrow, rows from the Parquet file); without
it, or with LITMUS_TEST_BACKEND=fake, fake_litmus.py does.
"""

from __future__ import annotations

import collections
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

HERE = pathlib.Path(__file__).parent
PYTHON = HERE.parent

if importlib.util.find_spec("litmus") is None:  # not installed: the sources, without the core
    sys.path.insert(0, str(PYTHON))


def real_core() -> bool:
    """Whether the extension is there to record with."""
    if os.environ.get("LITMUS_TEST_BACKEND") == "fake":
        return False
    try:
        return importlib.util.find_spec("litmus._litmus") is not None
    except ImportError:
        return False


def installed() -> bool:
    """Whether pytest finds the plugin by its entry point."""
    points = importlib.metadata.entry_points()
    group = points.select(group="pytest11") if hasattr(points, "select") else points.get("pytest11", ())
    return any(point.name == "litmus" for point in group)


def needs(*modules: str):
    """Skips a table row whose plugin is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


# A plugin that runs each test in a child, as pytest-forked does.
FORKED = """
import os, pickle, tempfile
from _pytest.reports import TestReport
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item, nextitem):
    path = tempfile.mktemp()
    child = os.fork()
    if child == 0:
        reports = runtestprotocol(item, log=False)
        for report in reports:
            if hasattr(report.longrepr, "toterminal"): report.longrepr = str(report.longrepr)
        with open(path, "wb") as f: pickle.dump([r._to_json() for r in reports], f)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        reports = [TestReport(item.nodeid, item.location, {}, "failed", "died", "???")]
        if item.get_closest_marker("xfail"):
            reports[0].outcome, reports[0].wasxfail = "skipped", "reason: known; died"
    else:
        reports = [TestReport._from_json(d) for d in pickle.load(open(path, "rb"))]
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


class Row(dict):
    """A step as the events tell it: the plan's entry and what became of it."""

    __getattr__ = dict.get


class Record:
    """One run of pytest: what it said, what is on record."""

    def __init__(self, code: int, out: str, err: str, events: list, rows: list | None, data_dir: pathlib.Path):
        self.code = code
        self.out = out
        self.err = err
        self.events = events
        self.parquet = rows
        self.data_dir = data_dir

    def of(self, event_type: str) -> list:
        return [event for event in self.events if event["event_type"] == event_type]

    @property
    def types(self) -> list:
        return [event["event_type"] for event in self.events]

    @property
    def plan(self) -> list:
        (event,) = self.of("test.steps_discovered")
        return event["items"]

    @property
    def run_ended(self) -> dict:
        (event,) = self.of("run.ended")
        return event

    @property
    def line(self) -> str:
        """The plugin's line in the output; it must be the only one."""
        lines = [line for line in self.out.splitlines() if line.startswith("litmus:")]
        assert len(lines) <= 1, lines
        return lines[0] if lines else ""

    @property
    def summary(self) -> collections.Counter:
        """pytest's summary line, as counts."""
        found = collections.Counter()
        for line in reversed(self.out.splitlines()):
            if re.search(r" in \d+\.\d+s", line):
                for number, word in re.findall(r"(\d+) ([a-z ]+?)(?=,| in )", line):
                    found[{"errors": "error", "warnings": "warning"}.get(word, word)] += int(number)
                return found
        return found

    @property
    def rows(self) -> list:
        """The steps, by a fold of its own: small, and written from the spec rather than from the code."""
        rows: dict = {}
        for entry in self.plan:
            key = (entry["step_path"], entry["vector_index"])
            assert key not in rows, f"planned twice: {key}"
            rows[key] = Row(entry, outcome=None, attempts=[], reason=None, message=None, phase=None, planned=True)
        open_steps: dict = {}
        for event in self.events:
            kind = event["event_type"]
            if kind not in ("test.step_started", "test.step_ended", "test.step_not_run"):
                continue
            key = (event["step_path"], event.get("vector_index", 0))
            row = rows.setdefault(key, Row(node_id=event["node_id"], attempts=[], planned=False))
            if kind == "test.step_started":
                open_steps[key] = event
                row.update(started=event, outcome="aborted", phase=None, message=None)
                row["attempts"].append("aborted")
            elif kind == "test.step_ended":
                start = open_steps.pop(key, None)
                assert start is not None, f"ended without a start: {event}"
                assert start["retry"] == event["retry"]
                assert start.get("inputs") == event.get("inputs")
                assert event["outcome"] == event["vector_outcome"]
                row.update(outcome=event["outcome"], phase=event["failed_phase"], message=event["message"], ended=event)
                row["attempts"][-1] = event["outcome"]
            else:
                row.update(reason=event["reason"], message=event["message"])
        return list(rows.values())

    def counts(self) -> dict:
        """Outcome -> number of steps, never ran as None."""
        return dict(collections.Counter(row.outcome for row in self.rows))

    def row(self, end: str) -> Row:
        """The one row whose node id ends so."""
        (row,) = [row for row in self.rows if row["node_id"].endswith(end)]
        return row

    def expected_summary(self) -> collections.Counter:
        """What pytest's summary line has to say, if the record is the truth (run schema, 6.2)."""
        want = collections.Counter()
        for row in self.rows:
            notes = row.message or ""
            other = re.search(r"(?:^|; )(setup|call) (failed|errored|skipped)\b", notes)
            if row.outcome is None:
                want["skipped"] += row.reason == "skip_marker"
            elif row.outcome == "errored" and row.phase == "teardown":
                want["error"] += 1
                word = other.group(2) if other else "passed"
                want["failed" if word == "errored" else word] += 1
            elif row.outcome == "errored" and row.phase == "setup":
                want["error"] += 1 + notes.count("teardown errored: ")
            elif row.outcome in ("failed", "errored"):
                want["failed"] += 1
                want["error"] += notes.count("teardown errored: ")
            elif row.outcome == "aborted":
                want["failed"] += 1
            else:
                want[row.outcome] += 1
                want["skipped"] += notes.count("teardown skipped: ")  # an expected failure there counts again
        for event in self.events:
            if event["event_type"].startswith("diagnostic.") and event["source"] == "pytest.collect":
                want["error" if event["event_type"] == "diagnostic.error" else "skipped"] += 1
        want["deselected"] = self.of("test.steps_discovered")[0]["deselected_count"]
        return +want

    def check_against_pytest(self, subtests: int = 0, passed: int = 0) -> None:
        """The record says what pytest's own summary line says.

        `subtests`: how many failed in bodies; `passed`: in how many tests that pytest counts as passed.
        """
        said = self.summary
        want = self.expected_summary()
        got = collections.Counter(
            failed=said["failed"] - subtests + passed,
            error=said["error"],
            passed=said["passed"] - passed + said["xpassed"],
            skipped=said["skipped"] + said["xfailed"],
            deselected=said["deselected"],
        )
        if " workers [" in self.out:  # xdist's controller does not know
            del want["deselected"]
        assert want == +got, f"{dict(want)} is on record, pytest says {dict(said)}\n{self.out}\n{self.rows}"
        self.check_order()
        self.check_parquet()

    def check_order(self) -> None:
        """events.md 5.1: session, run, plan, steps, end of run, end of session; each once."""
        types = [t for t in self.types if not t.startswith("diagnostic.") and t != "run.materialized"]
        assert types.count("test.steps_discovered") == 1, types
        assert types[0] == "session.started"
        assert types.index("run.started") < types.index("test.steps_discovered")
        first_step = next((n for n, t in enumerate(types) if t.startswith("test.step_")), len(types))
        assert types.index("test.steps_discovered") < first_step
        assert types[-2:] == ["run.ended", "session.ended"], types[-5:]

    def check_parquet(self) -> None:
        """The Parquet file holds one row a planned step, with the outcomes of the events."""
        if self.parquet is None:
            return
        steps = [row for row in self.parquet if row["record_type"] == "step"]
        keys = [(row["step_path"], row["vector_index"]) for row in steps]
        assert len(keys) == len(set(keys))
        mine = {(row["started"]["step_path"] if not row.planned else row["step_path"],
                 row["started"]["vector_index"] if not row.planned else row["vector_index"]): row.outcome
                for row in self.rows}  # fmt: skip
        theirs = {key: row["vector_outcome"] for key, row in zip(keys, steps)}
        clean = {(path.encode("utf-8", "backslashreplace").decode(), index): v for (path, index), v in mine.items()}
        assert clean == theirs
        ids = {event.get("id") for event in self.events}
        for row in steps:
            if row["vector_outcome"] is None:
                assert row["never_ran_reason"], row
                assert row["never_ran_cause"] in ids, row
            else:
                assert row["never_ran_reason"] is None, row
        (run,) = [row for row in self.parquet if row["record_type"] == "run"]
        assert run["run_outcome"] == self.run_ended["outcome"]
        assert run["stop_reason"] == self.run_ended["stop_reason"]
        assert f" {len(self.plan)} planned" in self.line or not self.line
        never_ran = sum(row["vector_outcome"] is None for row in steps)
        assert (f" {never_ran} never ran" in self.line) == bool(never_ran) or not self.line

    def reasons(self) -> set:
        """Why steps never ran, by the Parquet file; empty with the stand-in."""
        return {row["never_ran_reason"] for row in self.parquet or [] if row["record_type"] == "step"} - {None}


# Plugins that load with every pytest, a third of its start, and the word that asks for one.
UNASKED = {"asyncio": "asyncio", "rerunfailures": "reruns", "platformdirs": "platformdirs"}


def addopts(*texts: str) -> str:
    """PYTEST_ADDOPTS for a pytest of these files and arguments: no plugin that they do not ask for. Workers of pytest-xdist would not heed it."""
    if any(text.startswith(("-n", "--tx", "--dist")) for text in texts):
        return ""
    return " ".join(f"-p no:{plugin}" for plugin, word in UNASKED.items() if not any(word in text for text in texts))


class Suite:
    """A folder of test files, and pytest run over it."""

    columns: list | None = None  # what is read of a run's file; None: all of it

    def __init__(self, path: pathlib.Path, folder: pathlib.Path | None = None):
        self.path = folder or path / "suite"
        self.path.mkdir(exist_ok=True)
        self.data_dir = path / "data"
        self.site = path / "site"
        self.real = real_core()
        self.python = sys.executable
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_", "COV_"))}
        self.env.update(
            LITMUS_DATA_DIR=str(self.data_dir),
            LITMUS_NO_DAEMON="1",
            PYTHONDONTWRITEBYTECODE="1",
            HOME=str(path),
            COLUMNS="200",
        )
        self.asked: list = []  # texts of its files
        if not self.real:
            self.use_fake()
        if folder is None:
            (self.path / "pytest.ini").write_text("[pytest]\n")

    def use_fake(self) -> None:
        """Puts the stand-in in the extension's place, and an entry point where litmus is not installed."""
        self.real = False
        self.data_dir.mkdir(exist_ok=True)
        self.site.mkdir(exist_ok=True)
        (self.site / "sitecustomize.py").write_text("import fake_litmus\nfake_litmus.install()\n")
        paths = [str(self.site), str(HERE)]
        if not installed():
            info = self.site / "litmus_recorder-0.dist-info"
            info.mkdir(exist_ok=True)
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: litmus-recorder\nVersion: 0\n")
            (info / "entry_points.txt").write_text("[pytest11]\nlitmus = litmus.plugin\n")
            paths.append(str(PYTHON))
        self.env["PYTHONPATH"] = os.pathsep.join(paths)
        self.env["LITMUS_FAKE_DIR"] = str(self.data_dir)

    def write(self, files: dict) -> Suite:
        """Writes files; text is dedented, its path relative to the suite."""
        self.asked += map(str, files.values())
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, bytes):
                path.write_bytes(text)
            else:
                path.write_text(textwrap.dedent(text), encoding="utf-8")
        return self

    def command(self, *args: str) -> list:
        return [self.python, "-m", "pytest", *args]

    def run(self, *args: str, env: dict | None = None, timeout: float = 600, **options) -> Record:
        """Runs pytest to its end."""
        process = self.start(*args, env=env, **options)
        return self.finish(process, timeout)

    def start(self, *args: str, env: dict | None = None, **options) -> subprocess.Popen:
        """Starts pytest in its own process group."""
        return subprocess.Popen(
            self.command(*args),
            cwd=options.pop("cwd", self.path),
            env={"PYTEST_ADDOPTS": addopts(*self.asked, *args), **self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
            **options,
        )

    def finish(self, process: subprocess.Popen, timeout: float = 600) -> Record:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"pytest did not end:\n{out}\n{err}") from None
        return Record(process.returncode, out, err, self.events(), self.rows(), self.data_dir)

    def collected(self, *args: str) -> list:
        """The node ids of `pytest --collect-only -q`: it must leave nothing behind."""
        before = self.events()
        process = self.start("--collect-only", "-q", *args)
        out, err = process.communicate(timeout=600)
        assert self.events() == before
        return [line for line in out.splitlines() if "::" in line and not line.startswith(("ERROR", "E  "))]

    def events(self) -> list:
        """All events, as the fold reads them: a merge of the files by their heads' time."""
        files = self._fake_files() if not self.real else self._real_files()
        merged: list = []
        heads = {name: 0 for name in files if files[name]}
        while heads:
            name = min(heads, key=lambda n: (files[n][heads[n]]["occurred_at"], n))
            merged.append(files[name][heads[name]])
            heads[name] += 1
            if heads[name] == len(files[name]):
                del heads[name]
        return merged

    def _fake_files(self) -> dict:
        return {
            path.name: [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted(self.data_dir.glob("*.jsonl"))
        }

    def _real_files(self) -> dict:
        import pyarrow as pa

        files = {}
        for path in sorted(self.data_dir.glob("events/*/*.arrow")):
            raw = path.read_bytes()
            try:
                table = pa.ipc.open_file(pa.BufferReader(raw)).read_all()
            except pa.ArrowInvalid:
                table = _read_open(pa, raw)
            rows = []
            for text in table.column("json").to_pylist() if table is not None else []:
                event = json.loads(text)
                if event["event_type"] != "run.materialized":
                    rows.append(event)
            files[path.name] = rows
        return files

    def rows(self) -> list | None:
        """The rows of the run's Parquet file; None with the stand-in, or without a file."""
        if not self.real:
            return None
        import pyarrow.parquet as pq

        # Not by name: of runs that start in one second it does not say which is the later.
        paths = sorted(self.data_dir.glob("runs/*/*.parquet"), key=lambda path: path.stat().st_mtime_ns)
        return pq.read_table(paths[-1], columns=self.columns).to_pylist() if paths else None

    def wait_for(self, condition, timeout: float = 120) -> None:
        """Waits until condition(events) holds."""
        end = time.monotonic() + timeout
        while not condition(self.events()):
            assert time.monotonic() < end, f"waited in vain; {[e['event_type'] for e in self.events()]}"
            time.sleep(0.02)


def _read_open(pa, raw: bytes):
    """The complete batches of a log that is not sealed."""
    if len(raw) < 16:
        return None
    batches = []
    try:
        reader = pa.ipc.open_stream(pa.BufferReader(raw[8:]))
        while True:
            batches.append(reader.read_next_batch())
    except (StopIteration, pa.ArrowInvalid, OSError):
        pass
    return pa.Table.from_batches(batches) if batches else None
