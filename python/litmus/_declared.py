# SPDX-License-Identifier: Apache-2.0
"""Limits that are declared beside a test: by marker, side file, profile, and the part's own specification.

An entry says what a measurement is judged against; those of stronger places lie over weaker ones, key by key:

    rail:
      nominal: 3.3
      tolerance: 5%            # or 0.1: on both sides of nominal
      guard_band: 0.01         # takes that off both sides; 10%: of the width
      units: V
      characteristic: RAIL_3V3 # of the part: its keys lie below these
      bands:                   # the first whose `when` fits the step's inputs lies over the rest
        - when: {load: {low: 0.5, high: 2}, mode: [fast, slow]}
          low: 3.1
"""

from __future__ import annotations

import enum
import os
import re

from litmus.plugin import lazy, load

_limits, _measure, _sidefile, _nearest = load("_limits"), load("_measure"), load("_sidefile"), lazy("_nearest")
from litmus.errors import ConfigError  # noqa: E402

SHAPE = ("tolerance", "guard_band")
BAND_KEYS = (*_limits.KEYS, *SHAPE, "when")
ENTRY_KEYS = (*_limits.KEYS, *SHAPE, "characteristic", "bands")
PART_KEYS = ("part_number", "name", "revision", "characteristics", "description")


def over(weak: dict, strong: dict) -> dict:
    """`strong` laid over `weak`, key by key. Bounds of one kind take the place of the other kind's."""
    drop = ()
    if "tolerance" in strong:
        drop = ("low", "high")
    elif "low" in strong or "high" in strong:
        drop = ("tolerance",)
    return {**{key: value for key, value in weak.items() if key not in drop}, **strong}


def fits(when: dict, inputs: dict) -> bool:
    """Whether inputs are what a band is for: a value, one of a list, or {low, high}, both included. Inputs that are not there do not fit."""
    for key, wanted in when.items():
        if key not in inputs:
            return False
        value = inputs[key]
        if isinstance(wanted, dict):
            number = isinstance(value, (int, float))
            if not number or not wanted.get("low", value) <= value <= wanted.get("high", value):
                return False
        elif value not in wanted if isinstance(wanted, list) else value != wanted:
            return False
    return True


def _amount(what: str, key: str, given, whole, of: str) -> float:
    """A number, or a percentage of `whole`."""
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        amount = float(given)
    else:
        text = given.strip() if isinstance(given, str) else ""
        if not text.endswith("%"):
            raise TypeError(f"the limit of {what}: {key} is a number or a percentage (5%), not {given!r}")
        if whole is None:
            raise ValueError(f"the limit of {what}: {key} of {given} needs {of}")
        try:
            amount = abs(whole) * float(text[:-1]) / 100
        except ValueError:
            raise TypeError(f"the limit of {what}: {key} is a number or a percentage (5%), not {given!r}") from None
    if not amount >= 0:
        raise ValueError(f"the limit of {what}: {key} is negative: {given}")
    return amount


def _round(value: float) -> float:
    return float(f"{value:.15g}")  # 3.3 + 5 % is 3.465: the last bits are the sum's


def limit(entry: dict, inputs: dict, what: str):
    """The Limit of an entry for given inputs; one that judges nothing is false. Errors: TypeError, ValueError."""
    fields = {key: value for key, value in entry.items() if key not in ("bands", "characteristic")}
    for band in entry.get("bands") or ():
        if fits(band["when"], inputs):
            fields = over(fields, {key: value for key, value in band.items() if key != "when"})
            break
    tolerance, guard = fields.pop("tolerance", None), fields.pop("guard_band", None)
    nominal, comparator = fields.get("nominal"), fields.get("comparator")
    for key, given in (("tolerance", tolerance), ("guard_band", guard)):
        if given is not None and comparator in ("EQ", "NE"):
            raise ValueError(f"the limit of {what}: {key} has no meaning for {comparator}, which compares with nominal alone")
    if tolerance is not None:
        if not isinstance(nominal, (int, float)):
            raise ValueError(f"the limit of {what}: tolerance needs a nominal that is a number")
        amount = _amount(what, "tolerance", tolerance, nominal, "a nominal")
        if nominal == 0 and isinstance(tolerance, str):
            raise ValueError(f"the limit of {what}: tolerance of {tolerance} is nothing of a nominal of 0: give it as a number")
        fields.update(low=_round(nominal - amount), high=_round(nominal + amount))
    if guard is not None:
        low, high = fields.get("low"), fields.get("high")
        if low is None and high is None and nominal is not None:
            raise ValueError(f"the limit of {what}: guard_band needs low or high")
        amount = _amount(what, "guard_band", guard, None if low is None or high is None else high - low, "low and high")
        if low is not None:
            fields["low"] = _round(low + amount)
        if high is not None:
            fields["high"] = _round(high - amount)
        if low is not None and high is not None and fields["low"] > fields["high"]:
            raise ValueError(f"the limit of {what} cannot judge: a guard_band of {guard} leaves nothing between {low:.10g} and {high:.10g}")
    return _limits.Limit(**fields, what=what)


