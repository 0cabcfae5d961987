# SPDX-License-Identifier: Apache-2.0
"""What a station file costs a pytest session beyond what its instruments take to connect."""

from __future__ import annotations

import pathlib

import peers as peers_module
import support
from figures_pytest import path_of_litmus, run_pytest
from support import median, size

INSTRUMENTS = 8
DEVICE = """\
  d{n}:
    eom: {{GPIB INSTR: {{q: "\\n", r: "\\n"}}}}
    dialogues: [{{q: "*IDN?", r: "Simulated,M,{n},1"}}]
"""
OPTIONS = {"read_termination": "\n", "write_termination": "\n"}
# The same instruments without a station file: after collection, as the plugin does it.
BY_HAND = f"""\
import os
import pyvisa

def pytest_collection_finish(session):
    library = os.path.join(os.path.dirname(__file__), "sim.yaml@sim")
    session.config.opened = [pyvisa.ResourceManager(library).open_resource(f"GPIB0::{{n}}::INSTR", **{OPTIONS!r}) for n in range({INSTRUMENTS})]
    for one in session.config.opened:
        one.query("*IDN?")
"""


def _folder(name: str, by_hand: bool) -> pathlib.Path:
    folder = support.fresh(name)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_one.py").write_text("def test(): pass\n")
    devices = "".join(DEVICE.format(n=n) for n in range(INSTRUMENTS))
    resources = "".join(f"  GPIB0::{n}::INSTR: {{device: d{n}}}\n" for n in range(INSTRUMENTS))
    (folder / "sim.yaml").write_text(f'spec: "1.0"\ndevices:\n{devices}resources:\n{resources}')
    if by_hand:
        (folder / "conftest.py").write_text(BY_HAND)
        return folder
    (folder / "stations").mkdir()
    role = '  i{n}: {{driver: visa, resource: "GPIB0::{n}::INSTR", visa_library: ../sim.yaml@sim, options: {{read_termination: "\\n", write_termination: "\\n"}}}}\n'
    (folder / "stations" / "bench.yaml").write_text("instruments:\n" + "".join(role.format(n=n) for n in range(INSTRUMENTS)))
    return folder


def station(table: support.Table, peers: peers_module.Peers) -> None:
    """A whole session of one test, with a station file and with the same connects in a conftest.py; both recorded."""
    support.litmus_program()
    folders, data_dir = [_folder("station", False), _folder("by-hand", True)], support.DATA / "station-data"

    def once(folder: pathlib.Path) -> float:
        seconds, _ = run_pytest(folder, "-p", "litmus.plugin", "--litmus-data-dir", data_dir, PATH=path_of_litmus())
        support.stop_daemon(data_dir)
        support.away(data_dir)
        return seconds

    differences = []
    for folder in folders:
        once(folder)  # compiles, caches
    for _ in support.turns(size(9, 3, 1), 30):
        ours, by_hand = map(once, folders)
        differences.append((ours - by_hand) * 1e3)
    table.add(f"session with {INSTRUMENTS} simulated instruments, over their own connects", median(differences), "ms", "<=", 50)
