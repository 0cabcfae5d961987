# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it: output, exit codes, bad input.

`python tests/test_cli.py` writes man/ and completions/ anew from the program's own tables.
"""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python" / "tests"))

from harness import addopts  # noqa: E402

LITMUS = shutil.which("litmus") or str(ROOT / "build/dev/litmus")
COMMANDS = ["runs", "show", "events", "channel", "recall", "sql", "yield", "pareto", "coverage", "drift", "capability", "control", "retest", "durations", "grr", "compare", "export", "slots", "import", "compact", "gate", "concede", "note", "materialize", "rebuild", "reindex", "verify", "doctor", "evidence", "keygen", "archive", "prune", "daemon", "completion", "help", "version"]
PAGES = {"man/litmus.1": ["help", "--man"]}
PAGES.update({f"man/litmus-{name}.1": ["help", name, "--man"] for name in COMMANDS})
PAGES.update({"completions/litmus.bash": ["completion", "bash"], "completions/litmus.fish": ["completion", "fish"],
              "completions/_litmus": ["completion", "zsh"]})


def environment(**more):
    """Nothing of this run's own recording, nor of the user's settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LITMUS_", "PYTEST_", "LC_")) and k != "NO_COLOR"}
    return {**clean, "LANG": "C.UTF-8", "TZ": "UTC", **more}


def run(*arguments, **more):
    return subprocess.run([LITMUS, *map(str, arguments)], capture_output=True, text=True, env=environment(**more), timeout=300,
                          stdin=subprocess.DEVNULL)


