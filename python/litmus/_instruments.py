# SPDX-License-Identifier: Apache-2.0
"""Instruments of the station: named by role in `stations/*.yaml`, connected before the plan, given as fixtures.

    instruments:
      dmm:
        driver: visa                   # PyVISA, or the path of any class: bench.drivers.Dmm
        resource: TCPIP0::10.0.0.7::INSTR
        id: DMM-0042                   # asset id (default: the role)
        cal_due: 2027-01-31
        timeout: 10                    # seconds that connecting may take
        record: true                   # its calls go on record
        mock: {measure_voltage: 3.3}   # instead of the real one: true, what its methods return, or a class
"""

from __future__ import annotations

import datetime
import keyword
import os
import types

import pytest

from litmus.plugin import load as load_module

nearest = load_module("_nearest").nearest  # a plain import would have pytest rewrite it
_within = load_module("_within")
one_line = load_module("_verdict").one_line  # also of an exception that cannot be printed

KEYS = (
    "driver", "resource", "id", "protocol", "manufacturer", "model", "serial", "firmware", "cal_due", "cal_last", "cal_certificate", "cal_lab",
    "timeout", "record", "mock", "options", "visa_library",
)  # fmt: skip
KINDS = {  # of values that are not any text or number
    "driver": ("`visa`, or the path of a class", (str,)),
    "protocol": ("a text", (str,)),
    "record": ("true or false", (bool,)),
    "options": ("a mapping of arguments for the driver", (dict,)),
    "mock": ("true, a mapping from method to what it returns, or the path of a class", (bool, dict, str)),
    "resource": ("a text", (str,)),
    "visa_library": ("a text", (str,)),
    "timeout": ("a number of seconds above 0", (int, float)),
}
TAKEN = (  # names of fixtures: ours, and pytest's own
    "attach", "channel", "instruments", "measure", "observe", "prompt", "step", "vectors", "verify",
    "cache", "capfd", "capfdbinary", "caplog", "capsys", "capsysbinary", "capteesys", "doctest_namespace", "monkeypatch", "pytestconfig", "pytester",
    "record_property", "record_testsuite_property", "record_xml_attribute", "recwarn", "request", "subtests", "testdir", "tmp_path", "tmp_path_factory",
    "tmpdir", "tmpdir_factory",
)  # fmt: skip
POLICIES = ("warn", "refuse", "off")
IDENTITY = ("manufacturer", "model", "serial", "firmware")


class InstrumentError(Exception):
    """An instrument of the station cannot be used; the text names the role and why."""


class Mock:
    """Stands for an instrument: a method returns what the station file says, or None; it takes any argument."""

    def __init__(self, returns: dict):
        self._returns = dict(returns)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_, **__: self._returns.get(name)


class Recorded:
    """A driver whose calls go on record: what returns something as instrument.read, what does not as
    instrument.configure, an attribute that is set as instrument.set."""

    def __init__(self, driver, role: str, resource: str, emit):
        self.__dict__.update(_driver=driver, _role=role, _resource=resource, _emit=emit)

    def __getattr__(self, name: str):
        value = getattr(self._driver, name)
        if name.startswith("_") or not callable(value):
            return value

        def call(*args, **kwargs):
            fields = {"instrument_role": self._role, "method": name, "resource": self._resource}
            try:
                result = value(*args, **kwargs)
            except Exception as exc:
                self._emit("diagnostic.warning", {"source": f"instrument.{self._role}", "message": f"{name} raised {type(exc).__name__}: {one_line(exc)}"[:1000], "details": fields})
                raise
            if result is None:
                self._emit("instrument.configure", dict(fields, parameters=_parameters(args, kwargs)))
            else:
                self._emit("instrument.read", dict(fields, channel_id=f"{self._role}.{name}", value=_inline(result)))
            return result

        return call

    def __enter__(self):
        entered = type(self._driver).__enter__(self._driver)
        return self if entered is self._driver else entered

    def __exit__(self, *leaving):
        return type(self._driver).__exit__(self._driver, *leaving)

    def __setattr__(self, name: str, value) -> None:
        setattr(self._driver, name, value)
        fields = {"instrument_role": self._role, "attribute": name, "resource": self._resource}
        self._emit("instrument.set", dict(fields, channel_id=f"{self._role}.{name}", value=_inline(value)))


def _parameters(args, kwargs) -> dict:
    return {**{str(i): _inline(value) for i, value in enumerate(args)}, **{key: _inline(value) for key, value in kwargs.items()}}


def _inline(value):
    """Scalars as they are; of what is long, its length: samples belong into a channel."""
    value = load_module("_plain").plain(value, 8)  # NumPy's scalars are numbers
    if isinstance(value, (bool, int, float, type(None))):
        return value
    if isinstance(value, str) and len(value) <= 4096:
        return value
    if hasattr(value, "__len__"):
        return {"type": "array", "length": len(value)}
    return str(value)[:4096]


