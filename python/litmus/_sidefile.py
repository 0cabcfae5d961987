# SPDX-License-Identifier: Apache-2.0
"""What YAML files say about tests: the side file of a module (`test_x.yaml` beside `test_x.py`) and a profile of litmus.yaml.

    limits:                            # in a side file, keyed by test
      test_rail: {rail: {low: 3.2, high: 3.4, units: V}}
    vectors:
      TestSweep::test_load: {load: [0.1, 0.5, 1.0]}
    retry:
      test_rail: {times: 2, on: [failed], delay: 0.5}

A profile has the same sections; its tests may also be named with their file (`tests/test_x.py::test_rail`).
Every file is read once a session; an error names file, line, column and, for a name, the nearest that there is.
"""

from __future__ import annotations

import os

from litmus.errors import ConfigError

SECTIONS = ("limits", "vectors", "retry")  # what nobody reads is refused


class Document:
    """A YAML file that was read: `path`, `data` (a dict)."""

    def __init__(self, path: str):
        """Reads it. Errors: ConfigError (what YAML cannot say, with line), StorageError."""
        from litmus._litmus import yaml_file

        self.path = path
        self.data = yaml_file(path)

    def error(self, words: str, *keys: object) -> ConfigError:
        """The error about what `keys` lead to: file, line and column, then the words."""
        from litmus._litmus import yaml_locate

        try:
            line, column = yaml_locate(self.path, tuple([str(key).encode() for key in keys]))
        except Exception:  # it changed since it was read
            return ConfigError(f"{self.path}: {words}")
        return ConfigError(f"{self.path}, line {line}, column {column}: {words}")

    def text(self, *keys: object) -> str | None:
        """The text that `keys` lead to; of a number its digits as they are written, since 0042 is a serial and 1.10 a revision. None: not there.

        Errors: ConfigError for a list or a mapping.
        """
        value = self.mapping(*keys[:-1]).get(keys[-1])
        if isinstance(value, (list, dict)):
            raise self.error(f"`{keys[-1]}` is a text, not {value!r:.100}", *keys)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None if value is None else str(value)
        import re

        from litmus._litmus import yaml_locate

        try:
            line, column = yaml_locate(self.path, tuple([str(key).encode() for key in keys]))
            with open(self.path, encoding="utf-8-sig") as file:
                there = file.read().split("\n")[line - 1][column - 1 :]
            written = re.match(r"[^:]*:\s+([-+.\w]+)", there)[1]
            if type(value)(written) == value:
                return written
        except Exception:  # behind an alias, on a line of its own, changed since: what YAML made of it
            pass
        return str(value)

    def mapping(self, *keys: object) -> dict:
        """The mapping that `keys` lead to, {} when it is not there. Errors: ConfigError when it is something else."""
        value = self.data
        for n, key in enumerate(keys):
            value = value.get(key)
            if value is None:
                return {}
            if not isinstance(value, dict):
                raise self.error(f"`{key}` must be a mapping, not {value!r}", *keys[: n + 1])
        return value

    def check_keys(self, allowed, *keys: object) -> None:
        """Errors: ConfigError for the first key of the mapping at `keys` that is not one of `allowed`."""
        for key in self.mapping(*keys):
            if key not in allowed:
                from litmus._nearest import nearest

                raise self.error(f"no key `{key}`{nearest(key, allowed)}", *keys, key)


def test_id(item) -> str:
    """The node id of a test without its parameters; a folder may have brackets, too, and pytest-xdist appends groups."""
    name = getattr(item, "originalname", None) or item.name.split("[", 1)[0]
    return f"{item.parent.nodeid}::{name}"


def marks(item, name: str) -> list:
    """The markers of that name on a test, the nearest first: a parameter's own (pytest.param(..., marks=...)) before the function's."""
    of_parameter = list(map(id, getattr(getattr(item, "callspec", None), "marks", None) or ()))
    return sorted(item.iter_markers(name), key=lambda mark: id(mark) not in of_parameter)


class Section:
    """What one file says of one test under one heading: `value`, and `error(words, *deeper keys)` to complain about it."""

    def __init__(self, document: Document, keys: tuple, value):
        self.document, self.keys, self.value = document, keys, value

    def error(self, words: str, *keys: object) -> ConfigError:
        """The error about what `keys` lead to inside of the section."""
        return self.document.error(words, *self.keys, *keys)


