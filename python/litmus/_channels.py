# SPDX-License-Identifier: Apache-2.0
"""Channels: sampled signals and waveforms, recorded beside the log and read back by time.

Times are int (nanoseconds since 1970, UTC), float (seconds) or datetime; None is now, or no bound.
"""

from __future__ import annotations

from litmus.errors import InvalidArgument, StateError

_TYPES = {
    "float64": "d", "float32": "f", "int8": "b", "int16": "h", "int32": "i", "int64": "q",
    "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
}  # fmt: skip
ID_MAX = 199  # bytes (litmus.h)
_SIZED = {("d", 8): "float64", ("f", 4): "float32"}


def _ns(time, default: int) -> int:
    """Nanoseconds since 1970. Errors: InvalidArgument for what is no time, or none that 64 bits can say."""
    if time is None:
        return default
    try:
        made = _in_ns(time)
    except (TypeError, ValueError, OverflowError) as exc:
        raise InvalidArgument(f"{time!r:.100} is no time: nanoseconds since 1970 (int), seconds (float) or a datetime can be one ({exc})") from None
    if not -(2**63) <= made < 2**63:
        raise InvalidArgument(f"{made:.6g} ns are no time: the years 1678 to 2261 can be said")
    return made


def _in_ns(time) -> int:
    if hasattr(time, "timestamp"):
        from datetime import datetime, timezone

        since = time.astimezone(timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
        return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
    if getattr(getattr(time, "dtype", None), "kind", None) == "M":
        return int(time.astype("datetime64[ns]").astype("int64"))
    if hasattr(time, "__index__"):
        return time.__index__()
    if isinstance(time, (str, bytes)):
        raise TypeError("a text has no zone and no unit")
    return round(float(time) * 1e9)


def _int64_times(times):
    """Times as a buffer of int64; NumPy's datetime64[ns] is taken as it lies."""
    if getattr(getattr(times, "dtype", None), "kind", None) == "M":
        made = times.astype("datetime64[ns]", order="C", copy=False).view("int64")
        if made.size and made.flat[0] == -(2**63):  # a later one is before the one that precedes it
            raise InvalidArgument("a block has a time for each sample: NaT is none")
        return made
    if isinstance(times, (list, tuple)):
        from array import array

        return array("q", [_ns(time, 0) for time in times])
    return _in_a_row(times)


def _in_a_row(values):
    """An array of NumPy as it can be recorded. A copy only where it is none that a file can hold as it lies: a slice with steps, the
    other byte order, bool (as uint8), float16 (float32), long double (float64)."""
    dtype = getattr(values, "dtype", None)
    if hasattr(values, "mask") and getattr(values.mask, "any", bool)():  # numpy.ma
        raise InvalidArgument("a block of samples has no masked values: use NaN (filled(numpy.nan)), or leave them out (compressed())")
    if dtype is None or type(values).__module__ != "numpy":
        return values
    wanted = dtype.newbyteorder("=")
    if dtype.kind == "b":
        wanted = "uint8"
    elif dtype.kind == "f" and dtype.itemsize not in (4, 8):
        wanted = "float32" if dtype.itemsize == 2 else "float64"
    return values.astype(wanted, order="C", copy=False)


def _type_of(data) -> str:
    """The channel type of a buffer, float64 when it has none of its own."""
    view = memoryview(data)
    letter = view.format.lstrip("<=@")
    if (letter, view.itemsize) in _SIZED:
        return _SIZED[letter, view.itemsize]
    if len(letter) == 1 and letter in "bhilqBHILQ" and view.itemsize in (1, 2, 4, 8):
        return ("uint" if letter.isupper() else "int") + str(8 * view.itemsize)
    raise InvalidArgument(f"samples of format {view.format!r} cannot be recorded: numbers of 1 to 8 bytes can")


class open_channel:  # noqa: N801 - it reads as the verb it is
    """A channel that is being recorded. The file is made with the first sample, of that sample's type.

    Args:
        channel_id: `{role}.{signal}`, or any name up to 199 bytes.
        session: a `litmus._litmus.Session`; None: that of the pytest run in this process.
        type: `float64` and so on; None: what comes first says it.
        units, run_id, instrument_role, method, resource: on record with `channel.started`.

    Errors: StateError without a session; InvalidArgument, StorageError from the appends.
    """

    def __init__(self, channel_id: str, *, session=None, type=None, units=None, run_id=None, instrument_role=None, method=None, resource=None):
        if not isinstance(channel_id, str):
            raise InvalidArgument(f"the id of a channel is a text, not {channel_id!r:.100}")
        if not 0 < len(channel_id.encode("utf-8", "replace")) <= ID_MAX or any(c < " " or "\ud800" <= c <= "\udfff" for c in channel_id):
            raise InvalidArgument(f"the id of a channel is 1 to {ID_MAX} bytes of text without control characters, not {channel_id!r:.100}")
        if session is None:
            from litmus._measure import running

            if not running:
                raise StateError(f"channel {channel_id}: nothing is being recorded here; give a session")
            part = running[-1].owner.part
            session, run_id = part.session, run_id or part.run_id
        if type is not None and type not in _TYPES:
            raise InvalidArgument(f"channel {channel_id}: no type {type!r}; there are {', '.join(_TYPES)}")
        self._session, self._type, self._handle = session, type, None
        self._options = {"units": units, "run_id": run_id, "instrument_role": instrument_role, "method": method, "resource": resource}
        self.channel_id = channel_id
        self.closed = False
        self.uri = uri_of(channel_id, session.id)

    def _open(self, type: str):
        if self.closed:
            raise StateError(f"the channel {self.channel_id} is closed")
        if self._handle is None:
            from litmus._litmus import Channel

            self._type = self._type or type
            self._handle = Channel(self._session, self.channel_id, self._type, **self._options)
        return self._handle

    def append(self, value: float, time=None) -> None:
        """One sample; on record when this returns."""
        handle = self._handle or self._open("float64")
        at = _ns(time, 0) if time is not None else 0
        try:
            handle.sample(value, at)
        except (TypeError, OverflowError) as exc:
            raise TypeError(f"channel {self.channel_id}: a sample is a number, not {value!r:.100} ({exc})") from None

    def block(self, values, *, interval: float | None = None, rate: float | None = None, start=None, times=None) -> None:
        """Many samples at once, from where they lie: NumPy, array, memoryview, or an Arrow array.

        Args:
            values: one dimension, of the channel's type. What lies in a row is not copied. Several Arrow chunks follow one another.
            interval: seconds from one to the next; or rate, samples a second.
            start: the time of the first; None or 0: now.
            times: one time a sample, never falling, instead of these.
        """
        if (times is None) == (interval is None and rate is None):
            raise InvalidArgument(f"channel {self.channel_id}: a block needs interval or rate, or times")
        if interval is not None and rate is not None:
            raise InvalidArgument(f"channel {self.channel_id}: a block has an interval or a rate, not both")
        for what, given in (("interval", interval), ("rate", rate)):
            if given is not None and (isinstance(given, str) or not hasattr(given, "__float__")):
                raise InvalidArgument(f"channel {self.channel_id}: the {what} of a block is a number, not {given!r:.100}")
        step = 0.0 if times is not None else (interval if interval is not None else 1 / rate if rate else 0.0) * 1e9
        begin, values = _ns(start, 0), _in_a_row(values)
        try:
            memoryview(values)
        except TypeError:
            self._arrow(values, begin, step, times)
            return
        handle = self._open(_type_of(values))
        try:
            handle.block(values, begin, step, *([] if times is None else [_int64_times(times)]))
        except (BufferError, TypeError) as exc:  # a memoryview with steps; times that are no buffer
            raise InvalidArgument(f"channel {self.channel_id}: samples and their times lie in a row: numpy.ascontiguousarray(...) makes one ({exc})") from None

    def _arrow(self, values, begin: int, step: float, times) -> None:
        if not hasattr(values, "__arrow_c_array__") and hasattr(values, "to_arrow"):  # a Polars series
            values = values.to_arrow()
        chunks = getattr(values, "chunks", None)
        if chunks is None:
            chunks = [values]
        if not all(hasattr(chunk, "__arrow_c_array__") for chunk in chunks):
            raise InvalidArgument(f"channel {self.channel_id}: {type(values).__name__} is no buffer and no Arrow array: numpy.array(...) makes one")
        if times is not None:
            raise InvalidArgument(f"channel {self.channel_id}: an Arrow array has an interval or a rate; with times, give a buffer (to_numpy())")
        import time

        begin, done = begin or time.time_ns(), 0
        for chunk in chunks:
            schema, array = chunk.__arrow_c_array__()
            name = str(getattr(chunk, "type", "")).replace("double", "float64").replace("float", "float32").replace("float3264", "float64")
            handle = self._open(name if name in _TYPES else "float64")
            done += handle.arrow(schema, array, begin + round(done * step), step)

    def close(self, reason: str | None = None) -> None:
        """Seals the file; a second call does nothing."""
        self.closed = True
        if self._handle is not None:
            self._handle.close(reason)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __str__(self) -> str:
        return self.uri


class Unrecorded:
    """What the `channel` fixture gives where nothing is recorded: it takes everything and keeps nothing."""

    def __init__(self, channel_id: str, **_):
        self.channel_id, self.uri = channel_id, f"channel://{channel_id}"

    def append(self, value, time=None) -> None:
        """Nothing."""

    def block(self, values, **_) -> None:
        """Nothing."""

    def close(self, reason: str | None = None) -> None:
        """Nothing."""

    __str__ = open_channel.__str__
    __enter__, __exit__ = open_channel.__enter__, open_channel.__exit__


def for_test(channel_id: str, **options):
    """A channel of the running test; one that keeps nothing where nothing is recorded."""
    from litmus._measure import running

    return (open_channel if running else Unrecorded)(channel_id, **options)


def uri_of(channel_id: str, session_id: str) -> str:
    """What refers to a channel, in a measurement and to `litmus.channel`."""
    from urllib.parse import quote

    return f"channel://{quote(channel_id, safe=_SAFE)}?session={session_id}"


_SAFE = "".join(map(chr, range(33, 127))).translate({ord(c): None for c in "?#%"})


class channel:  # noqa: N801
    """A recorded channel: `litmus.channel(uri_or_id, data_dir=None)`. A bare id is that of its latest session.

    Errors: InvalidArgument; NotFound and DataUnavailable when it is read.
    """

    def __init__(self, uri, data_dir=None):
        self.uri, self._data_dir = str(uri), data_dir

    def read(self, since=None, until=None):
        """(times, values) of the samples from `since` on and before `until`: NumPy arrays (int64 nanoseconds, and the
        channel's type), or memoryviews where there is no NumPy."""
        return self._get(since, until, 0, "minmax")

    def view(self, points: int = 1000, since=None, until=None, kind: str = "minmax"):
        """The same, reduced to at most `points` float64 samples that look alike: kind `minmax` or `lttb`."""
        if isinstance(points, bool) or not isinstance(points, int) or not 0 < points < 2**31:
            raise InvalidArgument(f"a view of {points!r:.100} points: 4 to 1048576 can be had")
        return self._get(since, until, points, kind)

    def _get(self, since, until, points, kind):
        from litmus._litmus import read_channel

        found, times, values = read_channel(self.uri, self._data_dir, _ns(since, -(2**63)), _ns(until, 2**63 - 1), points, kind)
        try:
            import numpy
        except ImportError:
            return memoryview(times).cast("q"), memoryview(values).cast(_TYPES[found])
        return numpy.frombuffer(times, "int64"), numpy.frombuffer(values, found)