class Bench:
    """The instruments of one pytest session."""

    def __init__(self, path: str, specs: dict, policy: str):
        self.path, self.specs, self.policy = path, specs, policy
        self.part = None
        self.open: dict = {}

    def emit(self, event_type: str, payload: dict) -> None:
        """Puts an event on record where something is recorded."""
        part = self.part
        if part is None:
            from litmus._measure import running

            part = running[-1].owner.part if running else None
        if part is not None and part.session is not None:
            part.emit(event_type, payload)

    def connect_all(self, part) -> None:
        """Connects every role, in the order of the file. Errors: InstrumentError; those before it stay connected."""
        self.part = part
        for role in self.specs:
            self.get(role)

    def get(self, role: str):
        """The instrument of a role, connected now if it is not yet."""
        if role not in self.open:
            spec = self.specs[role]
            self.check_calibration(role, spec)
            driver, made, found = self.connect(role, spec)
            fields = {key: found.get(key) or str(spec[key]) for key in IDENTITY if key in found or key in spec}
            self.emit("fixture.instrument_connected", {**self.about(role), **fields, "mocked": bool(spec.get("mock")), "driver": made})
            self.compare(role, spec, found)
            self.open[role] = (driver, Recorded(driver, role, spec.get("resource", ""), self.emit) if spec.get("record") else driver)
        return self.open[role][1]

    def about(self, role: str) -> dict:
        """What the station file says of a role, as fields of an event."""
        spec = self.specs[role]
        fields = {key: str(spec[key]) for key in KEYS if key.startswith("cal_") and key in spec}
        return {"role": role, "instrument_id": str(spec.get("id", role)), "resource": spec.get("resource", ""), "protocol": spec.get("protocol", "visa"), **fields}

    def connect(self, role: str, spec: dict):
        """(driver, its class path, what it says of itself). Errors: InstrumentError, when it fails or takes too long."""
        seconds = spec.get("timeout", 10)
        where = f"instrument {role} ({spec.get('resource') or spec.get('driver')})"
        try:
            return _within.within(seconds, f"litmus-connect-{role}", lambda: introduced(spec, os.path.dirname(self.path)))
        except _within.TooLong:
            raise InstrumentError(f"{where} did not connect within {seconds} s; `timeout` in {self.path} says how long it may take") from None
        except Exception as exc:
            raise InstrumentError(f"{where} cannot be connected: {type(exc).__name__}: {one_line(exc)}") from exc

    def compare(self, role: str, spec: dict, found: dict) -> None:
        """Is it the instrument that the station file names?"""
        expected = {key: str(spec[key]) for key in IDENTITY if key in spec}
        if not expected or not found:
            return
        wrong = [key for key in expected if expected[key] != found.get(key)]
        self.emit("fixture.identity_verified", {"role": role, "expected": expected, "actual": found, "matches": not wrong, "mismatches": wrong})

    def check_calibration(self, role: str, spec: dict) -> None:
        """Overdue: a warning on record, or a refusal, as `calibration` in litmus.yaml says."""
        if "cal_due" not in spec or self.policy == "off" or spec.get("mock"):
            return
        days = (datetime.date.fromisoformat(spec["cal_due"]) - datetime.datetime.now(datetime.timezone.utc).date()).days
        if days >= 0:
            return
        words = f"calibration of {role} ({spec.get('id', role)}) was due on {spec['cal_due']}, {-days} days ago"
        self.emit("fixture.calibration_warning", {"role": role, "instrument_id": str(spec.get("id", role)), "days_until_due": days, "message": words})
        if self.policy == "refuse":
            raise InstrumentError(f"{words}; `calibration: warn` in litmus.yaml would let it pass")

    def release(self) -> None:
        """Disconnects what is connected, last first; one that fails, or hangs beyond its `timeout`, is on record and stops nothing."""
        for role in reversed(list(self.open)):
            driver, _ = self.open.pop(role)
            try:
                close = getattr(driver, "close", None) or getattr(driver, "disconnect", None)
                if close is not None:
                    _within.within(self.specs[role].get("timeout", 10), f"litmus-close-{role}", close)
            except Exception as exc:
                self.emit("diagnostic.warning", {"source": "litmus.instruments", "message": f"{role} cannot be closed: {one_line(exc) or type(exc).__name__}"})
            self.emit("fixture.instrument_disconnected", {"role": role, "instrument_id": str(self.specs[role].get("id", role))})


def introduced(spec: dict, folder: str) -> tuple:
    """(driver, its class path, what it says of itself)."""
    driver, made = make(spec, folder)
    return driver, made, identity(driver, spec)


