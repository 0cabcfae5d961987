# SPDX-License-Identifier: Apache-2.0
"""Who and what: every fact from every place it may be set in, profiles, the scanner, and what may not be called production."""

from __future__ import annotations

import json
import shutil
import subprocess
import types

import pytest

pytest.importorskip("litmus._litmus")
from litmus import _declared, _settings  # noqa: E402
from litmus.errors import ConfigError  # noqa: E402
from litmus.plugin import FIELDS  # noqa: E402

PLACES = ("option", "environment", "profile", "litmus.yaml", "station")


def settings(tmp_path, monkeypatch, name: str, field: str, *places: str) -> _settings.Settings:
    """Settings where a fact is set in these places, to their names."""
    option = types.SimpleNamespace(litmus_profile="p", maxfail=0)
    said = {place: f"{field}: {place}\n" if place in places else "" for place in PLACES}
    if "option" in places:
        setattr(option, f"litmus_{name}", "option")
    if "environment" in places:
        monkeypatch.setenv(f"LITMUS_{name.upper()}", "environment")
    (tmp_path / "litmus.yaml").write_text(f"{said['litmus.yaml']}profiles:\n  p:\n    description: x\n    {said['profile']}")
    if field != "station_id":
        (tmp_path / "stations").mkdir(exist_ok=True)
        (tmp_path / "stations" / "st.yaml").write_text(said["station"])
    return _settings.Settings(option, str(tmp_path), str(tmp_path))


@pytest.mark.parametrize("name, field", [row[:2] for row in FIELDS])
def test_every_fact_comes_from_the_first_place_that_says_it(tmp_path, monkeypatch, name, field):
    places = PLACES if field != "station_id" else PLACES[:-1]
    for first in range(len(places)):
        with monkeypatch.context() as patch:
            assert settings(tmp_path, patch, name, field, *places[first:]).facts()[field] == places[first]
    with monkeypatch.context() as patch:
        assert settings(tmp_path, patch, name, field).facts().get(field) in (None, "st")


@pytest.mark.parametrize("key", ["station", "operator", "phase", "lot", "fixture", "project"])
def test_a_file_may_say_it_by_the_name_of_the_option(tmp_path, key):
    (tmp_path / "litmus.yaml").write_text(f"{key}: x\n")
    assert "x" in _settings.Settings(types.SimpleNamespace(), str(tmp_path), str(tmp_path)).facts().values()


def test_metadata_of_ones_own_a_key_from_the_first_place(tmp_path, monkeypatch):
    (tmp_path / "stations").mkdir()
    (tmp_path / "stations" / "st.yaml").write_text("custom: {a: 1, b: 1, c: 1, d: 1}\n")
    (tmp_path / "litmus.yaml").write_text("custom: {b: 2, c: 2, d: 2}\n")
    monkeypatch.setenv("LITMUS_CUSTOM_C", "3")
    option = types.SimpleNamespace(litmus_custom=["d=4=5"])
    assert _settings.Settings(option, str(tmp_path), str(tmp_path)).custom() == {"a": 1, "b": 2, "c": "3", "d": "4=5"}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        _settings.Settings(types.SimpleNamespace(litmus_custom=["x"]), str(tmp_path), str(tmp_path)).custom()