def check(entry, what: str, complain, part=None) -> dict:
    """An entry as a dict. `complain(words, *keys)` makes the error about a key of it. Errors: what complain makes."""
    if isinstance(entry, (list, tuple)) and len(entry) == 2:
        entry = {key: value for key, value in zip(("low", "high"), entry) if value is not None}
    if not isinstance(entry, dict):
        raise complain(f"the limit of {what} is [low, high] or a mapping, not {entry!r}")
    _check_keys(entry, ENTRY_KEYS, what, complain)
    _check_shape(entry, what, complain)
    bands = entry.get("bands")
    if bands is not None and not isinstance(bands, list):
        raise complain(f"the bands of {what} are a list", "bands")
    for n, band in enumerate(bands or ()):
        if not isinstance(band, dict) or not isinstance(band.get("when"), dict):
            raise complain(f"a band of {what} is a mapping with `when`: inputs, and what they must be", "bands", n)
        _check_keys(band, BAND_KEYS, what, complain, "bands", n)
        _check_shape(band, what, complain, "bands", n)
        for key, wanted in band["when"].items():
            if isinstance(wanted, (list, dict)) and not wanted:
                raise complain(f"a band of {what} does not say what {key} must be", "bands", n, "when", key)
            if isinstance(wanted, dict):
                _check_when(wanted, f"{what}, when {key}", complain, "bands", n, "when", key)
    characteristic = entry.get("characteristic")
    if characteristic is not None and part is None and not any(key in entry for key in (*_limits.NUMBERS, "bands")):
        raise complain(f"the limit of {what} is the part's, and which part it is is not known: --litmus-dut-part-number, or `part:` in litmus.yaml", "characteristic")
    if characteristic is not None and part is not None and characteristic not in part.characteristics:
        raise complain(f"{part.path} has no characteristic `{characteristic}`{_nearest.nearest(characteristic, part.characteristics)}", "characteristic")
    return entry


def _check_shape(entry: dict, what: str, complain, *where) -> None:
    """Two ways to say one bound in one place leave open which of them counts."""
    if "tolerance" in entry and ("low" in entry or "high" in entry):
        raise complain(f"the limit of {what} has a tolerance, and bounds beside it: give one of them", *where, "tolerance")


def _check_when(wanted: dict, what: str, complain, *where) -> None:
    _check_keys(wanted, ("low", "high"), what, complain, *where)
    for key, bound in wanted.items():
        if isinstance(bound, bool) or not isinstance(bound, (int, float)):
            raise complain(f"the limit of {what}: {key} is a number, not {bound!r:.100}", *where, key)
    if wanted.get("low", 0) > wanted.get("high", wanted.get("low", 0)):
        raise complain(f"the limit of {what}: low {wanted['low']} is above high {wanted['high']}", *where)


def _check_keys(mapping: dict, known, what: str, complain, *where) -> None:
    for key in mapping:
        if key not in known:
            raise complain(f"the limit of {what} has no key `{key}`{_nearest.nearest(key, known)}", *where, key)