class SideFiles:
    """The side files of a session, and the profiles that are in force.

    Parameter: profiles ((Document, keys of the profile in it), the weakest first).
    """

    def __init__(self, profiles=()):
        self.profiles = profiles
        self.wrong: dict = {}  # test file -> the error that was told of it
        self._documents: dict = {}

    def of(self, test_file: str) -> Document | None:
        """The side file of a test module; None without one, and for a test that is no module. Errors: ConfigError, again at each call."""
        if not test_file.endswith(".py"):
            return None
        found = self._documents.get(test_file)
        if found is None:
            found = self._documents[test_file] = self._read(os.path.splitext(test_file)[0] + ".yaml")
        if isinstance(found, Exception):
            raise found
        return found or None

    @staticmethod
    def _read(path: str):
        if not os.path.lexists(path):
            return False
        try:
            document = Document(path)
            document.check_keys(SECTIONS)
            return document
        except Exception as exc:
            return exc

    def sections(self, section: str, test_file: str, node_id: str) -> list:
        """What is said of a test: of the side file, then of the profiles, which are stronger.

        Parameters: section (one of SECTIONS), test_file (path of its module), node_id (without parameters).

        Returns: a list of Section, weakest first. Errors: ConfigError.
        """
        names = _names(node_id, os.path.basename(test_file))
        found = []
        document = self.of(test_file)
        if document is not None:
            found += _pick(document, (section,), names[:2])
        for document, keys in self.profiles:
            found += _pick(document, (*keys, section), names)
        return found

    def refuse(self, config, item, exc: Exception) -> None:
        """What is said of a test cannot be: an error of collection, told once a file; its tests stay in the plan."""
        from _pytest.reports import CollectReport

        if self.wrong.setdefault(str(item.path), exc) is exc:
            report = CollectReport(item.nodeid.split("::", 1)[0], "failed", f"litmus: {exc}", [])
            config.hook.pytest_collectreport(report=report)

    def refuse_names(self, config, items) -> None:
        """A test that a profile has something to say of, and that was not collected though all were to be: an error of collection."""
        if not self.profiles or not _collected_all(config):
            return
        known: set = set()
        for node_id, file in {(test_id(item), os.path.basename(str(item.path))) for item in items}:
            known.update(_names(node_id, file))
        from _pytest.reports import CollectReport

        from litmus._nearest import nearest

        for document, keys in self.profiles:
            for section in SECTIONS:
                for test in document.mapping(*keys, section):
                    if test not in known:
                        exc = document.error(f"no test `{test}` was collected{nearest(test, sorted(known))}", *keys, section, test)
                        config.hook.pytest_collectreport(report=CollectReport(os.path.basename(document.path), "failed", f"litmus: {exc}", []))

    def check_names(self, test_file: str, known) -> None:
        """Errors: ConfigError for a test that the side file names and the module has not.

        Parameters: test_file, known (a function: is this the name of a test of the module; and the names there are).
        """
        document = self.of(test_file)
        for section in SECTIONS if document is not None else ():
            for name in document.mapping(section):
                is_test, names = known(name)
                if not is_test:
                    from litmus._nearest import nearest

                    raise document.error(f"{os.path.basename(test_file)} has no test `{name}`{nearest(name, names)}", section, name)


def _names(node_id: str, file: str) -> tuple:
    """What a test may be called, the shortest first; a side file has the first two."""
    name = node_id.split("::", 1)[-1]
    return name.rsplit("::", 1)[-1], name, f"{file}::{name}", node_id


def _collected_all(config) -> bool:
    """Whether pytest was to collect all tests of the project, and could. (The workers of pytest-xdist do not know.)"""
    source, option = getattr(getattr(config, "args_source", None), "name", "ARGS"), config.option
    session = config.pluginmanager.get_plugin("session")
    whole = source == "TESTPATHS" or (source != "ARGS" and config.invocation_params.dir == config.rootpath)
    return whole and not (session is None or session.testsfailed or getattr(option, "lf", False) or option.ignore or option.ignore_glob)


def _pick(document: Document, keys: tuple, names: tuple) -> list:
    section = document.mapping(*keys)
    return [Section(document, (*keys, name), section[name]) for name in dict.fromkeys(names) if name in section]


def of_config(config) -> SideFiles:
    """The side files of a pytest session; made at the first call."""
    found = getattr(config, "_litmus_sidefiles", None)
    if found is None:
        settings = getattr(config, "_litmus_settings", None)
        found = config._litmus_sidefiles = SideFiles(settings.side_levels() if settings is not None else ())
    return found
