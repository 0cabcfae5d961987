# SPDX-License-Identifier: Apache-2.0
"""Arrow IPC file: every row and column of the run files; a column that a run has not is NULL there.

With a run in flight among them there is one column more, `live`, that says which rows are of such.
"""

from __future__ import annotations


def pyarrow(name: str):
    """The module; MissingLibrary when it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        from litmus.exports import MissingLibrary

        raise MissingLibrary(f"{name} of several runs, or of a run in flight, needs pyarrow, which cannot be loaded ({error}): pip install 'litmus-recorder[arrow]'") from None
    return pyarrow


def schema_of(runs, pa):
    """Every column of any of the runs; one that has two types becomes text."""
    fields: dict = {}
    in_flight = False
    for found, table in runs.tables():
        in_flight = in_flight or found["live"]
        for field in pa.schema(table):
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                fields[field.name] = pa.field(field.name, pa.string())
    return pa.schema([pa.field(field.name, field.type) for field in fields.values()] + [pa.field("live", pa.bool_())] * in_flight)


def table_of(live, table, schema, pa):
    """The rows of one run in this schema."""
    found = pa.table(table)
    columns = []
    for field in schema:
        if field.name == "live":
            columns.append(pa.array([live] * len(found), pa.bool_()))
            continue
        if field.name not in found.column_names:
            columns.append(pa.nulls(len(found), field.type))
            continue
        column = found[field.name]
        columns.append(column if column.type == field.type else pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string()))
    return pa.table(columns, schema=schema)


def write(runs, out) -> None:
    pa = pyarrow("arrow")
    schema = schema_of(runs, pa)
    with pa.ipc.new_file(out, schema) as file:
        for found, table in runs.tables():
            file.write_table(table_of(found["live"], table, schema, pa))
