# SPDX-License-Identifier: Apache-2.0
"""What joined, left or was renamed in the plan, from run to run or between two."""

from __future__ import annotations

import difflib
from typing import Any

from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import NothingFound, Scope, literal, near
from litmus.data._common import time_us
from litmus.errors import InvalidArgument

RULES = [
    "A run is compared with the one before it of the same project, part and phase, when their plan digests differ (SHA-256 over step path and vector, in order); or the two runs named.",
    "renamed: a step that left and one that joined with the same node ids; else with the same class and function in another file; else in the same file with names at least 80 % alike.",
    "reordered: the same steps, in another order. Sub-steps are no part of a plan.",
]
ALIKE = 0.8
_COLUMNS = [
    Column("started_at", "RUN OF", "time"), Column("run", "RUN"), Column("git_commit", "GIT"), Column("before", "BEFORE"), Column("change", "CHANGE"),
    Column("step", "STEP"), Column("was", "WAS"), Column("vectors", "VECTORS", "count"), Column("vectors_before", "BEFORE", "count"), Column("why", "BY"),
]  # fmt: skip
_CHANGED = """
SELECT * FROM (SELECT run_id, started_at, git_commit, plan_digest, lag(run_id) OVER w AS before_id, lag(started_at) OVER w AS before_at, lag(plan_digest) OVER w AS before_digest
               FROM chosen WHERE left_out IS DISTINCT FROM 'in flight' AND plan_digest IS NOT NULL
               WINDOW w AS (PARTITION BY project_name, dut_part_number, test_phase ORDER BY started_at, run_id))
WHERE before_id IS NOT NULL AND plan_digest <> before_digest ORDER BY started_at DESC, run_id"""
_PLAN = """
SELECT run_id, step_path, parent_path, list_sort(list(vector_index)) AS vectors, list_sort(list_distinct(list(step_node_id))) AS nodes, min(step_index) AS place
FROM litmus_rows WHERE record_type = 'step' AND run_started_at IN ({times}) AND run_id IN ({ids}) GROUP BY ALL ORDER BY place, step_path"""


def analyse(scope: Scope, *runs: str, limit: int = 20) -> Report:
    """Changes of the plan, the newest first.

    Args:
        runs: none: each run against the one before it. Two: ids, or git=COMMIT for the last run of a commit.
        limit: at most so many runs with another plan than the one before; 0: all.
    """
    if len(runs) not in (0, 2):
        raise InvalidArgument("drift compares two runs, or each run with the one before it: name two or none")
    pairs = [_pair(scope, *runs)] if runs else scope.rows(_CHANGED)
    kept = pairs[:limit] if limit else pairs
    plans = _plans(scope, {pair[key]: pair[at] for pair in kept for key, at in (("run_id", "started_at"), ("before_id", "before_at"))})
    rows = []
    for pair in kept:
        head = {"started_at": pair["started_at"], "run": pair["run_id"], "git_commit": (pair["git_commit"] or "")[:12] or None, "before": pair["before_id"]}
        rows += [{**head, **change} for change in compare(plans[pair["before_id"]], plans[pair["run_id"]])]
    left_out = {}
    if not runs:
        for what, condition in (("runs: in flight", "left_out = 'in flight'"), ("runs: without a plan digest", "left_out IS DISTINCT FROM 'in flight' AND plan_digest IS NULL")):
            n = scope.one(f"SELECT count(*) FROM chosen WHERE {condition}")
            left_out.update({what: n} if n else {})
    notes = ["The two plans are the same." if runs else "No run planned anything else than the one before it."] if not rows else []
    if len(pairs) > len(kept):
        notes.append(f"{len(pairs) - len(kept):,} earlier changes are not shown: --limit 0 for all.")
    return Report("drift", [Table("drift", _COLUMNS, rows)], RULES, left_out, notes)


def _pair(scope: Scope, before: str, after: str) -> dict[str, Any]:
    first, second = _find(scope, before), _find(scope, after)
    return {"run_id": second["run_id"], "started_at": second["started_at"], "git_commit": second["git_commit"], "before_id": first["run_id"], "before_at": first["started_at"]}


