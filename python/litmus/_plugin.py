# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: options, and the choice of what to do in this process.

litmus.plugin, the entry point, loads it in every pytest process that has litmus installed, and is this module from then on. What records
is in _recorder.py and _xdist.py, and loaded when there is something to record.
"""

from __future__ import annotations

import fcntl
import os
import sys

import pytest

from litmus.plugin import load

# option --litmus-NAME (variable LITMUS_NAME, key NAME or the field of a profile, litmus.yaml, stations/*.yaml) -> field of
# run.started, what it is. The first of these places that says it is believed (_settings).
FIELDS = (
    ("dut_serial", "dut_serial", "serial number of the device under test"),
    ("dut_part_number", "dut_part_number", "part number of the device under test"),
    ("dut_revision", "dut_revision", "revision of the device under test"),
    ("lot", "dut_lot_number", "lot of the device under test"),
    ("operator", "operator_id", "who runs the tests"),
    ("operator_name", "operator_name", "name of who runs the tests"),
    ("station", "station_id", "where the tests run"),
    ("station_name", "station_name", "name of the station"),
    ("station_type", "station_type", "what kind of station it is"),
    ("station_location", "station_location", "where the station stands"),
    ("station_hostname", "station_hostname", "host of the station (default: this one)"),
    ("fixture", "fixture_id", "test fixture that holds the device"),
    ("product_id", "product_id", "product specification in force"),
    ("product_name", "product_name", "name of the product"),
    ("product_revision", "product_revision", "revision of the product specification"),
    ("phase", "test_phase", "development, validation, production, ..."),
    ("project", "project_name", "project (default: name of the root directory)"),
)

NOTHING_RUNS = ("cacheshow", "collectonly", "markers", "setuponly", "setupplan", "showfixtures", "show_fixtures_per_test")  # options of pytest
NESTED = "LITMUS_RECORDING"  # set while we record: a pytest that a test starts inherits it
NOT_RECORDED = 74  # exit code of pytest when recording is required and something is not on record (EX_IOERR; none of pytest's own)


def pytest_addoption(parser) -> None:
    """Adds the options; each has an environment variable LITMUS_* of the same name."""
    group = parser.getgroup("litmus", "recording of test runs (litmus)")
    group.addoption("--litmus-data-dir", metavar="DIR", help="where runs are recorded (LITMUS_DATA_DIR, litmus.yaml)")
    group.addoption("--litmus-off", action="store_true", help="do not record (LITMUS_OFF)")
    group.addoption("--litmus-on", action="store_true", help="record even in a pytest that a test started (LITMUS_ON)")
    group.addoption(
        "--litmus-required", action="store_true", help="it is an error when the run cannot be recorded (LITMUS_REQUIRED)"
    )
    group.addoption("--litmus-no-daemon", action="store_true", help="do without the runs daemon (LITMUS_NO_DAEMON)")
    group.addoption(
        "--litmus-durability",
        metavar="HOW",
        help="what a power loss may take: each (nothing), 'group N ms', os (the last second) (LITMUS_DURABILITY, litmus.yaml)",
    )
    group.addoption("--litmus-profile", metavar="NAME", help="a set of `profiles` in litmus.yaml: limits, markers, phase (LITMUS_PROFILE)")
    group.addoption("--litmus-custom", metavar="KEY=VALUE", action="append", help="metadata of your own, column custom_KEY (LITMUS_CUSTOM_KEY)")
    for name, _, help_text in FIELDS:
        group.addoption(f"--litmus-{name.replace('_', '-')}", metavar="TEXT", help=f"{help_text} (LITMUS_{name.upper()})")


def pytest_addhooks(pluginmanager) -> None:
    """The hooks that a conftest.py may have: litmus.hooks."""
    pluginmanager.add_hookspecs(load("hooks"))


def pytest_load_initial_conftests(early_config) -> None:
    """From here on a suite may fail before its session starts: a conftest.py that cannot be imported leaves a run, too.

    A wrapper around the hook would show in the traceback; when pytest lets go of its configuration, the exception is still being handled.
    """
    _make_room()
    around = sys.exc_info()[1]  # of a caller of pytest.main
    early_config.add_cleanup(lambda: _left_early(early_config, around))


def _make_room() -> None:
    """Has the kernel make the table of descriptors as large as the log's needs it (base/io.c), which stands above the test's own.

    In a process with threads that takes 5 to 20 ms, and plugins start theirs (pytest-rerunfailures) before the log is opened.
    """
    try:
        os.close(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 600))
    except OSError:  # the limit is lower than that, or standard error is closed
        pass


def _left_early(config, around: BaseException | None) -> None:
    exc = sys.exc_info()[1]
    if exc is None or exc is around or getattr(config, "_litmus_chosen", False) or "PYTEST_XDIST_WORKER" in os.environ:
        return
    try:
        _record_early(config, exc)
    except Exception as failure:
        sys.stderr.write(f"litmus: not recorded: {type(failure).__name__}: {failure}\n")


def _record_early(config, exc: BaseException) -> None:
    from _pytest.config import ConftestImportFailure

    in_conftest = isinstance(exc, ConftestImportFailure) and exc.__cause__ is not None
    cause = exc.__cause__ if in_conftest else exc
    named_plugin = isinstance(exc, pytest.UsageError) and isinstance(exc.__cause__, ImportError)
    if isinstance(cause, (KeyboardInterrupt, SystemExit, pytest.exit.Exception, pytest.UsageError)) and not named_plugin:
        return  # nothing was to run
    vars(config.option).update(vars(config.known_args_namespace))
    _choose(config)
    recorder = config.pluginmanager.get_plugin("litmus-recorder")
    if recorder is not None:
        recorder.left_early(cause, exc.path if in_conftest else None)


def pytest_configure(config) -> None:
    """What stands around the tests: the profile, the part that is tested, the instruments of the station."""
    config.addinivalue_line("markers", "limits(name=limit, ...): what the measurements of a test are judged against (litmus)")
    config.addinivalue_line("markers", "vectors(name=values, ...): the sweep that a test goes through with the fixture `vectors` (litmus)")
    config.addinivalue_line("markers", "retry(times=1, on=[...], delay=0): further attempts for a test that failed (litmus)")
    root = str(config.rootpath)
    profile = getattr(config.option, "litmus_profile", None) or os.environ.get("LITMUS_PROFILE")
    parts, stations = (os.path.isdir(os.path.join(root, name)) for name in ("parts", "stations"))
    if config.option.help or not (profile or parts or stations or config.option.litmus_custom):
        return
    from litmus.errors import LitmusError

    try:
        settings = load("_settings").of_config(config)
        settings.custom()
        if settings.profile is not None:
            load("_settings").apply_profile(config, settings)
        if parts:
            config._litmus_part = load("_declared").load_part(root, settings)
        if settings.station is not None:
            _configure_bench(config, settings)
    except LitmusError as exc:
        raise pytest.UsageError(f"litmus: {exc}") from None


def _configure_bench(config, settings) -> None:
    """Makes the roles of the station's instruments fixtures."""
    bench = load("_instruments").load(settings.station, settings)
    if bench is not None:
        config._litmus_bench = bench
        config.pluginmanager.register(load("_instruments").fixtures(bench), "litmus-instruments")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items) -> None:
    """Finds what is declared for tests; without anything this costs a look for a side file beside each module."""
    settings = getattr(config, "_litmus_settings", None)
    in_profile = settings is not None and bool(settings.levels)
    if in_profile:
        _settled(load("_settings").add_marks, settings, items)
        _settled(load("_sidefile").of_config(config).refuse_names, config, items)
    paths = {id(path): path for path in [item.path for item in items]}.values()  # the items of a file share its path
    parts = {os.path.splitext(str(path)) for path in paths}
    files = {stem + ".yaml" for stem, ending in parts if ending == ".py"}  # a plugin's own tests may be YAML themselves
    in_files, markers = in_profile or any(map(os.path.lexists, files)), _marker_names(items)
    if in_files or "vectors" in markers:
        load("_vectors").collect(config, items)
    if in_files or "limits" in markers or getattr(config, "_litmus_part", None) is not None:
        load("_declared").collect(config, items)
        config.pluginmanager.register(_Declarations(), "litmus-limits")
    default = _settled(load("_settings").default_retry, config)
    if in_files or "retry" in markers or default is not None:
        load("_retry").collect(config, items, default)


