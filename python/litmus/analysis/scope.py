# SPDX-License-Identifier: Apache-2.0
"""Which runs an analysis is about: filters, groups, and the history of each unit over the whole record."""

from __future__ import annotations

from typing import Any

from litmus._nearest import closest
from litmus.analysis.report import Column, Table
from litmus.data._common import time_us
from litmus.errors import InvalidArgument, LitmusError

__all__ = ["GROUPS", "NothingFound", "Scope", "TooFew", "literal", "pattern"]

FILTERS = {"serial": "dut_serial", "part": "dut_part_number", "lot": "dut_lot_number", "station": "station_id", "operator": "operator_id",
           "phase": "test_phase", "project": "project_name", "git": "git_commit"}  # fmt: skip
_PERIODS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
GROUPS = ("part", "lot", "station", "phase", "operator", "git", "project", *_PERIODS)
# reasons of runs.left_out that concern units alone
UNIT_REASONS = ("no serial", "no verdict")

# A run and its unit: place in the unit's history, its first run, last outcome, whether it ever passed. Most units have one run, which
# needs no window: it is its own history. (Two units whose keys hash alike only take the long way.) What is filtered is a view: a table
# costs ten times what reading one does.
_KNOWN = """
CREATE OR REPLACE TEMP TABLE analysis_known AS
SELECT run_id, started_at, ended_at, duration_s, outcome, dut_serial, dut_part_number, dut_lot_number, station_id, operator_id, test_phase, project_name, git_commit,
       plan_digest, deselected_count, left_out FROM runs"""
_HISTORIES = """
CREATE OR REPLACE TEMP TABLE analysis_histories AS
WITH units AS MATERIALIZED (SELECT rowid AS run, hash(left_out, dut_part_number, test_phase, trim(dut_serial)) AS unit FROM analysis_known),
     several AS (SELECT unit FROM units GROUP BY unit HAVING count(*) > 1)
SELECT run, row_number() OVER ordered AS try, first_value(run_id) OVER ordered AS first_run, last_value(outcome) OVER whole AS last_outcome,
       bool_or(outcome = 'passed') OVER whole AS ever_passed
FROM units JOIN analysis_known k ON k.rowid = units.run WHERE unit IN (FROM several)
WINDOW ordered AS (PARTITION BY left_out, dut_part_number, test_phase, trim(dut_serial) ORDER BY started_at, run_id),
       whole AS (PARTITION BY left_out, dut_part_number, test_phase, trim(dut_serial) ORDER BY started_at, run_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"""
_RUNS = """
CREATE OR REPLACE TEMP VIEW analysis_runs AS
SELECT k.rowid AS run, k.*, CASE WHEN left_out IS NULL THEN coalesce(h.try, 1) END AS try, coalesce(first_run, run_id) AS first_run,
       CASE WHEN h.run IS NULL THEN outcome ELSE last_outcome END AS last_outcome, CASE WHEN h.run IS NULL THEN outcome = 'passed' ELSE h.ever_passed END AS ever_passed
FROM analysis_known k LEFT JOIN analysis_histories h ON h.run = k.rowid"""
# Without histories the runs are read once or twice, a few columns each time: that costs less than a table of them.
_RUNS_ALONE = "CREATE OR REPLACE TEMP VIEW analysis_runs AS SELECT * FROM runs"
# Of rows as of runs: each row of a run file says what its run is.
_COUNTED_ROWS = "NOT live AND NOT litmus_is_golden(dut_serial, dut_part_number, dut_lot_number, test_phase, station_id) AND NOT coalesce(list_contains(step_instruments_mocked, true), false)"


class NothingFound(LitmusError, LookupError):
    """No run, step or measurement fits; the text gives near names."""

    code = "ENOENT"


class TooFew(InvalidArgument):
    """There is less than the figure needs."""


def pattern(text: str) -> str:
    """The GLOB of DuckDB for a text in which * and ? stand for anything, and nothing else does."""
    return "".join("[[]" if c == "[" else "[\\]" if c == "\\" else c for c in text)


