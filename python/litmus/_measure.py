# SPDX-License-Identifier: Apache-2.0
"""Measurements, observations and sub-steps of a test body: on record before the call returns."""

from __future__ import annotations

import contextvars
import time

from litmus.plugin import lazy, load

_limits, _verdict, _nearest, _plan = load("_limits"), load("_verdict"), lazy("_nearest"), lazy("_plan")
Limit = _limits.Limit

TEXT_MAX = _limits.TEXT_MAX  # bytes
NAME_MAX = 255  # bytes
PATH_FIELDS = ("characteristic_id", "spec_ref", "dut_pin", "fixture_connection", "instrument_name", "instrument_resource", "instrument_channel")
PARAMETERS = ("limit", "units", "low", "high", "nominal", "comparator", "repeat", *PATH_FIELDS)

_INT64 = 1 << 63
_second = (0, "")  # the latest second that was asked for, in microseconds, and its text

# The executions now under way in this process; the innermost is last (a pytest in a pytest).
running: list = []

# What is declared for the tests now under way (_declared.Declared, None for nothing); the innermost is last.
declarations: list = []

# Violations that a soft part collects; None: they are raised at once.
_soft: contextvars.ContextVar = contextvars.ContextVar("litmus_soft", default=None)

# The sub-step (Frame) that this task opened last, or was started in, or the execution of a test, for its step; None (a thread), or one
# that has ended: the innermost of the test.
opened: contextvars.ContextVar = contextvars.ContextVar("litmus_step", default=None)


class LimitFailure(AssertionError):
    """A verified value is outside its limit."""

    __module__ = "litmus"  # as it is imported, and as pytest names it


class MissingLimitError(Exception):
    """`verify` was called for a name that has no limit."""

    __module__ = "litmus"


class DuplicateMeasurementError(Exception):
    """A name was measured a second time in one step (on one connection), and nobody said that it repeats."""

    __module__ = "litmus"


class Frame:
    """An open step, planned or a sub-step: what its events say of it, and what they have come to.

    Parameters: emit (event type, payload), identity (the fields of its test.step_started).
    """

    __slots__ = ("emit", "failure", "identity", "judged", "measured", "members", "opened", "parent")

    def __init__(self, emit, identity: dict, parent: Frame | None = None):
        self.emit = emit
        self.parent = parent  # of a sub-step
        self.identity = identity
        self.members = {key: identity[key] for key in ("step_name", "step_index", "step_path", "vector_index", "retry", "inputs")}
        self.measured: set = set()
        self.opened: dict = {}  # sub-step -> how often
        self.failure = None  # (outcome, words) of the worst that was measured in it
        self.judged = False

    def is_within(self, other: Frame) -> bool:
        """Is it the other one, or a sub-step in it, at any depth?"""
        frame: Frame | None = self
        while frame is not None and frame is not other:
            frame = frame.parent
        return frame is not None

    def worsen(self, outcome: str, words: str) -> None:
        """Takes a measurement, or a sub-step, that did not pass into the step's verdict."""
        if self.failure is None or _verdict.worse(self.failure[0], outcome) != self.failure[0]:
            self.failure = (outcome, words)

    def note_name(self, name: str, connection: str | None, repeat: bool) -> None:
        """Errors: DuplicateMeasurementError."""
        key = name if connection is None else (name, connection)
        if key in self.measured and not repeat:
            raise DuplicateMeasurementError(f"{name} was measured in {self.members['step_path']} before: give it another name, or say that it repeats (repeat=True)")
        self.measured.add(key)


def innermost() -> Frame | None:
    """The step that is open here; None where nothing is recorded."""
    if not running:
        return None
    execution = running[-1]
    frames = execution.frames
    if not frames:
        return execution.frame()
    if len(frames) > 1:  # tasks of one test may each have a sub-step of their own
        own = opened.get()
        if own is execution:
            return frames[0]
        if own in frames:
            return own
    return frames[-1]


