# SPDX-License-Identifier: Apache-2.0
"""The Python of the pages runs as it stands there: tests in one pytest, hooks in its conftest.py, the rest as scripts over what that recorded.

docs/bench.md and docs/vectors.md have tests of their own (test_tutorial.py, python/tests/test_vectors.py).
"""

from __future__ import annotations

import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("litmus._litmus")
pytest.importorskip("openhtf")
pytest.importorskip("duckdb")
pytest.importorskip("polars")
from litmus.data.run_store import RunStore  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
ELSEWHERE = {"bench.md", "vectors.md"}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.S | re.M)

# What the pages take from the reader's bench.
STAND_INS = """
import array, types, litmus, openhtf as htf
dmm = types.SimpleNamespace(read=lambda: 3.3, leakage=lambda: 1e-7, measure_voltage=lambda: 3.3)
psu = types.SimpleNamespace(write=lambda words: None)
scope = types.SimpleNamespace(vpp=lambda: 0.01, fetch=lambda: array.array("d", range(100)))
dut = types.SimpleNamespace(version=lambda: "v1.2")
scanner = types.SimpleNamespace(read=lambda: "SN-7")
png = b"an image"
t0 = t1 = None
def power_up(test): pass
@htf.measures(htf.Measurement("rail").in_range(3.2, 3.4))
def measure_rails(test): test.measurements.rail = 3.3
"""
CONFTEST = """
import pytest, litmus.prompts
@pytest.fixture(name="dmm")
def _dmm(): return dmm
@pytest.fixture(name="psu")
def _psu(): return psu
@pytest.fixture(autouse=True)
def _operator(request):
    with litmus.prompts.answers(*(["y", "green", "4.5", "SN-000123", ""] if request.node.name == "test_led" else [])):
        yield
"""
# The side file of docs/measurements.md, and what its limits come to: vector by vector of a test that has those inputs.
DECLARED = """
import pytest
@pytest.mark.parametrize("load, mode", [(0, "fast"), (1, "slow"), (1, "other")])
def test_rail(verify, load, mode):
    verify("rail", 3.3)
    verify("ripple", 0.01)
"""
LIMITS = [(3.3 * 0.95 + 0.01, 3.3 * 1.05 - 0.01), (3.3 * 0.92 + 0.01, 3.3 * 1.08 - 0.01), (3.3 * 0.95 + 0.01, 3.3 * 1.05 - 0.01)]


def pages() -> list:
    return [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if page.name not in ELSEWHERE]


def parts(block: str) -> tuple:
    """(imports and definitions, other statements, names of the functions)."""
    tree, definitions, others = ast.parse(block), [], []
    for node in tree.body:
        (definitions if isinstance(node, (ast.FunctionDef, ast.Import, ast.ImportFrom)) else others).append(ast.get_source_segment(block, node))
    return definitions, others, [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def named_file(name: str) -> str:
    (text,) = re.findall(rf"```yaml\n# {re.escape(name)}\n(.*?)```", (ROOT / "docs/measurements.md").read_text(), re.S)
    return text


def suite(folder: pathlib.Path) -> list:
    """Writes the tests and hooks of the pages. Returns what is to run afterwards: (page, statements)."""
    hooks, scripts, count = [], [], 0
    for page in pages():
        for block in BLOCK.findall(page.read_text()):
            count += 1
            definitions, others, names = parts(block)
            if any(name.startswith("pytest_") for name in names):
                hooks += definitions
            elif names:
                module = folder / f"test_{page.stem.replace('-', '_').lower()}_{count}.py"
                constants = [line for line in others if re.match(r"[A-Z]+ = ", line)]
                module.write_text("\n".join(["from stand_ins import *", *constants, *definitions]))
                others = [line for line in others if line not in constants]
            if others:
                scripts.append((page.name, "\n".join([*(d for d in definitions if not d.startswith("def ")), *others])))
    assert count > 10  # they were found
    (folder / "stand_ins.py").write_text(STAND_INS)
    (folder / "conftest.py").write_text("from stand_ins import *\n" + CONFTEST + "\n".join(hooks))
    (folder / "scope.csv").write_text("0,1\n")
    (folder / "litmus.yaml").write_text("scan: hook\n")
    (folder / "parts").mkdir()
    (folder / "parts/psu.yaml").write_text(named_file("parts/psu.yaml"))
    (folder / "test_power.yaml").write_text(named_file("test_power.yaml"))
    (folder / "test_power.py").write_text(DECLARED)
    return scripts


def python(folder: pathlib.Path, *arguments: str, text: str | None = None) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
    env.update(LITMUS_DATA_DIR=str(folder / "data"), LITMUS_NO_DAEMON="1", PYTHONPATH=str(folder))
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=env, input=text, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr + (text or "")
    return done.stdout


def test_every_block_runs_as_it_stands(tmp_path):
    scripts, texts = suite(tmp_path), {}
    python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    (run,) = RunStore(data_dir=tmp_path / "data").list_runs()
    assert run["dut_serial"] == "SN-7" and run["outcome"] == "passed"
    check_measurements(tmp_path / "data")
    uri = f"channel://scope.ch1?session={run['session_id']}"
    for page, script in scripts:
        script = re.sub(r'"[0-9a-f]{4}"', f'"{run["test_run_id"][:8]}"', script).replace("channel://scope.ch1?session=...", uri)
        texts[page] = f"{texts.get(page, '')}from stand_ins import *\n{script}\n"
    python(tmp_path, "-", text="".join(f"exec(compile({text!r}, {page!r}, 'exec'), {{}})\n" for page, text in texts.items()))
    queries = re.findall(r"^\$ litmus sql .*-c (.*)$", (ROOT / "docs/user-guide.md").read_text(), re.M)
    assert len(queries) == 2
    for query in queries:
        done = subprocess.run([ROOT / ".venv/bin/litmus", "sql", "-d", tmp_path / "data", "-c", query.strip('"')], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    assert [name for name, _ in scripts].count("README.md") == 1
    assert (tmp_path / "junit.xml").stat().st_size and (tmp_path / "week.csv").stat().st_size
    assert {run["dut_serial"] for run in RunStore(data_dir=tmp_path / "data").list_runs()} == {"SN-7", "SN-0042"}  # docs/openhtf.md


def check_measurements(data_dir: pathlib.Path) -> None:
    """What docs/measurements.md says of its own files."""
    found = RunStore(data_dir=data_dir).get_measurements("last")
    rails = [row for row in found if (row["step_path"], row["measurement_name"]) == ("test_power.py/test_rail", "rail")]
    assert [(row["limit_low"], row["limit_high"]) for row in rails] == [pytest.approx(limits) for limits in LIMITS]
    assert {(row["characteristic_id"], row["spec_ref"], row["measurement_units"]) for row in rails} == {("RAIL_3V3", "DS-12 4.1", "V")}
    (settled,) = [row for row in found if row["measurement_name"] == "settle"]
    assert settled["step_path"].endswith("/test_rail/ramp")
