# SPDX-License-Identifier: Apache-2.0
"""Runs in the formats of others.

    from litmus.exports import export

    export("last", "junit.xml")
    export(["3f2a", "9e1a"], "week.csv", format="csv")

FORMATS is the one table of them. A format is a module `as_*.py` beside this file with a function
`write(runs, out)`: `runs` gives one `reading.Run` after the other, each read when its turn comes; `out`
is a stream for bytes, or the path of a file (Format.path). docs/exports.md says what each keeps and loses.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterable
from typing import Any, NamedTuple

from litmus._nearest import closest
from litmus.errors import InvalidArgument, LitmusError, StorageError

__all__ = ["FORMATS", "Format", "MissingLibrary", "OutputExists", "export", "format_of"]


class MissingLibrary(LitmusError, ImportError):
    """The library that a format is written with is not installed; the text says how to get it."""

    code = "EINVAL"


class OutputExists(LitmusError, FileExistsError):
    """There is a file of that name already."""

    code = "EINVAL"


class Format(NamedTuple):
    """One way to write runs.

    Attributes:
        name: what --format takes.
        module: file beside this one.
        extension: of its files; also how the format is found from the name of the output.
        libraries: modules that it needs.
        extra: the optional extra of the package that brings them; "": none needed.
        path: it wants the path of a file, not a stream, so it cannot go to standard output.
        says: one line for --list.
    """

    name: str
    module: str
    extension: str
    libraries: tuple
    extra: str
    path: bool
    says: str


_TABLE = (
    Format("csv", "as_csv", ".csv", (), "", False, "every row and column, for spreadsheets and pandas"),
    Format("json", "as_json", ".json", (), "", False, "one document: runs, their steps, attempts and measurements"),
    Format("ndjson", "as_ndjson", ".ndjson", (), "", False, "every row as a JSON object on a line"),
    Format("junit", "as_junit", ".xml", (), "", False, "JUnit XML, for CI servers"),
    Format("ctrf", "as_ctrf", ".ctrf.json", (), "", False, "Common Test Report Format"),
    Format("tap", "as_tap", ".tap", (), "", False, "Test Anything Protocol 14"),
    Format("html", "as_html", ".html", (), "", False, "a report in a single file, for people"),
    Format("reportlog", "as_reportlog", ".jsonl", (), "", False, "the lines of pytest-reportlog"),
    Format("parquet", "as_parquet", ".parquet", (), "", False, "every row and column; one finished run: its file as it is"),
    Format("arrow", "as_arrow", ".arrow", ("pyarrow",), "arrow", False, "every row and column, Arrow IPC file"),
    Format("xlsx", "as_xlsx", ".xlsx", ("xlsxwriter",), "xlsx", True, "Excel: sheets for runs, steps, attempts and measurements"),
    Format("atml", "as_atml", ".atml.xml", (), "", False, "ATML Test Results (IEEE 1636.1-2013)"),
    Format("stdf", "as_stdf", ".stdf", (), "", False, "Standard Test Data Format V4: a part a run"),
    Format("hdf5", "as_hdf5", ".h5", ("h5py",), "hdf5", True, "HDF5: a group a run, with tables"),
    Format("tdms", "as_tdms", ".tdms", ("numpy", "nptdms"), "tdms", True, "TDMS, for LabVIEW and DIAdem"),
    Format("mdf4", "as_mdf4", ".mf4", ("numpy", "asammdf"), "mdf4", True, "ASAM MDF 4, for CANape, MATLAB and asammdf"),
    Format("pdf", "as_pdf", ".pdf", ("fpdf",), "pdf", True, "a report to print"),
)
FORMATS = {entry.name: entry for entry in _TABLE}


def format_of(name: str | None, output: str | None) -> Format:
    """The format named, or else the one that the output's extension stands for.

    Raises:
        InvalidArgument: there is none; the text has those that there are.
    """
    if name:
        if name.lower() in FORMATS:
            return FORMATS[name.lower()]
        near = closest(name.lower(), FORMATS)
        raise InvalidArgument(f"no format {name!r}{f' (did you mean {near[0]}?)' if near else ''}: {', '.join(FORMATS)}")
    if not output or output == "-":
        raise InvalidArgument(f"no format was named: --format takes {', '.join(FORMATS)}")
    found = [entry for entry in _TABLE if output.lower().endswith(entry.extension)]
    if not found:
        raise InvalidArgument(f"{output}: its name does not say which format it is to have: --format takes {', '.join(FORMATS)}")
    return max(found, key=lambda entry: len(entry.extension))


def _load(entry: Format):
    """The module of a format, after its libraries were found."""
    for library in entry.libraries:
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise MissingLibrary(f"the format {entry.name} needs {library}, which cannot be loaded ({error}): pip install 'litmus-recorder[{entry.extra}]'") from None
    return importlib.import_module("litmus.exports." + entry.module)


def export(run: Any, output: str | os.PathLike, *, format: str | None = None, data_dir: str | os.PathLike | None = None, force: bool = False) -> None:
    """Writes runs to a file, whole or not at all.

    Args:
        run: a run as RunStore takes it, or a list of them.
        output: the file.
        format: a name in FORMATS; None: what the extension of `output` stands for.
        data_dir: the data directory, as RunStore takes it.
        force: replace a file that is there.

    Raises:
        InvalidArgument: no such format.
        MissingLibrary: its library is not installed.
        OutputExists: the file is there, and force was not said.
        RunNotFound, AmbiguousRunId, DataUnavailable: as RunStore.
        StorageError: the file cannot be written.
    """
    from litmus.data.run_store import RunStore
    from litmus.exports import reading

    output = os.fspath(output)
    entry = format_of(format, output)
    with RunStore(data_dir) as store:
        wanted = [run] if isinstance(run, str) else list(run)
        write(entry, reading.Runs(store, wanted), output, force)


def write(entry: Format, runs: Iterable, output: str, force: bool) -> None:
    """Writes runs by one format to a file, or to standard output ("-")."""
    module = _load(entry)
    if output == "-":
        if entry.path:
            raise InvalidArgument(f"{entry.name} cannot be written to standard output: name a file with -o")
        module.write(runs, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    if not force and os.path.lexists(output):
        raise OutputExists(f"{output} is there already: take another name, or --force to replace it")
    try:
        _write_whole(module, entry, runs, output, force)
    except FileExistsError:
        raise OutputExists(f"{output} is there already: take another name, or --force to replace it") from None
    except OSError as error:
        if isinstance(error, LitmusError):
            raise
        raise StorageError(f"cannot write {output}: {error.strerror or error}", errno=error.errno) from error


def _write_whole(module, entry: Format, runs: Iterable, output: str, force: bool) -> None:
    folder, name = os.path.split(os.path.abspath(output))
    ours, ending = f".{name[:60]}.{_process_table()}-", ".tmp" + entry.extension
    _clear(folder, ours, ending)
    fd, hidden = tempfile.mkstemp(prefix=f"{ours}{os.getpid()}-", suffix=ending, dir=folder)
    try:
        with os.fdopen(fd, "w+b") as stream:
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
            if not entry.path:
                module.write(runs, stream)
                stream.flush()
                os.fsync(stream.fileno())
        if entry.path:
            module.write(runs, hidden)
            with open(hidden, "rb") as stream:
                os.fsync(stream.fileno())
        _put_in_place(hidden, os.path.join(folder, name), force)
    finally:
        if os.path.lexists(hidden):
            os.unlink(hidden)


def _process_table() -> str:
    """Where a process id means what it means here: this start of this machine, this container."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read()
        return hashlib.sha256(boot + str(os.stat("/proc/self/ns/pid").st_ino).encode()).hexdigest()[:12]
    except OSError:
        return os.urandom(6).hex()


def _clear(folder: str, ours: str, ending: str) -> None:
    """What an export to the same name was writing when it was killed."""
    with contextlib.suppress(OSError):
        for found in os.listdir(folder):
            pid = found[len(ours) :].partition("-")[0]
            if found.startswith(ours) and found.endswith(ending) and pid.isdecimal() and _is_gone(int(pid)):
                os.unlink(os.path.join(folder, found))


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return pid > 0
    except (OSError, OverflowError):
        pass
    return False


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _put_in_place(hidden: str, path: str, force: bool) -> None:
    """Gives the file its name; a link, unlike a renaming, never replaces what came there meanwhile."""
    if not force:
        try:
            os.link(hidden, path)
            return
        except FileExistsError:
            raise
        except OSError:  # no hard links on this file system
            if os.path.lexists(path):
                raise FileExistsError(path) from None
    os.replace(hidden, path)