@pytest.mark.parametrize(
    "text, words",
    [
        ("profiles: {fast: {}}\n", "line 1, column 1: no profile `fst`; did you mean fast?"),
        ("profiles:\n  fst: {phse: x}\n", "line 2, column 9: no key `phse`; did you mean phase?"),
        ("profiles:\n  fst: {extends: fats}\n  fast: {}\n", "line 2, column 9: no profile `fats`; did you mean fast?"),
        ("profiles:\n  fst: {extends: b}\n  b: {extends: fst}\n", "line 3, column 7: the profile `fst` extends itself"),
        ("profiles:\n  fst: {options: {max_fail: 1}}\n", "line 2, column 19: pytest has no option `max_fail`; did you mean maxfail?"),
        ("profiles:\n  fst: {options: {maxfail: two}}\n", "line 2, column 19: the option `maxfail` is a whole number, not 'two'"),
        ("profiles:\n  fst: {options: {maxfail: true}}\n", "line 2, column 19: the option `maxfail` is a whole number, not True"),
        ("profiles:\n  fst: {options: {numprocesses: 2}}\n", "line 2, column 19: pytest reads `numprocesses` before there is a profile"),
        ("profiles:\n  fst: {select: [a]}\n", "line 2, column 9: `select` is an expression"),
        ("profiles:\n  fst: {marks: {test_a: ['a b']}}\n", "line 2, column 17: the marks of `test_a`"),
        ("profiles:\n  fst: {phase: [a]}\n", "line 2, column 9: `phase` must be a text"),
        ("profiles: 5\n", "`profiles` must be a mapping"),
        ("", "no profile `fst`"),
    ],
)
def test_a_slip_in_a_profile_names_line_column_and_the_nearest(tmp_path, text, words):
    (tmp_path / "litmus.yaml").write_text(text)
    option = types.SimpleNamespace(litmus_profile="fst", maxfail=0, numprocesses=None)
    with pytest.raises(ConfigError) as caught:
        _settings.Settings(option, str(tmp_path), str(tmp_path)).facts()
    assert str(tmp_path / "litmus.yaml") in str(caught.value) and words in str(caught.value)