def literal(text: str | None) -> str:
    """A text as SQL says it. (With a parameter the duckdb module would load pandas, if there is one, to see whether it is a value of its: 0.7 s.)"""
    if text is None:
        return "NULL::VARCHAR"
    text = str(text)
    if "\0" in text:
        raise InvalidArgument(f"{text!r} holds a zero character")
    return "'" + text.replace("'", "''") + "'"


def chooses(name: str, value: str) -> str:
    """The condition of one of FILTERS. A unit is its serial without blanks around it, as a scanner or a cell may leave them."""
    if name == "serial":
        return f"trim({FILTERS[name]}) = trim({literal(value)})"
    return f"starts_with({FILTERS[name]}, {literal(value)})" if name == "git" else f"{FILTERS[name]} = {literal(value)}"


def near(word: str, words: list[str]) -> str:
    """What to say of a word that is not among these."""
    close = closest(word, words, 3, 0.5)
    if close:
        return "; did you mean " + " or ".join(map(repr, close)) + "?"
    some = ", ".join(map(repr, sorted(words)[:5]))
    return f"; there is {some}{', ...' if len(words) > 5 else ''}" if some else ""


class Scope:
    """The runs that an analysis is about, as tables of a DuckDB connection.

    `analysis_runs` has every run with its place in the history of its unit; `chosen` those that fit the filters, and
    `counted` those of them that prove something about the product: finished, no golden unit, no mocked instruments.

    Args:
        con: a connection of litmus.connect().
        since, until: on the start of a run, as `litmus.scan`.
        tz: IANA name of the time zone that days, weeks and months are of; None: UTC.
        history: with the columns run, try, first_run, last_outcome and ever_passed, which cost time.
        filters: serial (without blanks around it), part, lot, station, operator, phase, project: equal to it; git: starts so. None: any.

    Raises:
        NothingFound: no run fits.
        InvalidArgument: no such filter or time zone.
    """

    def __init__(self, con, *, since: Any = None, until: Any = None, tz: str | None = None, history: bool = True, **filters: str | None):
        self.con = con
        self.tz = tz or "UTC"
        self.filters = {name: value for name, value in filters.items() if value is not None}
        self.times = {name: time_us(value) for name, value in (("since", since), ("until", until)) if value is not None}
        unknown = [name for name in self.filters if name not in FILTERS]
        if unknown:
            raise InvalidArgument(f"no filter {unknown[0]!r}: {', '.join(FILTERS)}")
        self._check_zone()
        for text in (_KNOWN, _HISTORIES, _RUNS) if history else (_RUNS_ALONE,):
            con.execute(text)
        con.execute(f"CREATE OR REPLACE TEMP VIEW chosen AS SELECT * FROM analysis_runs WHERE {self._where('started_at')}")
        con.execute("CREATE OR REPLACE TEMP VIEW counted AS SELECT * FROM chosen WHERE left_out IS NULL OR left_out IN ('no serial', 'no verdict')")
        if not self.one("SELECT count(*) FROM chosen"):
            raise NothingFound(self._why_none())

    def _check_zone(self) -> None:
        if self.tz == "UTC":
            return
        names = [row[0] for row in self.con.execute("SELECT name FROM pg_timezone_names()").fetchall()]
        if self.tz not in names:
            raise InvalidArgument(f"no time zone {self.tz!r}{near(self.tz, names)}")

    def _where(self, started_at: str) -> str:
        clauses = ["true", *(chooses(name, value) for name, value in self.filters.items())]
        for name, us in self.times.items():
            clauses.append(f"{started_at} {'>=' if name == 'since' else '<'} make_timestamptz({us})")
        return " AND ".join(clauses)

    def _why_none(self) -> str:
        for name, value in self.filters.items():
            column = FILTERS[name]
            if not self.one(f"SELECT count(*) FROM analysis_runs WHERE {chooses(name, value)}"):
                words = [row[0] for row in self.con.execute(f"SELECT DISTINCT {column} FROM analysis_runs WHERE {column} IS NOT NULL").fetchall()]
                return f"no run has {name} {value!r}{near(value, words)}"
        return "no run fits these options" if self.filters or self.times else "no run is on record"

    def one(self, text: str) -> Any:
        """The only value that a query gives."""
        return self.con.execute(text).fetchone()[0]

    def rows(self, text: str) -> list[dict[str, Any]]:
        """The rows that a query gives, as dicts."""
        result = self.con.execute(text)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row)) for row in result.fetchall()]

    def table(self, name: str, columns: list[Column], text: str, limit: int = 0, title: str = "") -> Table:
        """The rows of a query as a Table; `limit` 0: all of them."""
        rows = self.rows(text)
        kept = rows[:limit] if limit else rows
        return Table(name, columns, kept, title, len(rows) - len(kept))

    def group(self, word: str, started_at: str = "started_at") -> str:
        """The SQL of what runs are grouped by, one of GROUPS, over the columns of `chosen`; of rows, with the column `run_started_at`."""
        if word in _PERIODS:
            return f"strftime(timezone('{self.tz}', {started_at}), '{_PERIODS[word]}')"
        if word not in GROUPS:
            raise InvalidArgument(f"cannot group by {word!r}{near(word, list(GROUPS))}")
        return "left(git_commit, 12)" if word == "git" else FILTERS[word]

    def groups(self, by: str | None, default: str) -> list[tuple[str, str]]:
        """[(name, SQL)] of a list of groups such as "part,week"."""
        words = [word.strip() for word in (by or default).split(",") if word.strip()]
        return [(word, self.group(word)) for word in dict.fromkeys(words)]

    def left_out(self, *, units: bool) -> dict[str, int]:
        """How many of the chosen runs count in no figure, by reason. units: figures of units, which need a serial and a verdict."""
        rows = self.con.execute("SELECT left_out, count(*) FROM chosen WHERE left_out IS NOT NULL GROUP BY ALL ORDER BY ALL").fetchall()
        return {"runs: " + why: n for why, n in rows if units or why not in UNIT_REASONS}

    def why_fewer(self) -> str:
        """What to add where nothing, or too little, was found: how many of the chosen runs count in no figure."""
        said = [f"{n:,} {why.removeprefix('runs: ')}" for why, n in self.left_out(units=False).items()]
        return f"; runs left out: {', '.join(said)}" if said else ""

    def pick_runs(self, columns: str = "true AS counted") -> None:
        """Makes the table `picked` for litmus_step_counts and its like: run_id and these columns of litmus_step_runs, of the runs that rows_where is about."""
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE picked AS SELECT run_id, {columns} FROM litmus_step_runs_counted WHERE {self._where('run_started_at')}")

    def rows_where(self, step: str | None = None) -> str:
        """A condition on litmus_rows that holds for rows of the counted runs and these steps: without a join, which costs more than reading."""
        return f"{_COUNTED_ROWS} AND {self._where('run_started_at')} AND {self.steps_where(step)}"

    def steps_where(self, step: str | None) -> str:
        """A condition on step_name and step_path."""
        return "true" if step is None else "(step_name GLOB {0} OR step_path GLOB {0})".format(literal(pattern(step)))

    @staticmethod
    def planned(rows: list[dict[str, Any]], step: str = "step") -> list[dict[str, Any]]:
        """Rows a step without those of its sub-steps (which stay where they alone were asked for); takes parent_path out of them."""
        paths = {row[step] for row in rows}
        return [row for row in rows if row.pop("parent_path") not in paths]

    def no_step(self, step: str) -> NothingFound:
        """What to raise when no step of the counted runs fits."""
        names = self.con.execute(f"SELECT DISTINCT step_name FROM litmus_rows WHERE record_type = 'step' AND {self.rows_where()}").fetchall()
        return NothingFound(f"no step {step!r} in these runs{near(step, [name for (name,) in names if name])}")

    def about(self) -> dict[str, Any]:
        """What the runs were chosen by, for a report."""
        return {**self.filters, **self.times, "tz": self.tz}
