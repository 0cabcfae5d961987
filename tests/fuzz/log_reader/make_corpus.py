# SPDX-License-Identifier: Apache-2.0
"""Makes corpus/: one of our logs, whole and spoiled, and the same rows as another writer puts them.

Usage: make_corpus.py build/dev/unit_log_writer. Only to be run again when the format gets a version.
"""

import pathlib
import subprocess
import sys
import tempfile

import pyarrow as pa

corpus = pathlib.Path(__file__).parent / "corpus"


def write(name, table, **options):
    """Four rows a batch, so that none is as our writer would have it."""
    with pa.ipc.new_file(corpus / name, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_table(table, max_chunksize=4)


def main():
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run([sys.argv[1], "write", folder, "6", "seal"], check=True, text=True, capture_output=True)
        log = pathlib.Path(made.stdout.strip()).read_bytes()
    table = pa.ipc.open_file(pa.BufferReader(log)).read_all().combine_chunks()
    write("pyarrow_plain.arrow", table)
    write("pyarrow_zstd.arrow", table, compression="zstd")
    extra = table.append_column("extra", pa.array(range(table.num_rows), pa.int32()))
    extra = extra.append_column("nested", pa.array([[{"a": i}] for i in range(table.num_rows)]))
    write("pyarrow_extra_columns.arrow", extra)
    write("pyarrow_no_chain.arrow", table.drop_columns(["chain"]))
    (corpus / "sealed.arrow").write_bytes(log)
    (corpus / "torn.arrow").write_bytes(log[:3000])
    (corpus / "zeros.arrow").write_bytes(log[:1500] + bytes(800) + log[2300:])


main()