def ok(*arguments, **more):
    done = run(*arguments, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def record(folder, data_dir, source, *options, **more):
    """Runs pytest over `source`, recording into `data_dir`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_it.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options], cwd=folder, capture_output=True, text=True,
                          env=environment(LITMUS_DATA_DIR=str(data_dir), PYTEST_ADDOPTS=addopts(source, *options), **more), timeout=300, stdin=subprocess.DEVNULL)


SUITE = """
    import pytest

    @pytest.mark.parametrize("volt", [3.3, 5.0])
    def test_rail(volt):
        assert volt > 1

    class TestCurrent:
        def test_idle(self):
            assert 1 == 2, "too much current"

        @pytest.mark.skip(reason="no load on this bench")
        def test_load(self):
            pass

    def test_after():
        pytest.skip("not today")
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A data_dir with two runs: all of SUITE (newer), and SUITE stopped at its first failure."""
    top = tmp_path_factory.mktemp("cli")
    record(top / "suite", top / "data", SUITE, "-x")
    record(top / "suite", top / "data", SUITE)
    yield top
    run("daemon", "stop", "-d", top / "data")


@pytest.fixture
def data(bench):
    return bench / "data"


@pytest.fixture
def copy(data, tmp_path):
    """One to spoil."""
    for name in ("events", "runs"):
        shutil.copytree(data / name, tmp_path / "data" / name)
    return tmp_path / "data"


# ---- what a user gets


def test_runs(data):
    lines = ok("runs", "-d", data).splitlines()
    assert lines[0].split() == ["RUN", "STARTED", "OUTCOME", "SERIAL", "RAN", "NEVER", "RAN", "TIME", "PROJECT"]
    assert len(lines) == 3
    assert "failed" in lines[1] and " 4/5 " in lines[1]
    assert "failed" in lines[2] and " 3/5 " in lines[2]


def test_what_a_newer_litmus_wrote_is_not_touched(tmp_path):
    (tmp_path / "litmus-format").write_text("99\n")
    for words in (["runs"], ["show", "last"], ["materialize"], ["rebuild"]):
        answer = run(*words, "--data-dir", tmp_path)
        assert answer.returncode not in (0, 2) and "litmus-format" in answer.stderr and "use a newer litmus" in answer.stderr, words
    assert [path.name for path in tmp_path.iterdir()] == ["litmus-format"]


def test_runs_json(data):
    runs = [json.loads(line) for line in ok("runs", "--json", "-d", data).splitlines()]
    assert [r["never_ran"] for r in runs] == [1, 2]
    assert [r["planned"] for r in runs] == [5, 5]
    for r in runs:
        assert r["planned"] == sum(r[k] for k in "passed failed errored skipped done terminated aborted never_ran running".split())
        assert pathlib.Path(r["file_path"]).is_file()
        assert r["live"] is False


@pytest.mark.parametrize("options, count", [
    (["--limit", "1"], 1), (["-n1"], 1), (["--limit=0"], 2), (["--outcome", "failed"], 2), (["--outcome", "passed"], 0), (["--since", "1h"], 2),
    (["--until", "1h"], 0), (["--since", "2001-01-01", "--until", "2001-01-02"], 0), (["--serial", "none"], 0), (["--project", "suite"], 2),
    (["--lot", "none"], 0), (["--git", "0000"], 0),
])
def test_runs_filters(data, options, count):
    assert len(ok("runs", "--json", "-d", data, *options).splitlines()) == count


def test_runs_by_words_and_page_by_page(data):
    newest, older = [json.loads(line) for line in ok("runs", "--json", "-d", data).splitlines()]
    first = run("runs", "--json", "-n1", "-d", data)
    assert json.loads(first.stdout) == newest | {"next_page": 2} and "--page 2 goes on" in first.stderr
    last = run("runs", "--json", "-n1", "--page", "2", "-d", data)
    assert json.loads(last.stdout) == older and "goes on" not in last.stderr
    beyond = run("runs", "-n1", "--page", "3", "-d", data)
    assert (beyond.returncode, beyond.stdout) == (0, "") and "page 3 is beyond the last" in beyond.stderr
    assert json.loads(ok("runs", "--json", "--text", f"SUITE {older['test_run_id'][:8]}", "-d", data)) == older


def test_show(data):
    text = ok("show", "-d", data)
    assert re.search(r"^run +[0-9a-f-]{36}$", text, re.M)
    assert re.search(r"✓ passed +test_rail\[3\.3\] ", text)
    assert re.search(r"^  TestCurrent$", text, re.M)
    assert re.search(r"✗ failed +test_idle .*\n +AssertionError: too much current", text)
    assert re.search(r"○ Never Ran +test_load +skip marker: no load on this bench$", text, re.M)
    assert re.search(r"- skipped +test_after .*\n +.*not today", text)
    assert text.rstrip().endswith("5 planned = 2 passed + 1 failed + 1 skipped + 1 never ran")


def test_show_says_who_stopped_the_run(data):
    text = ok("show", "@2", "-d", data)
    assert re.search(r"○ Never Ran +test_after +stopped by --maxfail/-x after TestCurrent::test_idle$", text, re.M)


def test_show_json(data):
    shown = json.loads(ok("show", "last", "--json", "-d", data))
    assert set(shown) == {"run", "steps", "measurements", "reviews"}
    assert len(shown["steps"]) == shown["run"]["planned"] == 5
    never = [s for s in shown["steps"] if s["step_outcome"] is None]
    assert [(s["step_name"], s["never_ran_reason"], s["started_at"]) for s in never] == [("test_load", "skip_marker", None)]


def test_runs_by_id(data):
    newest, older = [json.loads(line)["test_run_id"] for line in ok("runs", "--json", "-d", data).splitlines()]
    for ref, expected in [(newest, newest), (older[:13], older), (older.upper(), older), ("last", newest), ("@1", newest), ("@2", older)]:
        assert json.loads(ok("show", ref, "--json", "-d", data))["run"]["test_run_id"] == expected


@pytest.mark.parametrize("ref", ["00000000", "@9", "zzz", "../x", "0" * 37])
def test_no_such_run(data, ref):
    done = run("show", ref, "-d", data)
    assert done.returncode == 3 and done.stdout == ""
    assert "litmus show: " in done.stderr


def test_times_are_local_and_utc_on_request(data):
    started = json.loads(ok("runs", "-n1", "--json", "-d", data))["started_at"]
    assert started.endswith("Z")
    assert started[:19].replace("T", " ") + "Z" in ok("runs", "-n1", "--utc", "-d", data, TZ="Asia/Tokyo")
    assert started[:19].replace("T", " ") not in ok("runs", "-n1", "-d", data, TZ="Asia/Tokyo")


def test_events(data):
    events = [json.loads(line) for line in ok("events", "--run", "last", "--json", "-d", data).splitlines()]
    kinds = [e["event_type"] for e in events]
    assert kinds[0] == "run.started" and kinds[-1] == "run.materialized"
    assert kinds.index("test.steps_discovered") < kinds.index("test.step_started")
    times = [e["received_at"] for e in events]
    assert times == sorted(times)
    assert len({e["id"] for e in events}) == len(events)
    assert len(ok("events", "-t", "run.started", "-d", data).splitlines()) == 2
    assert len(ok("events", "-n", "3", "-d", data).splitlines()) == 3
    assert ok("events", "--since", "2199-01-01", "-d", data) == ""


@pytest.mark.parametrize("place, known", [("runs", False), ("runs", True), ("runs/*", False)])
def test_a_folder_that_cannot_be_looked_at(tmp_path, place, known):
    """Nothing of it is listed that was not known, and that is told."""
    data = tmp_path / "data"
    record(tmp_path / "suite", data, "def test_a(): pass", "--litmus-no-daemon")
    assert len(ok("runs", "--json", "-d", data).splitlines()) == 1
    if not known:
        (data / "catalog.sqlite").unlink()
    (folder,) = data.glob(place)
    folder.chmod(0)
    anybody = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run([*anybody, LITMUS, "runs", "--json", "-d", data], capture_output=True, text=True, env=environment(), timeout=60)
    folder.chmod(0o755)
    assert done.returncode == 0 and f"cannot list {folder}" in done.stderr and len(done.stdout.splitlines()) == known, done
    done = run("runs", "--json", "-d", data)
    assert len(done.stdout.splitlines()) == 1 and not done.stderr, done.stderr


def test_a_log_that_cannot_be_read(tmp_path):
    """It is told as that: its events are said to be left out, and no link to it is called broken."""
    data = tmp_path / "data"
    for _ in range(2):
        record(tmp_path / "suite", data, "def test_a(): pass", "--litmus-no-daemon")
    first = min((json.loads(line) for line in ok("events", "-t", "session.started", "--json", "-d", data).splitlines()), key=lambda event: event["received_at"])
    (log,) = data.glob(f"events/*/{first['session_id']}-{first['pid']}.arrow")
    log.rename(tmp_path / "kept")
    log.symlink_to(log.name)  # nobody can open it, root neither
    done = run("events", "-d", data)
    assert done.returncode == 0 and "left out: 1 log that cannot be read: " in done.stderr and log.name in done.stderr
    done = run("verify", "--all", "-d", data)
    assert done.returncode == 1 and f"cannot open log {log}" in done.stdout and "is missing" not in done.stdout
    log.unlink()
    assert f"log {log.stem} is missing" in run("verify", "--all", "-d", data).stdout
    # copied in by hand, and spoilt: at its start, which gives the session, or behind it; whether the catalog knows it or not
    whole = (tmp_path / "kept").read_bytes()
    for at, words in ((0, "left out: 1 log that cannot be read: "), (len(whole) // 2, "passed over: damage in 1 log: ")):
        log.write_bytes(whole[:at] + bytes(2048) + whole[at + 2048:])
        for more in ((), ("--session", first["session_id"], "--json")):
            (data / "catalog.sqlite").unlink()
            for _ in range(2):
                done = run("events", *more, "-d", data)
                assert done.returncode == 0 and words in done.stderr and log.name in done.stderr
    log.unlink()
    log.write_bytes(whole)
    assert ok("verify", "--all", "-d", data) == "" and "cannot" not in run("events", "-d", data).stderr
    assert first["id"] in ok("events", "--json", "-n0", "-d", data)


def test_event_types():
    types = {t["event_type"]: t for t in map(json.loads, ok("events", "--types", "--json").splitlines())}
    fields = {f["name"]: f for f in types["test.step_ended"]["fields"]}
    assert fields["step_name"]["required"] and not fields["message"]["required"]
    assert "test.steps_discovered" in ok("events", "--types")


def test_follow(tmp_path):
    data = tmp_path / "data"
    record(tmp_path / "s", data, "def test_a(): pass")
    follower = subprocess.Popen([LITMUS, "events", "--follow", "-n1", "--json", "-d", str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        follower.stdout.readline()
        (next(data.glob("events/*")) / "stranger.arrow").write_text("no log")
        assert "left out: 1 log that cannot be read: " in follower.stderr.readline()
        record(tmp_path / "s", data, "def test_b(): pass")
        seen = []
        while not seen or seen[-1]["event_type"] != "run.materialized":
            seen.append(json.loads(follower.stdout.readline()))
        assert "test_b" in json.dumps(seen)
        assert len({e["id"] for e in seen}) == len(seen)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(100) == 130
    finally:
        follower.kill()
        follower.stdout.close()
        follower.stderr.close()
        run("daemon", "stop", "-d", data)


# ---- gate


def test_gate(data, tmp_path):
    done = run("gate", "last", "-d", data)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3
    done = run("gate", "last", "--allow", "skipped", "--allow=skip_marker", "-d", data, "--json")
    verdict = json.loads(done.stdout)
    assert done.returncode == 1 and verdict["accepted"] == 2
    assert [f["step_path"] for f in verdict["findings"]] == ["test_it.py/TestCurrent/test_idle"]
    done = run("gate", "last", "--allow", "skiped", "-d", data)
    assert done.returncode == 2 and "did you mean skipped" in done.stderr


def test_gate_passes(tmp_path):
    record(tmp_path / "s", tmp_path / "data", "def test_a(): pass")
    assert ok("gate", "last", "-d", tmp_path / "data") == ""
    record(tmp_path / "s", tmp_path / "data", "import pytest\n@pytest.mark.skip\ndef test_a(): pass\ndef test_b(): pass")
    assert run("gate", "last", "-d", tmp_path / "data").returncode == 1
    assert run("gate", "last", "-d", tmp_path / "data", "-a", "skip_marker").returncode == 0


def test_gate_takes_nothing_for_a_pass(tmp_path):
    record(tmp_path / "s", tmp_path / "data", "x = 1 / 0")
    assert run("gate", "last", "-d", tmp_path / "data").returncode == 1


# ---- runs in flight, and producers that died


def wait_for(what, seconds=100):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture
def slow_run(tmp_path):
    """A pytest that is in the second of three tests."""
    data = tmp_path / "data"
    source = "import time\ndef test_a(): pass\ndef test_b(): time.sleep(600)\ndef test_c(): pass"
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "test_it.py").write_text(source)
    process = subprocess.Popen([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path / "s", stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=environment(LITMUS_DATA_DIR=str(data)))
    wait_for(lambda: "step_path=test_it.py/test_b" in run("events", "-d", data).stdout)
    yield process, data
    process.kill()
    process.wait()
    run("daemon", "stop", "-d", data)


def test_a_run_in_flight(slow_run):
    _, data = slow_run
    row = json.loads(ok("runs", "--json", "-d", data))
    assert (row["live"], row["outcome"], row["ended_at"], row["file_path"]) == (True, None, None, None)
    assert (row["passed"], row["running"], row["never_ran"]) == (1, 1, 1)
    text = ok("show", "-d", data)
    assert re.search(r"▸ running +test_b", text) and re.search(r"○ not yet +test_c", text)
    assert "1 running + 1 not yet" in text
    assert run("gate", "last", "-d", data).returncode == 1
    assert run("verify", "last", "-d", data).returncode == 0


def test_the_next_command_finishes_a_dead_producers_run(slow_run):
    process, data = slow_run
    run("daemon", "stop", "-d", data)
    process.kill()
    process.wait()
    assert " aborted " in ok("runs", "-d", data)
    text = ok("show", "-d", data)
    assert re.search(r"† aborted +test_b", text)
    assert re.search(r"○ Never Ran +test_c +the process died", text)
    assert run("verify", "--all", "-d", data).returncode == 0
    assert run("daemon", "status", "-d", data).returncode == 3


def test_materialize_names_what_it_wrote(slow_run):
    process, data = slow_run
    run("daemon", "stop", "-d", data)
    process.kill()
    process.wait()
    done = json.loads(ok("materialize", "--json", "-d", data))
    assert (done["outcome"], done["planned"], done["never_ran"], done["already"]) == ("aborted", 3, 1, False)
    assert ok("materialize", "-d", data) == ""
    assert "there already" in ok("materialize", done["run_id"], "-d", data)


def test_materialize_makes_what_somebody_removed(copy):
    before = files_of(copy)
    shutil.rmtree(copy / "runs")
    made = ok("materialize", "--all", "-d", copy)
    assert files_of(copy) == before and made.count("\n") == len(before) and "there already" not in made
    assert ok("materialize", "--all", "-d", copy) == ""


def test_daemon(slow_run):
    _, data = slow_run
    status = json.loads(ok("daemon", "status", "--json", "-d", data))
    assert status["running"] and status["runs_in_flight"] == 1
    ok("daemon", "stop", "-d", data)
    assert run("daemon", "status", "-d", data).returncode == 3


# ---- rebuild and verify


def files_of(data):
    return {str(p.relative_to(data)): p.read_bytes() for p in sorted((data / "runs").rglob("*.parquet"))}


def test_rebuild_gives_the_same_bytes(copy):
    before = files_of(copy)
    shutil.rmtree(copy / "runs")
    assert ok("runs", "-d", copy) == ""
    assert len(ok("rebuild", "--dry-run", "-d", copy).splitlines()) == 2
    assert files_of(copy) == {}
    ok("rebuild", "-d", copy)
    assert files_of(copy) == before
    assert ok("rebuild", "-d", copy) == ""
    assert len(ok("runs", "-d", copy).splitlines()) == 3


def test_verify_finds_nothing(copy):
    assert ok("verify", "--all", "-d", copy) == ""


def test_verify_names_what_is_no_log(copy):
    day = next((copy / "events").iterdir())
    (day / "junk.arrow").write_bytes(bytes(range(256)) * 20)
    (day / "empty.arrow").write_bytes(b"")
    (day / "0f0e0d0c-1c5d-4563-be74-0507417c54d4-9.arrow").write_bytes(b"no log, but named like one")
    done = run("verify", "--all", "-d", copy)
    assert done.returncode == 1
    for name in ("junk.arrow", "empty.arrow", "0f0e0d0c-1c5d-4563-be74-0507417c54d4-9.arrow"):
        assert re.search(rf"{re.escape(name)}: is no log", done.stdout), name
    assert len(done.stdout.splitlines()) == 3


def test_verify_names_a_changed_event(copy):
    log = next(p for p in sorted((copy / "events").rglob("*.arrow")) if b"test_load" in p.read_bytes())
    content = bytearray(log.read_bytes())
    at = content.find(b"test_load")
    content[at:at + 4] = b"TEST"
    log.write_bytes(content)
    done = run("verify", "--all", "-d", copy)
    assert done.returncode == 1
    assert re.search(rf"{re.escape(log.name)} at byte \d+: the chain breaks at event \d+, id [0-9a-f-]+, test\.steps_discovered", done.stdout)


def test_a_file_of_any_size_is_passed_over(copy):
    """And not read: there is no room for it."""
    runs = ok("runs", "--json", "-d", copy)
    huge = next(copy.glob("runs/*")) / "huge.parquet"
    huge.touch()
    os.truncate(huge, 1 << 40)
    listed = run("runs", "--json", "-d", copy)
    assert (listed.returncode, listed.stdout) == (0, runs) and "left out: " in listed.stderr and "huge.parquet is larger than" in listed.stderr, listed.stderr
    assert ok("events", "--json", "-d", copy)
    proof = run("verify", "--all", "-d", copy)
    assert proof.returncode == 1 and "huge.parquet" in proof.stdout and ": 1 finding\n" in proof.stderr, proof.stdout + proof.stderr
    huge.rename(next(copy.glob("runs/*/2*.parquet")))
    proof = run("verify", "--all", "-d", copy)
    assert proof.returncode == 1 and "is larger than" in proof.stdout, proof.stdout + proof.stderr
    assert run("show", "last", "-d", copy).returncode in (0, 4), "it was the file of one of them"
    ok("rebuild", "-d", copy)
    assert run("verify", "--all", "-d", copy).returncode == 0 and ok("runs", "--json", "-d", copy) == runs


def test_verify_names_a_changed_cell(copy):
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    path = sorted((copy / "runs").rglob("*.parquet"))[0]
    table = pq.read_table(path)
    at = table.schema.get_field_index("step_outcome")
    lie = ["passed" if v == "failed" else v for v in table.column(at).to_pylist()]
    pq.write_table(table.set_column(at, "step_outcome", pa.array(lie)), path)
    done = run("verify", "--all", "-d", copy)
    assert done.returncode == 1
    assert 'column step_outcome: the file has "passed", the log gives "failed"' in done.stdout
    ok("rebuild", "-d", copy)
    assert run("verify", "--all", "-d", copy).returncode == 0


# ---- bad input


@pytest.mark.parametrize("arguments, hint", [
    (["rns"], "did you mean runs"), (["rnus"], "did you mean runs"), (["xyzzy"], "no command"), (["runs", "--jsn"], "did you mean --json"), (["runs", "--limit"], "needs a value"),
    (["runs", "--limit", "many"], "takes a number"), (["runs", "--json=1"], "takes no value"), (["runs", "-x"], "no option -x"),
    (["runs", "extra"], "too many"), (["runs", "--since", "yesterday"], "--since takes"), (["runs", "--since", "2026-02-30"], "--since takes"),
    (["runs", "--since", "999999999y"], "--since takes"), (["prune", "--keep", "999999999y"], "--keep takes"), (["runs", "-d", ""], "--data-dir is empty"),
    (["runs", "--outcome", "bad"], "no outcome"), (["gate"], "missing"),
    (["runs", "--page", "0"], "pages count from 1"), (["runs", "--page", "2", "--limit", "0"], "--page needs pages"),
    (["runs", "--page", "9223372036854775807"], "there is no page"),
    (["completion", "bsh"], "did you mean bash"), (["daemon", "stauts"], "did you mean status"), (["help", "shw"], "did you mean show"),
    (["show", ""], "empty run id"),
])
def test_usage(arguments, hint, tmp_path):
    done = run(*arguments, LITMUS_DATA_DIR=str(tmp_path))
    assert done.returncode == 2 and done.stdout == ""
    assert hint in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command):
    text = ok(command, "-h")
    assert text.startswith(f"litmus {command}") and "Options" in text
    assert "Examples" in text or command == "version"
    assert ok("help", command) == text


def test_broken_config_is_named(tmp_path):
    (tmp_path / "litmus.yaml").write_text("data_dir: [unclosed\n")
    done = subprocess.run([LITMUS, "runs"], cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 2 and "litmus.yaml" in done.stderr
    (tmp_path / "litmus.yaml").write_text("datadir: here\n")
    done = subprocess.run([LITMUS, "runs"], cwd=tmp_path, capture_output=True, text=True, env=environment(LITMUS_HOME=str(tmp_path / "home")))
    assert done.returncode == 0 and f"no key `datadir`; did you mean data_dir? {tmp_path}/home/data is read" in done.stderr


def test_nothing_on_record(tmp_path):
    done = run("runs", "-d", tmp_path / "none")
    assert done.returncode == 0 and done.stdout == "" and "no run" in done.stderr
    assert run("show", "-d", tmp_path / "none").returncode == 3
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_hides_no_other(copy):
    path = sorted((copy / "runs").rglob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:200])
    done = run("runs", "-d", copy)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert path.name in done.stderr
    assert run("verify", "--all", "-d", copy).returncode == 1


def test_reader_that_has_seen_enough(data):
    done = subprocess.run(f"'{LITMUS}' events --json -n 0 -d '{data}' | head -n 1", shell=True, capture_output=True, text=True, env=environment())
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""


@pytest.mark.parametrize("arguments", [["runs"], ["events"], ["events", "--json"], ["gate", "last"]], ids=" ".join)
def test_full_disk_is_told(data, arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([LITMUS, *arguments, "-d", str(data)], stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert done.returncode == 5 and "standard output" in done.stderr and "free some space" in done.stderr


@pytest.mark.parametrize("arguments", [["runs"], ["show"], ["events"], ["gate", "last"], ["verify"], ["materialize"], ["rebuild"], ["reindex"]], ids=" ".join)
def test_a_data_dir_that_is_a_file_is_named(tmp_path, arguments):
    (tmp_path / "taken").write_text("")
    done = run(*arguments, "-d", tmp_path / "taken")
    assert done.returncode == 2 and f"the data_dir {tmp_path / 'taken'} is a file" in done.stderr


@pytest.mark.parametrize("place, arguments", [("events", ["rebuild"]), ("events", ["note", "last", "hello", "--by", "R. Roe"]), ("events", ["verify"]),
                                              ("runs", ["rebuild"]), ("lake", ["compact"])], ids=lambda words: words if isinstance(words, str) else words[0])
def test_a_file_in_the_place_of_a_folder_is_damage(copy, place, arguments):
    """Nothing is wrong with the command line."""
    ok("runs", "-d", copy)
    shutil.rmtree(copy / place, ignore_errors=True)
    (copy / place).write_text("")
    done = run(*arguments, "-d", copy)
    assert done.returncode == 4 and f"{copy / place}: Not a directory" in done.stderr, done.stderr


def test_a_limit_on_the_size_of_files_is_told(copy):
    """SIGXFSZ would have ended the program without a word."""
    shutil.rmtree(copy / "runs")
    done = subprocess.run([LITMUS, "rebuild", "-d", str(copy)], capture_output=True, text=True, env=environment(),
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert done.returncode == 5 and "File too large" in done.stderr
    assert not list(copy.glob("runs/*/*")) + list(copy.glob("runs/*/.*"))


def on_terminal(*arguments, **more):
    """What a terminal gets to see."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([LITMUS, *map(str, arguments)], stdin=follower, stdout=follower, stderr=follower, env=environment(TERM="xterm", **more))
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.wait(100) == 0
    return seen.decode()


def test_colours_on_a_terminal_only(data):
    assert "\x1b[31m" in on_terminal("runs", "-d", data)
    assert "\x1b" not in on_terminal("runs", "--no-color", "-d", data)
    assert "\x1b" not in on_terminal("runs", "-d", data, NO_COLOR="1")
    assert "\x1b" not in ok("runs", "-d", data)


EVIL = "\x1b]0;evil\x07\x1b[2J\u202egnp\x9b31m"


@pytest.fixture
def evil(tmp_path):
    source = f"""
        import pytest

        @pytest.mark.parametrize("x", [1], ids=[{EVIL!r}])
        def test_evil(x):
            assert False, {EVIL!r}

        @pytest.mark.skip(reason={EVIL!r})
        def test_skipped():
            pass

        def test_日本語():
            pass
    """
    record(tmp_path / "s", tmp_path / "data", source)
    return tmp_path / "data"


def test_no_control_character_reaches_the_terminal(evil):
    for arguments in (["show"], ["runs"], ["events", "-n0"], ["gate", "last", "--json"], ["show", "--json"], ["events", "--json"]):
        text = run(*arguments, "-d", evil).stdout
        assert text and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), arguments
        assert "--json" in arguments or "\u202e" not in text
    assert "test_日本語" in run("show", "-d", evil).stdout