def _measure(name, value, given, low, high, nominal, comparator, units, repeat, path):
    """Records and judges; returns (outcome, limit, value and units as they are on record)."""
    _check_words(name, units, path)
    frame = innermost()
    limit = _limit(name, given, low, high, nominal, comparator, units)
    kind = type(value)
    if kind is not float and (kind is not int or not -_INT64 <= value < _INT64):
        value, units = _quantity(name, value, units)
        value = _value(name, value)
    if limit is None:
        outcome = "errored" if value is None or value != value else "done"
    else:
        value, units = _fit(name, value, units, limit)
        outcome = limit.judge(value)
    if frame is not None:
        frame.note_name(name, path.get("fixture_connection"), repeat)
        payload = {
            **frame.members, "measurement_name": name, "measurement_timestamp": now(), "text" if isinstance(value, str) else "value": value,
            "units": units or None, "outcome": outcome,
        }  # fmt: skip
        if limit is not None:
            frame.judged = True
            payload.update(limit.fields)
        if path:
            payload.update((key, word) for key, word in path.items() if word is not None)
        frame.emit("test.measurement", payload)
        if outcome == "failed":
            frame.worsen(outcome, limit.violation(name, value, units))
        elif outcome == "errored":
            frame.worsen(outcome, f"{name} = {value} could not be measured")
    return outcome, limit, value, units


def _check_words(name, units, path: dict) -> None:
    """Errors: TypeError, ValueError for a name, units or a place that cannot go on record."""
    check_name("a measurement", name)
    for key, word in path.items():
        if key not in PATH_FIELDS:
            raise TypeError(f"measurement {name}: there is no {key!r:.100}{_nearest.nearest(key, PARAMETERS, repr)}")
        if word is not None:
            _limits.check_label(f"measurement {name}", key, word)
    if units is not None:
        _limits.check_label(f"measurement {name}", "units", units)


def measure(name, value, limit=None, *, units=None, low=None, high=None, nominal=None, comparator=None, repeat=False, **path) -> str | None:
    """Record a measurement in the step that is running, judged against its limit.

    Parameters: name (at most 255 bytes); value (a number, a bool, a str of at most 64 KiB, or None when it could not be
    measured); limit (a Limit, (low, high) or a dict; without one low, high, nominal and comparator make it; without
    those there is none); units (those of the limit when not given; others are converted by pint); repeat (True: the step
    may have measured the name before); characteristic_id, spec_ref, dut_pin, fixture_connection, instrument_name,
    instrument_resource, instrument_channel (texts: where it comes from).

    Returns the outcome: `passed`, `failed`, `done` (no limit), `errored` (no value, NaN). None
    outside of a test that is being recorded: nothing is recorded then.

    Errors: TypeError for a value of a wrong type; ValueError for a limit that cannot judge (an unknown comparator, no
    bound that it uses, low > high), units that do not fit, a text that is too long; DuplicateMeasurementError. Nothing is
    recorded then.
    """
    outcome = _measure(name, value, limit, low, high, nominal, comparator, units, repeat, path)[0]
    return outcome if running else None


record_measurement = measure


def verify(name, value, limit=None, *, units=None, low=None, high=None, nominal=None, comparator=None, repeat=False, **path) -> str:
    """Like `measure`, but a limit is required and a violation stops the test (in a soft part: is raised at its end).

    Parameters: as those of `measure`. Returns the outcome, recorded or not.

    Errors: MissingLimitError without a limit (nothing is recorded), LimitFailure (an AssertionError) when the value is
    outside it (recorded first), and those of `measure`.
    """
    __tracebackhide__ = True  # the line of the test that calls is the one to see
    if low is None and high is None and nominal is None and comparator is None:
        if limit is None:
            limit = declared(name)
        elif type(limit) is not Limit:
            limit = Limit.of(limit, str(name)[:NAME_MAX])
        if limit is None or limit.comparator is None:
            _check_words(name, units, path)
            raise MissingLimitError(f"verify({name!r}): no limit is given{_nearest_declared(name)}; use measure() to record without one")
    outcome, limit, value, units = _measure(name, value, limit, low, high, nominal, comparator, units, repeat, path)
    if outcome == "failed":
        words = limit.violation(name, value, units)
        collected = _soft.get()
        if collected is None:
            raise LimitFailure(words)
        collected.append((name, words))
    return outcome


class soft:
    """`with verify.soft():` goes on after violations, and raises one LimitFailure with all of them at its end; one in another hands them over."""

    def __enter__(self) -> list:
        self.collected: list = []
        self.token = _soft.set(self.collected)
        return self.collected

    def __exit__(self, kind, exc, trace) -> None:
        __tracebackhide__ = True
        _soft.reset(self.token)
        outer = _soft.get()
        if self.collected and kind is None and outer is not None:
            outer.extend(self.collected)
        elif self.collected and kind is None:
            raise LimitFailure(_all_words(self.collected))
        if self.collected and hasattr(exc, "add_note"):  # Python 3.11: what ends the part does not hide what it collected
            exc.add_note("\n  ".join(["outside of their limits before that:", *(words for _, words in self.collected)]))


