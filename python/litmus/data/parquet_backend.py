# SPDX-License-Identifier: Apache-2.0
"""The run files: where they are, and what is in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from litmus import _litmus
from litmus.data._common import Store, ref_dir_for
from litmus.errors import RunNotFound

__all__ = ["ParquetBackend"]


class ParquetBackend(Store):
    """The Parquet files of the finished runs of one data directory: `runs/{date}/{time}[_{serial}].parquet`.

    Args:
        data_dir: the data directory; None: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG.
    """

    def __init__(self, data_dir: str | os.PathLike | None = None):
        self._query = _litmus.Query(data_dir)

    @property
    def data_dir(self) -> str:
        """The data directory in force, an absolute path."""
        return self._query.data_dir

    @property
    def runs_dir(self) -> Path:
        """The folder of the run files. It need not be there."""
        return Path(self.data_dir, "runs")

    @property
    def pattern(self) -> str:
        """A glob of all run files, for DuckDB, pyarrow and Polars."""
        return os.path.join(str(self.runs_dir), "**", "*.parquet")

    def files(self) -> list[Path]:
        """The files of the finished runs that can be read, by path."""
        return sorted(Path(path) for path in self._query.runs(finished_only=True).column("file_path"))

    def damaged(self) -> list[tuple[Path, str]]:
        """Files that are left out of every listing, each with the reason."""
        return [(Path(path), reason) for path, reason in self._query.damaged()]

    def path_for(self, run: str) -> Path | None:
        """The file of a run (id, prefix, "last", "@2"); None when it has none (yet).

        Raises:
            AmbiguousRunId, InvalidArgument: as `RunStore.get_run`.
        """
        try:
            path = self._query.find(run)["path"]
        except RunNotFound:
            return None
        return Path(path) if path else None

    def read(self, run: str | os.PathLike) -> _litmus.Table:
        """Every row and column of a run as a Table; Arrow takes it without copying.

        Args:
            run: the path of a file (a path object, or text with a slash or ending in .parquet), or
                a run as in `path_for`; one in flight is folded from its log.

        Raises:
            StorageError: the file is not there.
            DataUnavailable: the file is damaged.
            RunNotFound, AmbiguousRunId, InvalidArgument: as `RunStore.get_steps`.
        """
        if not isinstance(run, str) or os.sep in run or run.endswith(".parquet"):
            return _litmus.read_parquet(run)
        return self._query.rows(run)

    def ref_dir_for(self, file_path: str | os.PathLike) -> Path:
        """The folder of the blobs of a run file: `{stem}_ref` beside it. It need not be there."""
        return ref_dir_for(file_path)

    def resolve_ref(self, file_path: str | os.PathLike, value: Any) -> Any:
        """The blob that a value of a run file refers to.

        Args:
            file_path: the run file.
            value: a cell; `file://_ref/{name}` or `_ref/{name}` is a reference.

        Returns:
            Path of the blob when it is there, else `value` as it is.
        """
        if not isinstance(value, str):
            return value
        name = value[len("file://") :] if value.startswith("file://") else value
        if not name.startswith("_ref/"):
            return value
        name = name[len("_ref/") :]
        if not name or os.path.basename(name) != name or name in (".", ".."):
            return value
        path = ref_dir_for(file_path) / name
        return path if path.is_file() else value

    def close(self) -> None:
        """Gives everything back; a second call does nothing. Tables handed out stay valid."""
        self._query.close()