def test_wide_letters_are_aligned(tmp_path):
    record(tmp_path / "s", tmp_path / "data", "def test_日本語(): pass\ndef test_abcdef(): pass")
    lines = [line for line in ok("show", "-d", tmp_path / "data").splitlines() if "passed  " in line]
    wide, narrow = (re.search(r"[\d.]+ m?s$", line).start() for line in lines)
    assert wide + 3 == narrow  # three letters of two columns each


# ---- pages made from the tables


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_current(page):
    assert (ROOT / page).read_text() == ok(*PAGES[page]), "make it anew: python tests/test_cli.py"


def test_man_pages_are_sound():
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("neither man nor groff here")
    for page in PAGES:
        if page.startswith("man/"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", str(ROOT / page)], capture_output=True, text=True)
            assert done.stderr == "", page


def test_bash_completion(data):
    script = f"""
        PATH={os.path.dirname(LITMUS)}:$PATH
        source <(litmus completion bash)
        complete_it() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _litmus; echo "${{COMPREPLY[@]}}"; }}
        complete_it litmus ga
        complete_it litmus gate --al
        complete_it litmus show ''
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment(LITMUS_DATA_DIR=str(data)))
    lines = done.stdout.splitlines()
    assert lines[:2] == ["gate", "--allow"] and len(lines[2].split()) == 3, done.stderr


if __name__ == "__main__":
    for name, words in PAGES.items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(ok(*words))
