# SPDX-License-Identifier: Apache-2.0
"""Sweeps as they are declared: what a marker, a side file or a profile says becomes a list of inputs, one a vector.

    @pytest.mark.vectors(voltage=[3.0, 3.3], load=litmus.range(0, 2, 0.5))   # product: the last name varies fastest
    @pytest.mark.vectors(litmus.zip(voltage=[3.0, 3.3], load=[0, 2]))        # side by side
    @pytest.mark.vectors([{"voltage": 3.0, "load": 0}, {"voltage": 3.3}])    # one by one
"""

from __future__ import annotations

import itertools
import math

from litmus.plugin import lazy, load

_measure, _nearest = load("_measure"), lazy("_nearest")
_range, _zip = range, zip

VECTORS_MAX = 1_000_000  # of one test
VALUE_MAX = 1e300  # of a range: its width is a number, too
WORDS = ("list", "zip", "product")  # keys of a side file that are no input
RANGE_KEYS = ("start", "stop", "step")


def range(start, stop, step=1) -> list:  # noqa: A001: as it is called in a sweep
    """The values from `start` to `stop` in steps of `step`; `stop` is one of them when a step comes to it.

    Parameters: start, stop, step (finite numbers; whole ones give whole ones). Unlike Python's own it takes fractions, and
    its end belongs to it: `litmus.range(0, 2, 0.5)` are 0, 0.5, 1, 1.5 and 2. Each value is start + n * step, rounded to
    15 digits: no error adds up.

    Errors: TypeError for what is no number; ValueError for a step that never comes to `stop`, and for more than a million values.
    """
    for name, value in (("start", start), ("stop", stop), ("step", step)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"the {name} of a range is a number, not {value!r:.100}")
        if not abs(value) <= VALUE_MAX:  # NaN, infinity, 10**400
            raise ValueError(f"the {name} of a range is not within {VALUE_MAX:g}: it would have no end")
    if step == 0 or (stop - start) * step < 0:
        raise ValueError(f"a range from {start} to {stop} in steps of {step} never comes to its end")
    steps = (stop - start) / step
    if not steps < VECTORS_MAX:
        raise ValueError(f"a range from {start} to {stop} in steps of {step} has more than {VECTORS_MAX} values")
    whole = isinstance(start, int) and isinstance(step, int)
    count = math.floor(steps + 1e-9) + 1
    return [start + n * step if whole else float(f"{start + n * step:.15g}") for n in _range(count)]


def zip(**columns) -> list:  # noqa: A001: as above
    """Inputs side by side: the first value of each name, then the second, and so on.

    Parameters: name=values. Returns a list of dicts. Errors: ValueError when they are not equally many; those of `product`.
    """
    lists = {name: _values(name, values) for name, values in columns.items()}
    if len({len(values) for values in lists.values()}) > 1:
        counts = ", ".join(f"{name} has {len(values)}" for name, values in lists.items())
        raise ValueError(f"inputs side by side are equally many: {counts}")
    return [dict(_zip(lists, row)) for row in _zip(*lists.values())]


def product(**columns) -> list:
    """Each value of each name with each of the others; the last name varies fastest.

    Parameters: name=values. Returns a list of dicts.
    Errors: TypeError, ValueError for names and values that cannot be inputs, and for more than a million vectors.
    """
    return multiply([[{name: value} for value in _values(name, values)] for name, values in columns.items()])


def multiply(parts: list) -> list:
    """Each of the inputs of a part with each of the others. Errors: ValueError (nothing to run, too many, a name twice)."""
    seen: dict = {}
    for number, part in enumerate(parts):
        for name in {name for inputs in part for name in inputs}:
            if seen.setdefault(name, number) != number:
                raise ValueError(f"{name} is swept twice")
    count = math.prod(map(len, parts))
    if count > VECTORS_MAX:
        raise ValueError(f"{count} vectors are too many for one test: at most {VECTORS_MAX}")
    if count == 0 or not parts:
        raise ValueError("there is no vector to run: give each input a value, or remove the sweep")
    made = []
    for combination in itertools.product(*parts):
        inputs: dict = {}
        for part in combination:
            inputs.update(part)
        made.append(inputs)
    return made


def _values(name, values) -> list:
    """The values of one input; a single one stands for itself."""
    _measure.check_name("an input", name)
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__iter__"):
        values = [values]
    values = list(itertools.islice(values, VECTORS_MAX + 1))
    if len(values) > VECTORS_MAX:
        raise ValueError(f"{name} has more than {VECTORS_MAX} values")
    if not values:
        raise ValueError(f"{name} has no values: there would be nothing to run")
    for value in values:
        _check_value(name, value)
    return values


def _check_value(name: str, value) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value} in a vector: an input is a value that can be set")
    if isinstance(value, (str, bytes)) and len(value) > _measure.TEXT_MAX:
        raise ValueError(f"{name} has a text of {len(value)} characters in a vector, at most {_measure.TEXT_MAX} are taken")


def _rows(rows, what: str) -> list:
    """Inputs one by one, as somebody wrote them. Errors: TypeError, ValueError."""
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, dict) for row in rows):
        raise TypeError(f"{what} is a list of mappings from input to value, not {rows!r:.100}")
    for row in rows:
        for name, value in row.items():
            _measure.check_name("an input", name)
            _check_value(name, value)
    return [dict(row) for row in rows]


def of_marker(mark) -> list:
    """The inputs that a marker declares. Errors: TypeError, ValueError."""
    parts = [_rows(each, "what stands before the names") for each in mark.args]
    if mark.kwargs:
        parts.append(product(**mark.kwargs))
    return multiply(parts)


def of_yaml(value, complain) -> list:
    """The inputs that a file declares: a list of mappings, or a mapping from input to values (`list`, `zip` and `product` are
    no inputs: what stands there is multiplied with the rest). `complain(words, *keys)` makes the error about a key."""
    if not isinstance(value, (list, dict)):
        raise complain(f"vectors are a mapping from input to values, or a list of mappings, not {value!r:.100}")
    parts = []
    for key, part in value.items() if isinstance(value, dict) else (("list", value),):
        where = (key,) if isinstance(value, dict) else ()
        try:
            parts.append(_part(key, part, complain, where))
        except (TypeError, ValueError) as exc:
            raise complain(str(exc), *where) from None
    try:
        return multiply(parts)
    except ValueError as exc:
        raise complain(str(exc)) from None


def _part(key, part, complain, where: tuple) -> list:
    if key == "list":
        return _rows(part, "a list of vectors")
    if key not in WORDS:
        return product(**{str(key): _yaml_values(part, complain, where)})
    if not isinstance(part, dict):
        raise TypeError(f"{key} is a mapping from input to values, not {part!r:.100}")
    columns = {str(name): _yaml_values(values, complain, (*where, name)) for name, values in part.items()}
    return zip(**columns) if key == "zip" else product(**columns)


def _yaml_values(values, complain, where: tuple):
    """What stands for the values of an input: a list, one value, or `{start: 0, stop: 2, step: 0.5}`."""
    if not isinstance(values, dict):
        return values
    for key in values:
        if key not in RANGE_KEYS:
            raise complain(f"a range has no key `{key}`{_nearest.nearest(key, RANGE_KEYS)}", *where, key)
    for key in ("start", "stop"):
        if key not in values:
            raise complain(f"a range has start, stop and step; {key} is missing", *where)
    try:
        return range(**values)
    except (TypeError, ValueError) as exc:
        raise complain(str(exc), *where) from None
