# SPDX-License-Identifier: Apache-2.0
"""`litmus import` hands over to this: its own options, then -- and the files."""

from __future__ import annotations

import json
import sys

from litmus.errors import LitmusError
from litmus.exports.__main__ import exit_of, options_of
from litmus.imports import KINDS, import_file


def main(words: list[str]) -> int:
    """Does what the words say; gives an exit code. A file that cannot be read stops none of the others."""
    said, paths = options_of(words)
    code = 0
    for path in paths:
        try:
            for run_id, new in import_file(path, kind=next((kind for kind in KINDS if said.get(kind)), None), data_dir=said.get("data_dir")):
                if said.get("json"):
                    print(json.dumps({"file": path, "run_id": run_id, "new": new}))
                else:
                    print(f"{run_id}  {path}{'' if new else '  on record already'}")
        except LitmusError as error:
            code = max(code, exit_of(error))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
