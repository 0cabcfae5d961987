# SPDX-License-Identifier: Apache-2.0
"""What every figure needs: sizes, folders, compiled programs, processes, medians, rows of the table."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
BUILD = ROOT / "build"
OUT = pathlib.Path(os.environ.get("LITMUS_BENCH_DIR") or BUILD).resolve()
DATA = OUT / "bench-data"
LIBRARY = BUILD / "py"  # where `make` built the release that is installed
PYTHON = ROOT / ".venv/bin/python"
LITMUS = ROOT / ".venv/bin/litmus"
QUICK = int(os.environ.get("LITMUS_BENCH_QUICK") or 0)


def size(full: int, quick: int, tiny: int) -> int:
    """A number of things, by how long the bench may take."""
    return (full, quick, tiny)[min(QUICK, 2)]


def turns(most: int, seconds: float, least: int = 2):
    """0, 1, 2, ... `most` times, or until so many seconds are over, but `least` times: a busy machine gets fewer."""
    end = time.monotonic() + seconds
    for turn in range(most):
        if turn >= least and time.monotonic() > end:
            return
        yield turn


class CannotMeasure(Exception):
    """A figure that cannot be had, and why."""


# ---- the table


class Table:
    """The figures: printed as they come, written as JSON at the end."""

    HEAD = f"{'figure':<62} {'value':>10} {'goal':>12} {'':4} {'peer':>10}"

    def __init__(self):
        self.rows: list[dict] = []
        self.notes: list[str] = []
        self.failures: list[str] = []

    def section(self, title: str) -> None:
        print(f"\n{title}\n{'-' * len(title)}", flush=True)

    def add(self, name, value, unit, relation="<=", goal=None, peer=None, peer_value=None) -> None:
        """One figure. A goal of None: reported, not judged. A peer without a value is no peer."""
        if peer_value is None:
            peer = None
        row = {"name": name, "value": _round(value), "unit": unit, "relation": relation, "goal": _round(goal), "peer": peer,
               "peer_value": _round(peer_value)}  # fmt: skip
        self.rows.append(row)
        shown = f"{_show(row['value'])} {unit}"
        wanted = "" if goal is None else f"{relation} {_show(row['goal'])}"
        verdict = "" if goal is None else "ok" if met(row) else "MISS"
        beside = "" if peer is None else f"{_show(row['peer_value']):>10} {peer}"
        print(f"{name:<60} {shown:>14} {wanted:>11} {verdict:<4} {beside}".rstrip(), flush=True)

    def note(self, words: str) -> None:
        self.notes.append(words)
        print(f"  note: {words}", flush=True)

    def fail(self, figure: str, words: str) -> None:
        self.failures.append(figure)
        print(f"  NOT MEASURED: {figure}: {words}", flush=True)

    def write(self, path: pathlib.Path) -> None:
        part = path.with_name(path.name + ".tmp")
        part.write_text(json.dumps(self.rows, indent=1) + "\n")
        part.replace(path)


def met(row: dict) -> bool:
    """Whether a row's value meets its goal."""
    return row["value"] <= row["goal"] if row["relation"] == "<=" else row["value"] >= row["goal"]


def _round(value):
    return None if value is None else float(f"{value:.4g}")


def _show(value) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def median(values) -> float:
    values = list(values)
    if not values:
        raise CannotMeasure("there is no sample")
    return statistics.median(values)


def tail(values, share: float) -> float:
    """The value that `share` of all are within."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# ---- folders and programs


def away(path: pathlib.Path) -> None:
    """Out of the way, not deleted before the bench ends: for half a minute ext4 without a journal searches past
    every inode that was just freed, which takes up to a third of the daemon's time and is none of its doing."""
    if path.exists():
        done = DATA / "done"
        done.mkdir(parents=True, exist_ok=True)
        path.rename(done / f"{time.monotonic_ns()}-{path.name}")


