# SPDX-License-Identifier: Apache-2.0
"""Parquet: one finished run is its own file, byte for byte; several, or a run in flight, are written by pyarrow."""

from __future__ import annotations

import shutil

from litmus.exports import as_arrow


def write(runs, out) -> None:
    if len(runs) == 1:
        path = runs.store.find_run_file(runs.names[0])
        if path is not None:
            with open(path, "rb") as file:
                shutil.copyfileobj(file, out)
            return
    pa = as_arrow.pyarrow("parquet")
    import pyarrow.parquet as pq

    schema = as_arrow.schema_of(runs, pa)
    with pq.ParquetWriter(out, schema, compression="zstd") as file:
        for found, table in runs.tables():
            file.write_table(as_arrow.table_of(found["live"], table, schema, pa))