def try_all(entry: dict, what: str, complain) -> None:
    """Makes every limit that the entry can come to. Errors: what complain makes, about the band that cannot judge."""
    bands = entry.get("bands") or ()
    _try(entry, {**entry, "bands": None}, what, complain, must_judge=not bands)
    for n, band in enumerate(bands):
        _try(band, {**entry, "bands": [{**band, "when": {}}]}, what, lambda words, *keys, n=n: complain(words, "bands", n, *keys), must_judge=True)


def _try(said: dict, entry: dict, what: str, complain, must_judge: bool) -> None:
    """Makes one limit. Errors: what complain makes, about the key of `said` that the words name."""
    try:
        judges = bool(limit(entry, {}, what))
    except (TypeError, ValueError) as exc:
        named = [word for word in re.findall(r"\w+", str(exc).split(what, 1)[-1]) if word in said]
        raise complain(str(exc), *named[:1]) from None
    if must_judge and not judges:
        raise complain(f"the limit of {what} judges nothing: it has no low, high or nominal")


class Part:
    """The specification of the part under test, `parts/*.yaml`.

    Attributes: path, part_number, name, revision, characteristics (id -> entry, with its characteristic_id).
    """

    def __init__(self, path: str):
        """Reads and checks it. Errors: ConfigError with line and column."""
        document = _sidefile.Document(path)
        document.check_keys(PART_KEYS)
        self.path = path
        stem = os.path.splitext(os.path.basename(path))[0]
        self.part_number = document.text("part_number") or stem
        self.name, self.revision = document.text("name"), document.text("revision")
        self.characteristics = {}
        for name, entry in document.mapping("characteristics").items():

            def complain(words, *keys, name=name):
                return document.error(words, "characteristics", name, *keys)

            entry = check(entry, name, complain)
            try_all(entry, name, complain)
            self.characteristics[name] = {"characteristic_id": name, **entry}

    def facts(self) -> dict:
        """What the run says of it."""
        facts = {"dut_part_number": self.part_number, "product_id": self.part_number, "product_name": self.name, "product_revision": self.revision}
        return {key: value for key, value in facts.items() if value is not None}


def load_part(root: str, settings) -> Part | None:
    """The part of a project: the one whose file or part_number is that of the unit (--litmus-dut-part-number), else `part` of
    litmus.yaml; without a wish the only one; else None.

    Errors: ConfigError for a file that cannot be used, a `part` that none of them is, and a part that two of them are.
    """
    unit, named = settings.value("dut_part_number", "dut_part_number"), settings.document.text("part") if settings.document is not None else None
    wanted = unit or named
    folder = os.path.join(root, "parts")
    names = sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))
    parts = [Part(os.path.join(folder, name)) for name in names]
    if wanted:
        parts = [part for part in parts if wanted in (part.part_number, os.path.splitext(os.path.basename(part.path))[0])]
    if not parts and not unit and named:
        raise settings.document.error(f"{folder} has no part `{named}`{_nearest.nearest(named, [os.path.splitext(name)[0] for name in names])}", "part")
    if wanted and len(parts) > 1:
        raise ConfigError(f"{parts[0].path} and {parts[1].path} are both the part `{wanted}`: give one of them another part_number, or remove it")
    return parts[0] if len(parts) == 1 else None


class Declared:
    """The limits that are declared for one test: `entries`, by measurement."""

    def __init__(self, entries: dict, part: Part | None, params: dict, error: Exception | None = None):
        self.entries, self.part, self.params, self.error = entries, part, params, error
        self._fixed: dict = {}  # of names without bands

    def names(self) -> tuple:
        """The measurements that a limit is declared for."""
        return (*self.entries, *(self.part.characteristics if self.part is not None else ()))

    def limit(self, name: str):
        """The limit of a measurement in the step that is running, None when none is declared. Errors: ConfigError, ValueError."""
        if self.error is not None:
            raise self.error
        found = self._fixed.get(name)
        if found is not None:
            return found
        entry = self.entries.get(name)
        if entry is None and self.part is not None:
            entry = self.part.characteristics.get(name)
        if entry is None:
            return None
        made = limit(entry, self._inputs() if entry.get("bands") else {}, name) or None
        if made is not None and not entry.get("bands"):
            self._fixed[name] = made
        return made

    def _inputs(self) -> dict:
        """The inputs of the step that is running, those of a sub-step over the test's: each as a file can say it, recorded or not."""
        plain = load("_plain").plain
        params = {name: plain(value.value if isinstance(value, enum.Enum) else value) for name, value in self.params.items()}
        frame = _measure.innermost()
        inputs = frame.members["inputs"] if frame is not None else {}
        return {**inputs, **params} if frame is not None and frame.parent is None else {**params, **inputs}