def test_digits_count(tmp_path):
    (tmp_path / "litmus.yaml").write_text("dut_serial: 0042\nproduct_revision: 1.10\npart: 0017\nstation: 03\ndut_lot_number:\n  1.50\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "x.yaml").write_text("{part_number: 0017, revision: 2.0, characteristics: {}}\n")
    (tmp_path / "stations").mkdir()
    (tmp_path / "stations" / "y.yaml").write_text("station_id: 03\n")
    settings = _settings.Settings(types.SimpleNamespace(), str(tmp_path), str(tmp_path))
    assert [settings.value(name, name) for name in ("dut_serial", "product_revision", "dut_lot_number")] == ["0042", "1.10", "1.5"]
    assert settings.station.text("station_id") == "03"
    assert _declared.load_part(str(tmp_path), settings).facts() == {"dut_part_number": "0017", "product_id": "0017", "product_revision": "2.0"}


@pytest.mark.parametrize("text, words", [("calibraton: refuse\n", "line 1, column 1: no key `calibraton`; did you mean calibration?"), ("team: 7\n", None)])
def test_a_slip_in_litmus_yaml_is_told(suite, text, words):
    suite.write({"test_a.py": "def test(): pass\n", "litmus.yaml": text})
    record = suite.run()
    assert record.code == 0 and ("with gaps" in record.line) == (words is not None) and (words or "") in record.line


def test_a_part_that_is_none(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "psu.yaml").write_text("characteristics: {}\n")
    (tmp_path / "litmus.yaml").write_text("part: psv\n")
    settings = _settings.Settings(types.SimpleNamespace(), str(tmp_path), str(tmp_path))
    with pytest.raises(ConfigError, match="line 1, column 1: .* has no part `psv`; did you mean psu"):
        _declared.load_part(str(tmp_path), settings)


def test_slips_about_stations(tmp_path):
    (tmp_path / "stations").mkdir()
    (tmp_path / "stations" / "bench.yaml").write_text("statoin_name: x\n")
    with pytest.raises(ConfigError, match="line 1, column 1: no key `statoin_name`; did you mean station_name"):
        _settings.Settings(types.SimpleNamespace(), str(tmp_path), str(tmp_path))
    with pytest.raises(ConfigError, match="has no station `bnch`; did you mean bench"):
        _settings.Settings(types.SimpleNamespace(litmus_station="bnch"), str(tmp_path), str(tmp_path))


PROFILES = """\
custom: {rack: 7}
profiles:
  line:
    phase: production
    limits: {test_rail: {rail: {high: 5}}}
    custom: {rack: 8}
  quick:
    extends: line
    select: not slow
    marks: {test_flash: slow}
    options: {maxfail: 1}
    limits: {test_rail: {rail: {high: 2}}}
"""
TESTS = """\
def test_rail(verify):
    verify("rail", 3.0)
def test_flash(): pass
def test_last():
    import litmus
    litmus.custom(fw="1.2", jig=4)
"""


def test_a_test_that_a_profile_names_and_nobody_collected(suite):
    profile = "profiles:\n  line:\n    limits:\n      test_rial: {rail: {high: 2}}\n"
    suite.write({"test_a.py": TESTS, "test_a.yaml": "limits: {test_rail: {rail: [1, 9]}}\n", "litmus.yaml": profile, "pytest.ini": "[pytest]\n"})
    record = suite.run("--litmus-profile=line")
    assert record.code == 2 and "litmus.yaml, line 4, column 7: no test `test_rial` was collected; did you mean test_rail?" in record.out, record.out
    assert record.counts() == {None: 3} and record.reasons() == {"collection_error"}
    assert suite.run("--litmus-profile=line", "test_a.py").code == 0  # another file may have it


def test_a_profile_changes_limits_markers_options_and_phase_and_is_on_record(suite):
    suite.write({"test_a.py": TESTS, "test_a.yaml": "limits: {test_rail: {rail: {low: 1, high: 9}}}\n", "litmus.yaml": PROFILES, "pytest.ini": "[pytest]\nmarkers = slow\n"})
    plain = suite.run()
    assert plain.code == 0, plain.out
    (run,) = [row for row in plain.parquet if row["record_type"] == "run"]
    assert (run["profile"], run["custom_rack"], run["custom_fw"], run["custom_jig"]) == (None, 7, "1.2", 4)
    shutil.rmtree(suite.data_dir)
    quick = suite.run("--litmus-profile", "quick")
    assert quick.code == 1 and "1 failed" in quick.out and "1 deselected" in quick.out, quick.out
    assert [row.get("outcome") for row in quick.rows] == ["failed", None]
    (run,) = [row for row in quick.parquet if row["record_type"] == "run"]
    assert (run["profile"], run["test_phase"], run["custom_rack"], run["stop_reason"]) == ("quick", "production", 8, "maxfail")
    (measured,) = quick.of("test.measurement")
    assert (measured["limit_low"], measured["limit_high"]) == (1, 2)


IN_A_PROFILE = {
    "limits": "{test_rail: {rail: {high: 5}}}",
    "vectors": "{test_sweep: {load: [1, 2, 3]}}",
    "retry": "{test_link: 2}",
    "marks": "{test_slow: [skip]}",
}
OF_A_SUITE = """\
import pytest
TIMES = []
def test_rail(verify): verify("rail", 3.0)
@pytest.mark.vectors(load=[7])
def test_sweep(vectors, observe):
    for v in vectors: observe("load", v.load)
@pytest.mark.retry(times=0)
def test_link():
    TIMES.append(1)
    assert len(TIMES) == 3
def test_slow(): pass
"""


def said_of_a_suite(record) -> dict:
    """What a profile may change, and the profile, as the run's file has them."""
    steps, (run,) = [row for row in record.parquet if row["record_type"] == "step"], [row for row in record.parquet if row["record_type"] == "run"]
    (measured,) = [row for row in record.parquet if row["record_type"] == "measurement"]
    return {
        "profile": run["profile"],
        "limits": (measured["limit_low"], measured["limit_high"]),
        "vectors": [row["in_load"] for row in steps if row["step_name"] == "test_sweep"],
        "retry": next(row["attempt_outcomes"] for row in steps if row["step_name"] == "test_link"),
        "marks": next(row["never_ran_reason"] for row in steps if row["step_name"] == "test_slow"),
    }


def test_each_section_of_a_profile_is_in_force_alone_and_together(suite):
    """What is weaker (a marker, the side file) stays in force where the profile says nothing."""
    weak = {"profile": None, "limits": (1, 9), "vectors": [7], "retry": ["failed"], "marks": None}
    strong = {"limits": (1, 5), "vectors": [1, 2, 3], "retry": ["failed", "failed", "passed"], "marks": "skip_marker"}
    profiles = {**{key: [key] for key in IN_A_PROFILE}, "all": list(IN_A_PROFILE)}
    text = "".join(f"  {name}:\n" + "".join(f"    {key}: {IN_A_PROFILE[key]}\n" for key in keys) for name, keys in profiles.items())
    side = "limits: {test_rail: {rail: {low: 1, high: 9}}}\n"
    suite.write({"test_a.py": OF_A_SUITE, "test_a.yaml": side, "litmus.yaml": f"profiles:\n{text}"})
    for name in (None, *profiles):
        shutil.rmtree(suite.data_dir, ignore_errors=True)
        record = suite.run(*([] if name is None else ["--litmus-profile", name]))
        assert said_of_a_suite(record) == {**weak, "profile": name, **{key: strong[key] for key in profiles.get(name, ())}}, name


def test_the_command_line_stands_above_a_profile(suite):
    suite.write({"test_a.py": TESTS, "litmus.yaml": PROFILES, "pytest.ini": "[pytest]\nmarkers = slow\n"})
    record = suite.run("--maxfail=7", "-m", "slow", "--litmus-phase=debug", "--litmus-off", env={"LITMUS_PROFILE": "quick"})
    assert "3 deselected" in record.out
    record = suite.run("--maxfail=7", "--litmus-phase=debug", env={"LITMUS_PROFILE": "quick"})
    assert record.of("run.started")[-1]["test_phase"] == "debug"
    assert record.counts()["passed"] == 1  # it did not stop after one


@pytest.mark.parametrize("arguments, failed", [((), 2), (("-x",), 1), (("--maxfail", "3"), 3), (("-kdef", "-q"), 2)], ids=["none", "x", "apart", "another"])
def test_options_of_the_nearest_profile_below_those_of_the_command_line(suite, arguments, failed):
    profiles = "profiles:\n  base: {options: {maxfail: 5}}\n  mine: {extends: base, options: {maxfail: 2}}\n"
    suite.write({"test_def.py": "import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test(n): assert 0", "litmus.yaml": profiles})
    assert suite.run("--litmus-profile=mine", *arguments).counts() == {"failed": failed, None: 6 - failed}


@pytest.mark.parametrize("arguments, words", [(["--litmus-profile=nine"], "no profile `nine`"), (["--litmus-custom=x"], "KEY=VALUE")])
def test_what_cannot_be_used_stops_before_collection(suite, arguments, words):
    suite.write({"test_a.py": "raise SystemExit(9)\n", "litmus.yaml": "profiles: {a: {}}\n"})
    done = suite.run(*arguments)
    assert done.code == 4 and words in done.err


def test_marks_of_a_test_that_is_not_there(suite):
    suite.write({"test_a.py": "def test_flash(): pass\n", "litmus.yaml": "profiles:\n  a:\n    marks: {test_flsh: slow}\n"})
    done = suite.run("--litmus-profile=a")
    assert done.code == 4 and "line 3, column 13: no test `test_flsh` was collected; did you mean test_flash?" in done.err


# ---- production ----


def commit(folder) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=folder, check=True, capture_output=True)