def _settled(call, *arguments):
    """What a call of _settings returns; a slip in a file is wrong usage."""
    try:
        return call(*arguments)
    except load("errors").LitmusError as exc:
        raise pytest.UsageError(f"litmus: {exc}") from None


def _marker_names(items) -> set:
    """The names of all markers on tests and what they are in."""
    names, parents = set(), {}
    for item in items:
        if item.own_markers:
            names.update([mark.name for mark in item.own_markers])
        parents[id(item.parent)] = item.parent
    for parent in parents.values():
        names.update([mark.name for mark in parent.iter_markers()] if parent is not None else ())
    return names


class _Declarations:
    """Says which test's limits are in force."""

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        declarations = load("_measure").declarations
        declarations.append(getattr(item, "_litmus_declared", None))
        yield
        declarations.pop()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config) -> None:
    """From here on a run was asked for."""
    config.pluginmanager.register(_BeforeStart(config), "litmus-before-start")


class _BeforeStart:
    """A pytest_configure that raises keeps the session from its start: that goes on record as a run, too."""

    def __init__(self, config):
        self.config = config

    def pytest_internalerror(self, excrepr, excinfo) -> None:
        if hasattr(self.config, "workerinput"):
            return
        _choose(self.config)
        recorder = self.config.pluginmanager.get_plugin("litmus-recorder")
        if recorder is not None:
            recorder.pytest_internalerror(excrepr, excinfo)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session) -> None:
    """The session starts: the part that this process plays in its recording joins."""
    session.config.pluginmanager.unregister(name="litmus-before-start")
    _choose(session.config)


