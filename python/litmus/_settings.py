# SPDX-License-Identifier: Apache-2.0
"""What is set for a session, and where: options, variables, the profile, litmus.yaml, the station's file; the first that says it.

A profile is a named set in litmus.yaml, chosen with --litmus-profile or LITMUS_PROFILE:

    profiles:
      production:
        phase: production            # any fact of the run (`pytest --help`, group litmus), and `custom`
        limits: {test_rail: {rail: {low: 3.2, high: 3.4}}}     # the sections of a side file
      quick:
        extends: production          # what that one says, where this one says nothing
        select: not slow             # like -m, beside one that is given; `keyword` is like -k
        marks: {test_flash: [slow]}  # markers that tests get; by name, Class::name, or with their file
        options: {maxfail: 1}        # options of pytest that the command line leaves as they were
"""

from __future__ import annotations

import os

from litmus.plugin import FIELDS, lazy, load

_nearest, _sidefile, errors = lazy("_nearest"), lazy("_sidefile"), lazy("errors")

PROFILE_KEYS = ("extends", "select", "keyword", "marks", "options", "custom", "description")
STATION_KEYS = ("instruments", "custom", "description")
FILE_KEYS = (
    "attach_output", "calibration", "custom", "data_dir", "durability", "golden_units", "part", "profiles", "record", "retry", "scan", "signing_key", "station",
)  # fmt: skip
TOO_LATE = (
    "capture", "confcutdir", "file_or_dir", "help", "inifilename", "maxprocesses", "noconftest", "numprocesses", "override_ini", "plugins", "rootdir", "version",
)  # fmt: skip
OPTION_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
FACT_KEYS = tuple(dict.fromkeys(key for name, field, _ in FIELDS for key in (field, name)))