def fresh(name: str) -> pathlib.Path:
    """An empty folder below bench-data."""
    path = DATA / name
    away(path)
    path.mkdir(parents=True)
    return path


def clean_environ(**more: str) -> dict:
    """Our environment without anything that would steer a recorder or an interpreter (PYTHONDONTWRITEBYTECODE
    alone makes pytest compile every plugin and test anew)."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("LITMUS_", "PYTEST_", "TESTERKIT_", "PYTHON", "COVERAGE_"))}
    environ.update({"PYTHONHASHSEED": "0", "LITMUS_HOME": str(DATA / "home"), **more})
    return environ


def program(name: str) -> str:
    """A C program of the bench, compiled when it is older than its source or the library."""
    source, folder = BENCH / f"{name}.c", BUILD / "bench-bin"
    library = LIBRARY / "liblitmus.so"
    if not library.exists():
        raise CannotMeasure(f"{library.relative_to(ROOT)} is not there; run make")
    target = folder / name
    newest = max(path.stat().st_mtime for path in (source, BENCH / "bench.h", ROOT / "include/litmus.h", library))
    if target.exists() and target.stat().st_mtime > newest:
        return str(target)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.{os.getpid()}"
    flags = ["-std=c17", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", f"-I{ROOT / 'include'}"]
    links = ["-lm", f"-L{LIBRARY}", "-llitmus", f"-Wl,-rpath,{LIBRARY}"]
    if "log/log.h" in source.read_text():  # one that looks behind the public header
        flags, links = flags + _inner_includes(), _inner_links()
    done = subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", part, source, *links], capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotMeasure(f"bench/{name}.c does not compile: {done.stderr.strip()[:2000]}")
    part.replace(target)
    return str(target)


def _inner_includes() -> list[str]:
    """The include options that the library itself was compiled with."""
    for entry in json.loads((LIBRARY / "compile_commands.json").read_text()):
        if entry["file"].endswith("src/log/writer.c"):
            words = entry["command"].split()
            found = [word for word in words if word.startswith(("-I", "-isystem"))]
            return [_absolute(word, entry["directory"]) for word in found]
    raise CannotMeasure("the library's compile commands are not there")


def _absolute(option: str, folder: str) -> str:
    kind = "-isystem" if option.startswith("-isystem") else "-I"
    return kind + os.path.normpath(os.path.join(folder, option[len(kind) :]))


def _inner_links() -> list[str]:
    archives = [str(path) for path in sorted(LIBRARY.rglob("*.a"))]
    libraries = ["libcrypto", "libzstd", "sqlite3", "yaml-0.1"]
    words = subprocess.run(["pkg-config", "--libs", *libraries], capture_output=True, text=True, check=True).stdout.split()
    return ["-Wl,--start-group", *archives, "-Wl,--end-group", *words, "-llz4", "-lz", "-lpthread", "-lm"]


def litmus_program() -> str:
    """The installed litmus."""
    path = os.environ.get("LITMUS_BENCH_LITMUS") or str(LITMUS)
    if not os.access(path, os.X_OK):
        raise CannotMeasure(f"{path} is not there; run make")
    return path


def run(*command, cwd=None, timeout=300, **environ) -> str:
    """Runs a program to its end and gives what it said; a failure has its words."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=cwd,
                          env=clean_environ(**environ), timeout=timeout)  # fmt: skip
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-600:]
        raise CannotMeasure(f"{pathlib.Path(str(command[0])).name} {command[1] if len(command) > 1 else ''} gave {done.returncode}: {words}")
    return done.stdout


def timed(command, cwd=None, expect=(0,), **environ) -> tuple[float, float]:
    """Seconds of a whole process whose output nobody reads: by the clock, and of processor."""
    with (DATA / "stderr.txt").open("w+") as words:
        start = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words,
                                   cwd=cwd, env=clean_environ(**environ))  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in expect:
            words.seek(0)
            raise CannotMeasure(f"{' '.join(map(str, command[:6]))} gave {process.returncode}: {words.read().strip()[-400:]}")
    return seconds, used.ru_utime + used.ru_stime