verify.soft = soft


def _all_words(collected: list) -> str:
    if len(collected) == 1:
        return collected[0][1]
    names = ", ".join(dict.fromkeys(name for name, _ in collected))
    return "\n  ".join([f"{len(collected)} measurements are outside their limits: {names}", *(words for _, words in collected)])


def observe(name: str, value) -> None:
    """Record an output of the step that is running, not judged: column `out_{name}`. The same name again replaces it.

    Parameters: name (at most 255 bytes), value (what JSON has; anything else becomes its repr; at most 64 KiB of text).

    Errors: TypeError for a name that is none, ValueError for what is too long. Samples belong into a channel.
    """
    check_name("an observation", name)
    value = _bounded(f"observation {name}", value)
    frame = innermost()
    if frame is None:
        return
    members = {key: part for key, part in frame.members.items() if key != "inputs"}
    frame.emit("test.observation", {**members, "name": name, "value": value})


def attach(content, name: str | None = None, *, mime: str | None = None) -> str | None:
    """Attach a file or bytes to the step that is running. The content is stored once, by its SHA-256, and copied beside the run
    file; column `out_{name}` refers to it.

    Parameters: content (the path of a file, str or PathLike; or bytes, bytearray, memoryview), name (at most 255 bytes; default:
    the file's; of bytes its ending is that of what is stored), mime (a media type, "image/png"; for readers, nothing checks it).
    The same name again replaces what the column says. It is on the disk when the call returns.

    Returns the reference, `file://_ref/...`; None where nothing is recorded.

    Errors: TypeError without a name for bytes, or for what is neither path nor bytes; litmus.errors.StorageError (an OSError) for
    a file that cannot be read or stored, InvalidArgument (a ValueError) for one that is no regular file.
    """
    import os

    if isinstance(content, (bytes, bytearray, memoryview)):
        content = bytes(content)
    elif isinstance(content, (str, os.PathLike)):
        content = os.fspath(content)
        try:
            name = os.fsencode(os.path.basename(content)).decode("utf-8", "backslashreplace") if name is None else name
            if b"\0" in os.fsencode(content):
                raise ValueError(f"{ascii(content)[:200]} is no path of a file: it has a NUL character")
        except UnicodeEncodeError:
            raise ValueError(f"{ascii(content)[:200]} is no path of a file: it has a character that no file name can have") from None
    else:
        raise TypeError(f"an attachment is the path of a file, or bytes, not {type(content).__name__}")
    check_name("an attachment", name)
    if "\0" in name:
        raise ValueError(f"the name of an attachment has a NUL character: {name!r:.100}")
    if mime is not None:
        check_name("a media type", mime)
    if not running:
        return None
    return attach_to(innermost(), running[-1].owner.part.session, content, name, mime)


def attach_to(frame: Frame, session, content, name: str, mime: str | None = None, sync: bool = True) -> str:
    """Stores the content, and puts it on record in a step. Returns the reference. `sync`: it is on the disk before that."""
    uri, digest, size = session.store(name.encode("utf-8", "backslashreplace").decode(), content, sync)
    members = {key: part for key, part in frame.members.items() if key != "inputs"}
    frame.emit("test.attachment", {**members, "name": name, "uri": uri, "sha256": digest, "size_bytes": size, "mime_type": mime})
    return uri


def custom(**values) -> None:
    """Metadata of your own of the run under way: columns `custom_{name}`. The same name again replaces it; where nothing is recorded, nothing happens.

    Parameters: names, at most 255 bytes each, and values (what JSON has; anything else becomes its repr; at most 64 KiB of text).

    Errors: TypeError, ValueError as `observe` has them.
    """
    for name, value in values.items():
        check_name("metadata", name)
        if isinstance(value, str):
            _check_text(f"metadata {name}", value)
    if running:
        running[-1].owner.part.emit("run.metadata", {"custom_metadata": load("_plain").plain_map(values)})


