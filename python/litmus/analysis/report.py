# SPDX-License-Identifier: Apache-2.0
"""What an analysis answers: tables of typed columns, the rule of each figure, and what is left out of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterator

__all__ = ["Column", "Report", "Table"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: key of the value in a row.
        head: heading on a screen; None: the column is in JSON and CSV only.
        kind: "text", "count", "share" (0 to 1), "number", "index" (three decimals) or "time" (a datetime, UTC).
        of: names of the columns with numerator and denominator of a share, shown beside it.
    """

    name: str
    head: str | None
    kind: str = "text"
    of: tuple[str, str] | None = None


@dataclass
class Table:
    """Rows of equal shape. `more` is how many rows a limit left off, `more_by` the option that shows them."""

    name: str
    columns: list[Column]
    rows: list[dict[str, Any]]
    title: str = ""
    more: int = 0
    more_by: str = "--limit 0"


@dataclass
class Report:
    """The answer of an analysis.

    Attributes:
        analysis: its name, as on the command line.
        tables: the first is the answer, the others stand beside it.
        rules: a sentence for each figure: how it is made.
        left_out: how many of what are in no figure, for each reason; those of 0 are not there.
        notes: what a reader should know of these very figures.
        filters: what the runs were chosen by.
        plot: what `litmus.analysis.plots` draws, or None.
    """

    analysis: str
    tables: list[Table]
    rules: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    filters: dict[str, Any] = field(default_factory=dict)
    plot: Any = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the first table."""
        return self.tables[0].rows

    def table(self, name: str) -> Table:
        """The table of that name. Raises KeyError."""
        for one in self.tables:
            if one.name == name:
                return one
        raise KeyError(name)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)