class Helper:
    """A process that answers one line of JSON with another, so that two systems can take turns."""

    def __init__(self, *command, cwd=None, **environ):
        self.name = pathlib.Path(str(command[-2] if len(command) > 2 else command[-1])).name
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=cwd, env=clean_environ(**environ))  # fmt: skip

    def ask(self, do: str, **arguments):
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            self.process.kill()
            words = self.process.communicate()[1].strip()[-600:]
            raise CannotMeasure(f"{self.name}, asked to {do}, ended: {words}")
        answer = json.loads(answer)
        if "error" in answer:
            raise CannotMeasure(f"{self.name}: {do}: {answer['error']}")
        return answer["value"]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


# ---- our daemon


class Daemon:
    """`litmus daemon` in the foreground, a child of ours, for one data_dir."""

    def __init__(self, data_dir: pathlib.Path):
        self.data_dir = data_dir
        self.started = time.perf_counter()
        self.log = (DATA / "daemon.txt").open("a+")
        command = [litmus_program(), "daemon", "--foreground", "--data-dir", str(data_dir)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=clean_environ())

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 10
        while not (self.data_dir / "daemon.sock").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise CannotMeasure(f"the daemon does not come up: {self.log.read().strip()[-400:]}")
            time.sleep(0.005)

    def memory(self, field: str = "VmRSS") -> float:
        """Megabytes of the process, by a field of /proc/PID/status."""
        return process_memory(self.process.pid, field)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def __enter__(self):
        self.wait_ready()
        return self

    def __exit__(self, *_):
        self.end()


def process_memory(pid: int, field: str = "VmRSS") -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise CannotMeasure(f"process {pid} has no {field}")


def stop_daemon(data_dir: pathlib.Path) -> None:
    """Ends a daemon that a producer started, if there is one."""
    if (data_dir / "daemon.sock").exists():
        subprocess.run([litmus_program(), "daemon", "stop", "--data-dir", str(data_dir)], stdin=subprocess.DEVNULL, capture_output=True,
                       env=clean_environ(), timeout=60)  # fmt: skip


# ---- files of runs


def run_files(data_dir: pathlib.Path) -> list[pathlib.Path]:
    """Every visible Parquet file of a data_dir's runs."""
    found = []
    folder = data_dir / "runs"
    if folder.is_dir():
        for day in os.scandir(folder):
            if day.is_dir():
                found += [pathlib.Path(f.path) for f in os.scandir(day.path) if f.name.endswith(".parquet") and f.name[0] != "."]
    return found


def count_run_files(data_dir: pathlib.Path) -> int:
    folder, count = data_dir / "runs", 0
    try:
        for day in os.listdir(folder):
            count += sum(name.endswith(".parquet") and name[0] != "." for name in os.listdir(folder / day))
    except (FileNotFoundError, NotADirectoryError):
        pass
    return count


def wait_for_files(data_dir: pathlib.Path, count: int, seconds: float, pause: float = 0.02, alive=None) -> float:
    """When (perf_counter) there were so many run files."""
    deadline = time.perf_counter() + seconds
    while True:
        now = time.perf_counter()
        have = count_run_files(data_dir)
        if have >= count:
            return now
        if now > deadline:
            raise CannotMeasure(f"{have} of {count} runs have a file after {seconds:.0f} s")
        if alive is not None and alive.poll() is not None:
            raise CannotMeasure(f"the daemon ended with {alive.returncode}; {have} of {count} runs have a file")
        time.sleep(pause)


def progress(words: str) -> None:
    """A line on standard error, so that a long figure does not look like a dead one."""
    if sys.stderr.isatty():
        print(f"  ... {words}", file=sys.stderr, flush=True)