def test_dirty_code_is_no_production(suite):
    suite.write({"test_a.py": "def test(): pass\n"})
    commit(suite.path)
    clean = suite.run("--litmus-phase=production")
    (started,) = clean.of("run.started")
    assert (started["git_dirty"], started["test_phase"], started["test_phase_asked"]) == (False, "production", None)
    suite.write({"test_a.py": "def test(): assert True\n"})
    dirty = suite.run("--litmus-phase= Production")  # nor by another spelling
    started = dirty.of("run.started")[-1]
    assert (started["git_dirty"], started["test_phase"], started["test_phase_asked"]) == (True, "development", " Production")
    assert dirty.code == 0 and dirty.line.endswith("(phase development, not  Production: tracked files differ from the commit)")
    assert [event["message"] for event in dirty.of("diagnostic.warning")] == ["phase development, not  Production: tracked files differ from the commit"]


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]])
def test_a_mock_is_no_production(suite, arguments):
    suite.write({"test_a.py": "def test(dmm): pass\n", "stations/st.yaml": "operator: bob\ninstruments:\n  dmm: {mock: true}\n"})
    record = suite.run("--litmus-phase=production", *arguments)
    (run,) = [row for row in record.parquet if row["record_type"] == "run"]
    assert (run["test_phase"], run["test_phase_asked"], run["operator_id"], run["station_id"]) == ("development", "production", "bob", "st")
    assert record.line.endswith("(phase development, not production: dmm is a mock)")