def of_item(item, part: Part | None, files) -> dict:
    """name -> entry of one test: marker below side file below profile, key by key. Errors: ConfigError, TypeError, ValueError."""
    levels = []
    for marker in reversed(_sidefile.marks(item, "limits")):
        if marker.args:
            raise ConfigError(f"{item.nodeid}: the marker limits takes name=limit, nothing else")
        levels.append((marker.kwargs, lambda words, *_: ConfigError(f"{item.nodeid}: {words}")))
    for section in files.sections("limits", str(item.path), _sidefile.test_id(item)):
        if not isinstance(section.value, dict):
            raise section.error("limits are a mapping from measurement to limit")
        levels.append((section.value, section.error))
    entries, complaints = {}, {}
    for values, complain in levels:
        for name, given in values.items():
            if isinstance(given, _limits.Limit):
                given = {key: getattr(given, key) for key in _limits.KEYS if getattr(given, key) is not None}
            about = complaints[name] = _about(complain, name)
            entries[name] = over(entries.get(name, {}), check(given, name, about, part))
            _check_inputs(item, entries[name], name, about)
    for name, entry in entries.items():
        base = part.characteristics.get(entry["characteristic"]) if part is not None and "characteristic" in entry else None
        if base is not None:
            entry = entries[name] = over(base, entry)
        try_all(entry, name, complaints[name])
    return entries


def _check_inputs(item, entry: dict, name: str, complain) -> None:
    """An input that a band waits for and the test has not may be a sub-step's; one that nearly is the test's is a slip."""
    callspec, sweep = getattr(item, "callspec", None), getattr(item, "_litmus_sweep", None)
    known = {*(callspec.params if callspec is not None else ()), *(sweep.inputs[0] if sweep is not None and sweep.inputs else ())}
    for n, band in enumerate(entry.get("bands") or ()):
        for key in band["when"]:
            close = () if key in known else _nearest.closest(key, known, alike=0.75)
            if close:
                raise complain(f"a band of {name} waits for the input `{key}`, which the test has not; did you mean {close[0]}?", "bands", n, "when", key)


def _about(complain, name: str):
    return lambda words, *keys: complain(words, name, *keys)


def collect(config, items) -> None:
    """Collection is over: finds the limits of each test. What is wrong with a file is an error of collection; the tests of
    that file stay in the plan."""
    part, files = getattr(config, "_litmus_part", None), _sidefile.of_config(config)
    wrong = files.wrong
    found: dict = {}  # test without parameters, and its markers: a parameter may have its own -> entries
    for item in items:
        if not hasattr(item, "module"):
            continue
        file, test = str(item.path), (_sidefile.test_id(item), *map(id, item.iter_markers("limits")))
        if file not in wrong and test not in found:
            try:
                files.check_names(file, lambda name, module=item.module: _known(module, name))
                found[test] = of_item(item, part, files)
            except (ConfigError, TypeError, ValueError, OSError) as exc:
                files.refuse(config, item, exc)
        callspec = getattr(item, "callspec", None)
        if found.get(test) or part is not None or file in wrong:
            item._litmus_declared = Declared(found.get(test, {}), part, dict(callspec.params) if callspec is not None else {}, wrong.get(file))


def _known(module, name: str) -> tuple:
    """(whether a module has a test of that name, the names it has)."""
    here = module
    for part in str(name).split("::"):
        here = getattr(here, part, None)
    names = [key for key in vars(module) if key.lower().startswith("test")]
    return here is not None, names + [f"{key}::{inner}" for key in names for inner in getattr(vars(module)[key], "__dict__", ()) if inner.startswith("test")]