def make(spec: dict, folder: str):
    """(driver, its class path): a mock, a PyVISA resource, or an object of the class that is named."""
    mock = spec.get("mock")
    if mock and not isinstance(mock, str):
        return Mock(mock if isinstance(mock, dict) else {}), "litmus.Mock"
    path, options = mock or spec["driver"], dict(spec.get("options", {}))
    if path == "visa":
        import pyvisa

        library = spec.get("visa_library", "")
        if library.endswith("@sim") and not os.path.isabs(library):
            library = os.path.join(folder, library)
        return pyvisa.ResourceManager(library).open_resource(spec["resource"], **options), "pyvisa"
    import importlib

    module, _, name = path.replace(":", ".").rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    driver = cls(spec["resource"], **options) if "resource" in spec else cls(**options)
    if callable(getattr(driver, "connect", None)):
        driver.connect()
    return driver, path


def identity(driver, spec: dict) -> dict:
    """What the instrument says of itself (*IDN?), or {}."""
    if spec.get("mock") or not callable(getattr(driver, "query", None)):
        return {}
    try:
        parts = [part.strip() for part in str(driver.query("*IDN?")).split(",")]
    except Exception:
        return {}
    return dict(zip(IDENTITY, parts)) if len(parts) == 4 else {}


def check(document, role, spec) -> dict:
    """One role's part of a station file. Errors: ConfigError that names file, line, column, role and key."""

    def complain(words: str, *keys):
        return document.error(f"instrument {role}: {words}", "instruments", role, *keys)

    if not isinstance(spec, dict):
        raise complain("must be a mapping with `driver` and `resource`")
    if not str(role).isidentifier() or keyword.iskeyword(role):
        raise complain("a role is the name of a fixture: letters, digits and _, and no word of Python's")
    if role in TAKEN:
        raise complain("there is a fixture of that name; another role, please")
    for key, value in spec.items():
        if key not in KEYS:
            raise complain(f"no key `{key}`{nearest(key, KEYS)}", key)
        words, kinds = KINDS.get(key, ("a text", (str, int, float)))
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise complain(f"`{key}` is {words}, not {value!r:.100}", key)
        if key not in KINDS:
            spec[key] = document.text("instruments", role, key)
    if spec.get("mock") == {}:
        spec["mock"] = True
    if not spec.get("mock") and not isinstance(spec.get("driver"), str):
        raise complain("`driver` is missing: `visa`, or the path of a class")
    for key in ("driver", "mock"):
        path = spec.get(key)
        if isinstance(path, str) and path != "visa" and not all(path.replace(":", ".").rpartition(".")):
            raise complain(f"`{key}` is {KINDS[key][0]} (bench.drivers.Dmm), not {path!r:.100}", key)
    if spec.get("driver") == "visa" and not spec.get("mock") and not isinstance(spec.get("resource"), str):
        raise complain("`resource` is missing: the VISA address")
    timeout = spec.get("timeout", 10)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise complain(f"`timeout` is a number of seconds above 0, not {timeout!r}", "timeout")
    for key in ("cal_due", "cal_last"):
        try:
            if key in spec:
                datetime.date.fromisoformat(spec[key])
        except (TypeError, ValueError):
            raise complain(f"`{key}` is a date such as 2027-01-31, not {spec[key]!r}", key) from None
    return spec


def load(document, settings) -> Bench | None:
    """The bench of a station, None when its file names no instruments.

    Parameters: document (of the station's file), settings (_settings.Settings).

    Errors: ConfigError for a file that cannot be used.
    """
    specs = document.mapping("instruments")
    policy = settings.data.get("calibration", "warn")
    if policy not in POLICIES:
        raise settings.document.error(f"calibration: no policy {policy!r}{nearest(policy, POLICIES)}", "calibration")
    return Bench(document.path, {role: check(document, role, spec) for role, spec in specs.items()}, policy) if specs else None


def fixtures(bench: Bench):
    """A plugin whose fixtures are the roles, and `instruments`, a dict of them all."""

    plugin = types.ModuleType("litmus_instruments")  # fixtures of a module are functions; as methods of a session's scope pytest deprecates them

    def one(role: str):
        def give():
            return bench.get(role)

        give.__doc__ = f"The instrument {role} of {os.path.basename(bench.path)}."
        return pytest.fixture(scope="session", name=role)(give)

    for role in bench.specs:
        setattr(plugin, f"role_{role}", one(role))

    def every():
        """The instruments of the station, by role."""
        return {role: bench.get(role) for role in bench.specs}

    plugin.every = pytest.fixture(scope="session", name="instruments")(every)

    def pytest_unconfigure():
        bench.release()

    plugin.pytest_unconfigure = pytest_unconfigure
    return plugin