class step:
    """`with step("ramp"):` is a sub-step of the step that is running; sub-steps nest.

    Parameters: name; soft (True: violations of `verify` in it are collected, and raised at its end); inputs (commanded
    parameters, a dict). A name that is opened again in the same step gets `#2` in its path, and so on.

    What it comes to: an exception (failed, errored, skipped, terminated), else the worst of what was judged in it, else
    done; that worsens the step it is in.
    """

    def __init__(self, name: str, *, soft: bool = False, inputs: dict | None = None):
        check_name("a sub-step", name)
        if inputs is not None and not isinstance(inputs, dict):
            raise TypeError(f"the inputs of sub-step {name} are a dict, not {type(inputs).__name__}")
        self.name, self.inputs = name, load("_plain").plain_map(inputs or {})
        for key, value in self.inputs.items():
            _bounded(f"input {key:.100} of sub-step {name}", value)
        self.soft = globals()["soft"]() if soft else None
        self.frame = self.execution = None

    def __enter__(self) -> step:
        if running:
            self.execution = running[-1]
            self.frame = open_substep(innermost(), self.name, self.inputs)
            self.execution.frames.append(self.frame)
            opened.set(self.frame)
        if self.soft is not None:
            self.soft.__enter__()
        return self

    def __exit__(self, kind, exc, trace) -> None:
        failure = exc
        try:
            if self.soft is not None:
                self.soft.__exit__(kind, exc, trace)
        except LimitFailure as collected:
            failure = collected
            raise
        finally:
            if self.frame is not None:
                close_substep(self.execution.frames, self.frame, failure)
                opened.set(self.frame.parent)


def open_substep(parent: Frame, name: str, inputs: dict) -> Frame:
    """Puts the start of a sub-step on record."""
    count = parent.opened[name] = parent.opened.get(name, 0) + 1
    path = f"{parent.members['step_path']}/{_plan.quote(name)}{f'#{count}' if count > 1 else ''}"
    identity = {**parent.identity, "step_name": name, "step_path": path, "parent_path": parent.members["step_path"], "inputs": inputs}
    for key in ("outcome", "vector_outcome", "message", "failed_phase", "outputs"):
        identity.pop(key, None)
    parent.emit("test.step_started", identity)
    frame = Frame(parent.emit, identity, parent)
    frame.members["vector_index"] = identity["vector_index"] = parent.members["vector_index"]
    return frame


def close_substep(frames: list, frame: Frame, exc: BaseException | None, left: str | None = None) -> None:
    """Puts the end of a sub-step, and before it of those that are still open in it, on record. `exc`: what left it; `left`: why nothing did."""
    for each in [each for each in reversed(frames) if each.is_within(frame)]:
        frames.remove(each)
        outcome, words = _substep_verdict(each, exc, left)
        each.emit("test.step_ended", {**each.identity, "outcome": outcome, "vector_outcome": outcome, "message": words})
        if _verdict.SEVERITY[outcome] > _verdict.SEVERITY["passed"]:
            each.parent.worsen(outcome, f"{each.members['step_name']}: {words}" if words else each.members["step_name"])
        each.parent.judged |= each.judged


def close_left_open(frames: list, cut_off: bool) -> None:
    """The test has ended: so do the sub-steps that it left open. They come to what was measured in them, unless the test was cut off."""
    for frame in [frame for frame in frames if frame.parent is frames[0]]:
        close_substep(frames, frame, None, "cut off" if cut_off else "left open: the test ended before the step did (`with step(...):` closes it)")


def _substep_verdict(frame: Frame, exc: BaseException | None, left: str | None) -> tuple:
    outcome, words = frame.failure or (None, None)
    if left == "cut off":
        return _verdict.worse("terminated", outcome), words or left
    if exc is None:
        return outcome or ("passed" if frame.judged else "done"), words or left
    said = _verdict.left_by(exc)
    return (said, _verdict.one_line(str(exc)) or type(exc).__name__) if _verdict.worse(said, outcome) == said else (outcome, words)


# -- limits and values


def declared(name: str) -> Limit | None:
    """The limit that is declared for a name (marker, side file, profile, part): None when there is none."""
    return declarations[-1].limit(name) if declarations and declarations[-1] is not None else None


def _nearest_declared(name: str) -> str:
    """What a message says of the limits that are declared here for other names."""
    names = declarations[-1].names() if declarations and declarations[-1] is not None else ()
    if name in names:
        return ", and none of the bands that are declared for it fits the inputs"
    return f", and none is declared for it{_nearest.nearest(name, names, repr)}" if names else ""


