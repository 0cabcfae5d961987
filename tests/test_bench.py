# SPDX-License-Identifier: Apache-2.0
"""`make bench` runs to its end with tiny sizes and writes its figures. No time is judged here."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEYS = {"name", "value", "unit", "relation", "goal", "peer", "peer_value"}

pytestmark = pytest.mark.skipif(not (ROOT / ".venv/bin/litmus").exists(), reason="litmus is not installed in .venv: run make")


def bench(folder: pathlib.Path, **environ: str) -> subprocess.CompletedProcess:
    environ = {**os.environ, "LITMUS_BENCH_DIR": str(folder), "LITMUS_BENCH_QUICK": "2", "LITMUS_BENCH_PEERS": "0", **environ}
    return subprocess.run([ROOT / "bench/run"], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ, timeout=600)


def test_every_figure_is_measured_and_written(tmp_path):
    done = bench(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert len(rows) > 15
    for row in rows:
        assert set(row) == KEYS
        assert isinstance(row["value"], (int, float)) and row["value"] == row["value"]
        assert row["relation"] in ("<=", ">=")
        assert row["unit"] and row["name"]
        assert (row["peer"] is None) == (row["peer_value"] is None)
    assert len({row["name"] for row in rows}) == len(rows)
    assert not (tmp_path / "bench-data").exists()


def test_an_unknown_figure_is_refused(tmp_path):
    done = bench(tmp_path, LITMUS_BENCH_ONLY="emit,speed")
    assert done.returncode == 2
    assert "no such figure: speed" in done.stderr
    assert not (tmp_path / "bench.json").exists()