class Settings:
    """The settings of a pytest session.

    Parameters: option (pytest's), root (folder of the project), here (current folder).
    Attributes: document (litmus.yaml, None without one), data (what it says), profile (name, None without one), station
    (Document of the station's file, None without one).

    Errors: ConfigError with file, line and column.
    """

    def __init__(self, option, root: str, here: str):
        self.option = option
        self.document = _nearest_file(here) or _nearest_file(root)
        self.data: dict = self.document.data if self.document is not None else {}
        self.profile = self.given("profile")
        self.levels = self._chain(self.profile) if self.profile else []  # names of profiles, the strongest first
        for name in self.levels:
            self._check_profile(name)
        self.station = find_station(root, self.value("station", "station_id"))
        if self.station is not None:
            self.station.check_keys((*FACT_KEYS, *STATION_KEYS))

    @classmethod
    def without_files(cls, option) -> Settings:
        """What the command line and the environment say, for when a file cannot be used."""
        made = cls.__new__(cls)
        made.option, made.document, made.data, made.profile, made.levels, made.station = option, None, {}, None, [], None
        return made

    def slip(self) -> errors.ConfigError | None:
        """A key of litmus.yaml that is none, and nearly one that there is. Others may be somebody else's."""
        known = (*FACT_KEYS, *FILE_KEYS)
        for key in [key for key in self.data if key not in known]:
            close = _nearest.closest(key, known, alike=0.8)
            if close:
                return self.document.error(f"no key `{key}`; did you mean {close[0]}?", key)
        return None

    def given(self, name: str) -> str | None:
        """What the command line says, else the environment; None when neither does."""
        value = getattr(self.option, "litmus_" + name, None)
        return value if value is not None else os.environ.get("LITMUS_" + name.upper()) or None

    def sources(self) -> list:
        """(document, keys that lead into it) of what files say, the strongest first."""
        found = [(self.document, ("profiles", name)) for name in self.levels]
        if self.document is not None:
            found.append((self.document, ()))
        if getattr(self, "station", None) is not None:
            found.append((self.station, ()))
        return found

    def value(self, name: str, field: str) -> str | None:
        """A fact by its option's name or its field, from the first source that has it. Errors: ConfigError when it is no text."""
        value = self.given(name)
        if value is not None:
            return value
        for document, keys in self.sources():
            mapping = document.mapping(*keys)
            for key in (field, name):
                value = mapping.get(key)
                if isinstance(value, (dict, list, bool)):
                    raise document.error(f"`{key}` must be a text, not {value!r}", *keys, key)
                if value is not None:
                    return document.text(*keys, key)
        return None

    def facts(self) -> dict:
        """Every fact of the run that is set, by field. Errors: ConfigError."""
        found = {field: self.value(name, field) for name, field, _ in FIELDS}
        if self.station is not None and not self.given("station_id"):
            stem = os.path.splitext(os.path.basename(self.station.path))[0]
            found["station_id"] = self.station.text("station_id") or stem
        return {field: value for field, value in found.items() if value is not None}

    def custom(self) -> dict:
        """The user's own metadata, a key from the first source that has it: --litmus-custom KEY=VALUE, LITMUS_CUSTOM_KEY, files."""
        found: dict = {}
        for document, keys in reversed(self.sources()):
            found.update(document.mapping(*keys, "custom"))
        prefix = "LITMUS_CUSTOM_"
        found.update({key[len(prefix) :].lower(): value for key, value in os.environ.items() if key.startswith(prefix) and len(key) > len(prefix)})
        for pair in getattr(self.option, "litmus_custom", None) or ():
            key, equals, value = pair.partition("=")
            if not key or not equals:
                raise errors.ConfigError(f"--litmus-custom {pair}: write KEY=VALUE")
            found[key] = value
        return found

    def first(self, key: str):
        """What the strongest profile that has it says; None without one."""
        for name in self.levels:
            value = self.document.mapping("profiles", name).get(key)
            if value is not None:
                return value
        return None

    def side_levels(self) -> list:
        """The profiles in force as _sidefile.SideFiles takes them, the weakest first."""
        return [(self.document, ("profiles", name)) for name in reversed(self.levels)]

    def _chain(self, name: str) -> list:
        """The profile, then what it extends. Errors: ConfigError for one that is not there, or extends itself."""
        document = self.document
        if document is None:
            raise errors.ConfigError(f"profile {name}: there is no litmus.yaml here or above, which would have it")
        profiles = document.mapping("profiles")
        chain, named_at = [], ("profiles",)
        while name is not None:
            if name not in profiles:
                raise document.error(f"no profile `{name}`{_nearest.nearest(name, profiles)}", *named_at)
            if name in chain:
                raise document.error(f"the profile `{name}` extends itself", *named_at)
            chain.append(name)
            named_at = ("profiles", name, "extends")
            name = document.mapping("profiles", name).get("extends")
            if name is not None and not isinstance(name, str):
                raise document.error(f"`extends` is the name of a profile, not {name!r}", *named_at)
        return chain

    def _check_profile(self, name: str) -> None:
        document, keys = self.document, ("profiles", name)
        document.check_keys((*FACT_KEYS, *PROFILE_KEYS, *_sidefile.SECTIONS), *keys)
        for key in ("select", "keyword"):
            value = document.mapping(*keys).get(key)
            if value is not None and not isinstance(value, str):
                raise document.error(f"`{key}` is an expression such as `not slow`, not {value!r}", *keys, key)
        for key in _sidefile.SECTIONS:
            document.mapping(*keys, key)
        for option, value in document.mapping(*keys, "options").items():
            words = self._wrong_option(option, value)
            if words is not None:
                raise document.error(words, *keys, "options", option)
        for test, marks in document.mapping(*keys, "marks").items():
            names = [marks] if isinstance(marks, str) else marks
            if not isinstance(names, list) or not all(isinstance(mark, str) and mark.isidentifier() for mark in names):
                raise document.error(f"the marks of `{test}` are names of markers, not {marks!r}", *keys, "marks", test)

    def _wrong_option(self, name: str, value) -> str | None:
        """What is wrong with an option of a profile; None: nothing."""
        dest = name.replace("-", "_")
        if not hasattr(self.option, dest):
            return f"pytest has no option `{name}`{_nearest.nearest(name, [known for known in vars(self.option) if not known.startswith('_')])}"
        if dest in TOO_LATE:
            return f"pytest reads `{name}` before there is a profile: give it on the command line, or in `addopts`"
        kind = type(getattr(self.option, dest))  # of its default
        if kind in OPTION_KINDS and type(value) is not kind and not (kind is float and type(value) is int):
            return f"the option `{name}` is {OPTION_KINDS[kind]}, not {value!r:.100}"
        return None