def _choose(config) -> None:
    """Chooses the part to play in this process, if any."""
    option = config.option
    config._litmus_chosen = True
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        if worker.get("litmus"):
            _play(config, "_xdist", "Worker", worker["litmus"])
        return
    if flag(option, "off") or (os.environ.get(NESTED) and not flag(option, "on")):
        return
    if any(getattr(option, name, False) for name in NOTHING_RUNS):
        return
    _play(config, *(("_xdist", "Controller") if config.pluginmanager.hasplugin("dsession") else ("_recorder", "Recorder")))


def _play(config, module: str, part: str, *arguments) -> None:
    try:
        player = getattr(load(module), part)(config, *arguments)
    except Exception as exc:  # a broken installation is no reason to break the tests
        if flag(config.option, "required"):
            pytest.exit(f"litmus: cannot record, and recording is required: {exc}", NOT_RECORDED)
        sys.stderr.write(f"litmus: not recorded: {type(exc).__name__}: {exc}\n")
        return
    config.pluginmanager.register(player, "litmus-recorder")
    player.mark_nested()
    config.add_cleanup(player.leave)


def truthy(text: str | None) -> bool:
    """Whether the text of an environment variable means yes."""
    return (text or "").strip().lower() not in ("", "0", "false", "no", "off")


def flag(option, name: str) -> bool:
    """A switch: the option --litmus-NAME, else the variable LITMUS_NAME."""
    return bool(getattr(option, "litmus_" + name, False)) or truthy(os.environ.get("LITMUS_" + name.upper()))


class lazy:
    """A module of this package, loaded when something of it is asked for: what a session without declarations, files and errors does without."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, name: str):
        return getattr(load(self._name), name)


@pytest.fixture
def measure():
    """Records measurements: `measure(name, value, limit, units=...)` returns the outcome, and never raises for a violated limit."""
    return load("_measure").measure


@pytest.fixture
def verify():
    """Like `measure`, but needs a limit, and a violation stops the test; `with verify.soft():` collects them."""
    return load("_measure").verify


@pytest.fixture
def observe():
    """Records an output of the step, not judged: `observe(name, value)`, column `out_{name}`."""
    return load("_measure").observe


@pytest.fixture
def attach():
    """Attaches a file or bytes to the step: `attach("trace.csv")`, `attach(png, "screen.png")`; column `out_{name}` refers to it."""
    return load("_measure").attach


@pytest.fixture
def step():
    """Opens sub-steps: `with step("ramp"): ...`; they nest."""
    return load("_measure").step


@pytest.fixture
def vectors(request):
    """Goes through the sweep that is declared for the test: `for v in vectors: ...` (docs/vectors.md)."""
    sweep = getattr(request.node, "_litmus_sweep", None)
    module = load("_vectors")
    if sweep is None:
        raise module.VectorsError(f"no vectors are declared for {request.node.name}: @pytest.mark.vectors(voltage=[3.0, 3.3]), or `vectors:` in its side file")
    return module.Vectors(request.node, sweep)


@pytest.fixture
def channel():
    """Opens channels of the running test: `channel("scope.ch1", units="V")` returns a `litmus.open_channel` that the
    test's end closes. Its samples go to a file of their own; str() of it is the URI to refer to it by."""
    opened = []
    channels = load("_channels")

    def open_one(channel_id, **options):
        opened.append(channels.for_test(channel_id, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close("test ended")


@pytest.fixture
def prompt():
    """Asks the operator: prompt.confirm, .choose, .text, .number, .scan (litmus.prompts)."""
    return load("prompts")