def _limit(name, given, low, high, nominal, comparator, units):
    if low is None and high is None and nominal is None and comparator is None:
        if given is None:
            return declared(name)
        limit = given if type(given) is Limit else Limit.of(given, name)
        return None if limit.comparator is None else limit
    if given is not None:
        raise TypeError(f"measurement {name} has a limit, and bounds beside it: give one of them")
    return Limit(low, high, nominal, comparator, units=units, what=name)


def _fit(name: str, value, units, limit: Limit) -> tuple:
    """Value and units as the limit has them. Errors: TypeError, ValueError when they do not fit."""
    if value is not None and isinstance(value, str) != limit.is_text:
        kinds = ("a text", "one of numbers") if isinstance(value, str) else ("a number", "a text")
        raise TypeError(f"measurement {name} is {kinds[0]}, and its limit {kinds[1]}")
    if units is None or limit.units is None or units == limit.units:
        return value, units or limit.units
    if value is None:  # its row has the limit's numbers
        return value, limit.units
    if isinstance(value, str):
        return value, units
    return _limits.in_units(value, units, limit.units, f"measurement {name}"), limit.units


def _quantity(name: str, value, units) -> tuple:
    """Value and units: a quantity (pint's) brings its own. Errors: TypeError for units beside it."""
    if not hasattr(type(value), "magnitude") or not hasattr(value, "units"):
        return value, units
    if units is not None:
        raise TypeError(f"measurement {name} is a quantity in {value.units}, and has units beside it: give one of them")
    return value.magnitude, format(value.units, "~")  # "" of a ratio: it does not fit a limit in V


def _value(name: str, value):
    """A number, a str or None."""
    if value is None:
        return None
    if isinstance(value, str):
        _check_text(f"measurement {name}", value)
        return value
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, float):
        return value
    convert = getattr(type(value), "__float__", None)  # numpy scalars, Decimal, Fraction
    if convert is not None and not isinstance(value, (bytes, bytearray)) and not _limits.is_complex(value):
        try:
            made = float(value)
        except OverflowError:
            raise ValueError(f"measurement {name}: the value is larger than any floating-point number") from None
        except Exception as exc:  # of an array, a date
            raise TypeError(f"measurement {name}: a value is one number, which {type(value).__name__} is not here: {exc}") from None
        _limits.check_range(f"measurement {name}", made, value)
        return made
    raise TypeError(f"measurement {name}: a value is a number, a bool, a str or None, not {type(value).__name__}")


def _bounded(what: str, value):
    """A value as JSON has it. Errors: ValueError for one that has more than TEXT_MAX bytes there."""
    plain = load("_plain")
    size = getattr(value, "size", 0) if getattr(value, "ndim", 0) else 0
    if size > plain.ARRAY_MAX:
        raise ValueError(f"{what} is an array of {size} values, at most {plain.ARRAY_MAX} are taken: put it into a channel, or attach it")
    value = plain.plain(value)
    if isinstance(value, (list, dict)):
        import json

        _check_text(what, json.dumps(value))
    elif isinstance(value, str):
        _check_text(what, value)
    return value


def _check_text(what: str, text: str) -> None:
    if len(text) > TEXT_MAX or len(text.encode("utf-8", "surrogatepass")) > TEXT_MAX:
        raise ValueError(f"the text of {what} has {len(text)} characters, at most {TEXT_MAX} bytes are taken: attach it instead")


def check_name(what: str, name) -> None:
    """Errors: TypeError for a name that is no text, ValueError for one that is too long."""
    if type(name) is str and 0 < len(name) <= NAME_MAX // 4:
        return
    if not isinstance(name, str) or not name:
        raise TypeError(f"the name of {what} is a non-empty str, not {name!r:.100}")
    if len(name) > NAME_MAX // 4 and len(name.encode("utf-8", "surrogatepass")) > NAME_MAX:
        raise ValueError(f"the name of {what} has {len(name)} characters, at most {NAME_MAX} bytes are taken: {name[:40]}...")


def now() -> str:
    """The time, as events have it."""
    global _second
    micros = time.time_ns() // 1000
    second, text = _second
    if not 0 <= micros - second < 1_000_000:
        second = micros - micros % 1_000_000
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second // 1_000_000))
        _second = (second, text)
    return f"{text}.{micros - second:06d}Z"


def judge(value, low=None, high=None, nominal=None, comparator=None) -> str:
    """The outcome of a value against a limit, by the core's judge (src/model/limit.c).

    Errors: ValueError for a limit that cannot judge.
    """
    return Limit(low, high, nominal, comparator).judge(value)