def of_config(config) -> Settings:
    """The settings of a pytest session, read at the first call. Errors: ConfigError."""
    found = getattr(config, "_litmus_settings", None)
    if found is None:
        found = config._litmus_settings = Settings(config.option, str(config.rootpath), os.getcwd())
    return found


def default_retry(config):
    """The policy that litmus.yaml has for every test (_retry.Policy); None without one, and when the settings cannot be read: who
    starts the run tells of that, the tests go on. Errors: ConfigError for a slip in it."""
    try:
        settings = of_config(config)
    except errors.LitmusError:
        return None
    value = settings.data.get("retry")
    if value is None:
        return None
    return load("_retry").of_yaml(value, lambda words, *keys: settings.document.error(words, "retry", *keys))


def apply_profile(config, settings: Settings) -> None:
    """What the profile says of collection and of pytest's options; under xdist the controller's word reaches the workers."""
    if hasattr(config, "workerinput"):
        return
    option = config.option
    for key, dest in (("select", "markexpr"), ("keyword", "keyword")):
        wanted, given = settings.first(key), getattr(option, dest, "")
        if wanted:
            setattr(option, dest, f"({given}) and ({wanted})" if given else wanted)
    settled = set()
    for name in settings.levels:  # the strongest first
        for key, value in settings.document.mapping("profiles", name, "options").items():
            dest = key.replace("-", "_")
            if dest not in settled and not _is_given(config, dest):
                setattr(option, dest, value)
            settled.add(dest)


class _Unset(int):
    """Stands for an option that nobody gave, also where an action counts."""


def _is_given(config, dest: str) -> bool:
    """Whether the command line sets that attribute of config.option: of -x it is maxfail."""
    import argparse

    unset = _Unset()
    seen = argparse.Namespace(**{**vars(config.option), dest: unset})
    try:
        config._parser.parse_known_args([str(word) for word in config.invocation_params.args], namespace=seen)
    except (AttributeError, TypeError):  # an action that adds to a list was there
        return True
    return getattr(seen, dest) is not unset


def add_marks(settings: Settings, items) -> None:
    """Gives the tests that the profile names their markers. Errors: ConfigError for a test that nobody collected."""
    for document, keys in settings.side_levels():
        for test, marks in document.mapping(*keys, "marks").items():
            fitting = [item for item in items if _is(item, test)]
            if not fitting:
                raise document.error(f"no test `{test}` was collected{_nearest.nearest(test, [_name(item) for item in items])}", *keys, "marks", test)
            for item in fitting:
                for mark in [marks] if isinstance(marks, str) else marks:
                    item.add_marker(mark)


def _name(item) -> str:
    return _sidefile.test_id(item).rsplit("::", 1)[-1]


def _is(item, test: str) -> bool:
    node_id = _sidefile.test_id(item)
    inner = node_id.split("::", 1)[-1]
    return test in (node_id, inner, inner.rsplit("::", 1)[-1], f"{os.path.basename(str(item.path))}::{inner}")


def _nearest_file(folder: str) -> _sidefile.Document | None:
    """The nearest litmus.yaml from a folder upwards, as the core looks for it."""
    while True:
        path = os.path.join(folder, "litmus.yaml")
        if os.path.lexists(path):
            return _sidefile.Document(path)
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def find_station(root: str, wanted: str | None) -> _sidefile.Document | None:
    """The file of the station: the one in stations/ whose name or station_id is `wanted`, without a wish the only one; else None.

    Errors: ConfigError for a file that cannot be read, a wish that none of them is, or several and no wish.
    """
    folder = os.path.join(root, "stations")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))
    except OSError:
        return None
    documents = {name.rsplit(".", 1)[0]: _sidefile.Document(os.path.join(folder, name)) for name in names}
    if wanted is not None:
        for stem, document in documents.items():
            if wanted in (stem, document.text("station_id")):
                return document
        if not documents:
            return None
        known = [document.text("station_id") or stem for stem, document in documents.items()]
        raise errors.ConfigError(f"{folder} has no station `{wanted}`{_nearest.nearest(wanted, known)}")
    if len(documents) > 1:
        raise errors.ConfigError(f"{folder} has {len(documents)} stations: say which with --litmus-station ({', '.join(documents)})")
    return next(iter(documents.values()), None)