def _find(scope: Scope, name: str) -> dict[str, Any]:
    """The run of an id or the start of one, "last", "@2", or git=COMMIT."""
    if name.startswith("git="):
        rows = scope.rows(f"SELECT run_id, started_at, git_commit FROM analysis_runs WHERE starts_with(git_commit, {literal(name[4:])}) ORDER BY started_at DESC LIMIT 1")
    elif name == "last" or name.startswith("@"):
        place = 1 if name == "last" else int(name[1:]) if name[1:].isdigit() else 0
        rows = scope.rows(f"SELECT run_id, started_at, git_commit FROM analysis_runs ORDER BY started_at DESC, run_id LIMIT 1 OFFSET {place - 1}") if place else []
    else:
        rows = scope.rows(f"SELECT run_id, started_at, git_commit FROM analysis_runs WHERE starts_with(run_id, lower({literal(name)})) LIMIT 2")
    if len(rows) > 1:
        raise InvalidArgument(f"run {name} is ambiguous: {rows[0]['run_id']} and {rows[1]['run_id']} start so")
    if not rows:
        known = [row[0] for row in scope.con.execute("SELECT run_id FROM analysis_runs ORDER BY started_at DESC LIMIT 1000").fetchall()]
        raise NothingFound(f"no run {name}{near(name, known)}")
    return rows[0]


def _plans(scope: Scope, runs: dict[str, Any]) -> dict[str, dict[str, dict]]:
    """Of each run (id -> start, by which its rows are found among millions): step path -> its vectors and node ids, in the order of the plan."""
    plans: dict[str, dict[str, dict]] = {run: {} for run in runs}
    times = ", ".join(f"make_timestamptz({time_us(at)})" for at in set(runs.values()))
    ids = ", ".join(map(literal, runs))
    for row in scope.rows(_PLAN.format(times=times, ids=ids)) if runs else []:
        plans[row["run_id"]][row["step_path"]] = row
    return {run: {path: row for path, row in plan.items() if row["parent_path"] not in plan} for run, plan in plans.items()}


def compare(before: dict[str, dict], after: dict[str, dict]) -> list[dict[str, Any]]:
    """What differs between two plans (step path -> vectors, nodes): one dict a change."""
    left = [path for path in before if path not in after]
    joined = [path for path in after if path not in before]
    renamed = _renamed({path: before[path] for path in left}, {path: after[path] for path in joined})

    def change(what, new, old, why=None):
        return {"change": what, "step": new or old, "was": old if new and old and new != old else None, "vectors": len(after[new]["vectors"]) if new else 0,
                "vectors_before": len(before[old]["vectors"]) if old else 0, "why": why}

    rows = [change("renamed", new, old, why) for new, (old, why) in renamed.items()]
    rows += [change("joined", path, None) for path in joined if path not in renamed]
    gone = {old for old, _ in renamed.values()}
    rows += [change("left", None, path) for path in left if path not in gone]
    rows += [change("vectors", path, path) for path in after if path in before and after[path]["vectors"] != before[path]["vectors"]]
    if not rows and list(before) != list(after):
        rows = [{"change": "reordered", "step": None, "was": None, "vectors": None, "vectors_before": None, "why": None}]
    return rows


def _renamed(left: dict[str, dict], joined: dict[str, dict]) -> dict[str, tuple[str, str]]:
    """Of the steps that joined, those that are steps that left: new path -> (old path, how it was found)."""
    found: dict[str, tuple[str, str]] = {}
    left, joined = dict(left), dict(joined)
    for why, key in (("same node id", _by_nodes), ("same function, other file", _by_function)):
        old_of: dict[Any, list[str]] = {}
        new_of: dict[Any, list[str]] = {}
        for paths, group in ((left, old_of), (joined, new_of)):
            for path, row in paths.items():
                group.setdefault(key(path, row), []).append(path)
        for word, new in new_of.items():
            if word is not None and len(new) == 1 and len(old_of.get(word, [])) == 1:
                found[new[0]] = (old_of[word][0], why)
                del left[old_of[word][0]], joined[new[0]]
    for alike, old, new in _alike(left, joined):
        if old in left and new in joined:
            found[new] = (old, f"names {alike:.0%} alike")
            del left[old], joined[new]
    return found


def _by_nodes(path: str, row: dict) -> Any:
    nodes = tuple(node for node in row["nodes"] or [] if node)
    return nodes or None


def _by_function(path: str, row: dict) -> Any:
    """What stands behind the file: "TestRail/test_low"."""
    _, dot_py, rest = path.rpartition(".py/")
    return rest if dot_py else path.rpartition("/")[2]


def _alike(left: dict[str, dict], joined: dict[str, dict]) -> list[tuple[float, str, str]]:
    """(how much, old path, new path) of names in the same file that are nearly the same, the nearest first."""
    found = []
    for old in left:
        for new in joined:
            if old.rpartition("/")[0] == new.rpartition("/")[0]:
                alike = difflib.SequenceMatcher(None, old.rpartition("/")[2], new.rpartition("/")[2]).ratio()
                if alike >= ALIKE:
                    found.append((alike, old, new))
    return sorted(found, key=lambda one: (-one[0], one[1], one[2]))
