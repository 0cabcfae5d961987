# SPDX-License-Identifier: Apache-2.0
"""Values of Python as JSON has them: inputs, outputs, metadata."""

from __future__ import annotations

_INT64 = 1 << 63
ARRAY_MAX = 10_000  # values of an array that become a list; of a longer one there is its repr, which leaves most out


def plain_map(values: dict) -> dict:
    """A map for inputs or outputs: what JSON has stays as it is, the rest becomes text."""
    made = {}
    for key, value in values.items():
        kind = type(value)
        if kind is not str and kind is not float and kind is not bool and value is not None:
            value = plain(value)
        made[key if type(key) is str else repr_of(key)] = value
    return made


def plain(value, depth: int = 0):
    """A value as JSON has it."""
    kind = type(value)
    if kind is int:
        return value if -_INT64 <= value < _INT64 else repr_of(value)  # of more than 4,300 digits Python says none
    if kind is str or kind is float or kind is bool or value is None:
        return value
    if depth < 8:
        if kind is list or kind is tuple:
            return [plain(part, depth + 1) for part in value]
        if kind is dict:
            return {k if type(k) is str else repr_of(k): plain(v, depth + 1) for k, v in value.items()}
    try:
        if kind.__module__ == "numpy" and 0 <= getattr(value, "ndim", -1) and value.size <= ARRAY_MAX:
            made = value.tolist()
            if type(made) is not kind:
                return plain(made, max(depth, 8 - value.ndim))
            return float(value) if value.dtype.kind == "f" else repr_of(value)  # a long double has no type of Python
        if kind.__module__ in ("decimal", "fractions"):
            return float(value)
    except Exception:
        pass
    return repr_of(value)


def plain_outputs(properties) -> dict:
    """user_properties (record_property) as a map, the last of a name; what is no pair is left out."""
    try:
        return plain_map(dict(p for p in properties if isinstance(p, (tuple, list)) and len(p) == 2))
    except Exception as exc:
        return {"_error": repr_of(exc)}


def repr_of(value) -> str:
    """repr of anything; what its own repr raises is said instead."""
    try:
        return repr(value)
    except Exception as exc:
        return f"<{type(value).__name__}: its repr raised {type(exc).__name__}>"