def test_without_git_the_mark_is_not_known(suite):
    suite.write({"test_a.py": "def test(): pass\n"})
    (started,) = suite.run("--litmus-phase=production").of("run.started")
    assert (started["git_dirty"], started["test_phase"]) == (None, "production")
    assert len(json.loads(started["environment_json"])["packages_hash"]) == 64


# ---- the scanner ----


def test_the_hook_gives_the_serial(suite):
    suite.write({"test_a.py": "def test(): pass\n", "conftest.py": "def pytest_litmus_scan(config): return 'SN-7'\n"})
    record = suite.run()
    (scanned,) = record.of("fixture.dut_scanned")
    assert (scanned["dut_serial"], scanned["scan_source"]) == ("SN-7", "hook")
    assert record.types.index("fixture.dut_scanned") < record.types.index("test.steps_discovered")
    assert {row["dut_serial"] for row in record.parquet} == {"SN-7"} and "SN-7" in record.line
    assert not suite.run("--litmus-dut-serial=SN-8").of("fixture.dut_scanned")[1:]


DOUBLE = "from litmus import prompts\ndef pytest_configure(config):\n    config.stash_of_test = prompts.answers({answer}, by='ann')\n    config.stash_of_test.__enter__()\n"


def test_the_operator_is_asked(suite):
    suite.write({"test_a.py": "def test(): pass\n", "litmus.yaml": "scan: prompt\n", "conftest.py": DOUBLE.format(answer="'SN-9'")})
    record = suite.run()
    assert record.of("fixture.dut_scanned")[0]["scan_source"] == "prompt"
    (answer,) = record.of("dialog.responded")
    assert (answer["value"], answer["answered_by"], answer["response_type"]) == ("SN-9", "ann", "answered")


HANGING = "import threading\ndef pytest_litmus_scan(config): threading.Event().wait()\n"


@pytest.mark.parametrize(
    "conftest, yaml, words",
    [
        ("def pytest_litmus_scan(config): raise OSError('no scanner')\n", "", "the serial could not be scanned: OSError: no scanner"),
        ("def pytest_litmus_scan(config): return ''\n", "", "which is no serial"),
        (HANGING, "scan: {timeout: 0.2}\n", "gave no serial within 0.2 s"),
        (DOUBLE.format(answer="'x'"), "scan: {by: prompt, pattern: 'SN-[0-9]+'}\n", "no code that is expected"),
        ("", "scan: {by: prompt, timeout: 0.1}\n", "nobody answered"),
        ("", "scan: hook\n", "no hook pytest_litmus_scan gave a serial"),
        ("", "scan: {by: promt}\n", "`scan` is by `prompt` or by `hook`"),
        ("", "scan: {tmeout: 1}\n", "no key `tmeout`; did you mean timeout?"),
    ],
)
def test_without_a_serial_the_run_is_errored_with_the_whole_plan(suite, conftest, yaml, words, arguments=()):
    suite.write({"test_a.py": "def test_a(): pass\ndef test_b(): pass\n", "conftest.py": conftest, "litmus.yaml": yaml})
    record = suite.run(*arguments)
    assert record.code == 1 and words in record.out, record.out + record.err
    assert (record.run_ended["outcome"], record.run_ended["stop_reason"]) == ("errored", "instrument error")
    assert words in record.of("diagnostic.error")[0]["message"]
    assert [row.outcome for row in record.rows] == [None, None] and record.reasons() == {"instrument_error"}
    assert not record.of("test.step_started")


def test_with_xdist_the_controller_scans(suite):
    conftest = "def pytest_litmus_scan(config): return 'SN-7'\n"
    suite.write({"test_a.py": "def test_a(): pass\n", "conftest.py": conftest})
    record = suite.run("-n", "1")
    assert len(record.of("fixture.dut_scanned")) == 1 and {row["dut_serial"] for row in record.parquet} == {"SN-7"}
    shutil.rmtree(suite.data_dir)
    failing = conftest.replace("return 'SN-7'", "raise OSError('no scanner')")
    test_without_a_serial_the_run_is_errored_with_the_whole_plan(suite, failing, "", "no scanner", ("-n", "1"))
