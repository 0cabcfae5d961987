# SPDX-License-Identifier: Apache-2.0
"""What a value is judged against. The judge is the core's (src/model/limit.c); here are a limit's words and its units."""

from __future__ import annotations

import math
import re

NUMBERS = ("low", "high", "nominal")
TEXT_MAX = 64 * 1024  # of a text that is measured, or compared with
LABEL_MAX = 255  # characters of units, a pin, a place in a specification
KEYS = (*NUMBERS, "comparator", "units", "characteristic_id", "spec_ref")

# comparator -> how its low and its high read
SIGNS = {"GELE": (">=", "<="), "GELT": (">=", "<"), "GTLE": (">", "<="), "GTLT": (">", "<"), "GE": (">=", ""), "GT": (">", ""), "LE": ("", "<="), "LT": ("", "<")}


class Limit:
    """A limit, checked when it is made; it never changes, and may judge any number of values.

    Parameters: low, high (numbers), nominal (a number; a str: the limit of a text), comparator (GELE, the default, GELT,
    GTLE, GTLT, GE, GT, LE, LT, and EQ, NE, which compare with nominal; of a text and a bool EQ is the default), units,
    characteristic_id, spec_ref (where in the specification it comes from), what (whose it is, for messages).

    Errors: ValueError for a limit that cannot judge (unknown comparator, no bound that it uses, no value that could pass
    or could fail, NaN); TypeError for a bound that is no number.
    """

    __slots__ = (*NUMBERS, "comparator", "units", "characteristic_id", "spec_ref", "fields", "is_text", "judge")

    def __init__(self, low=None, high=None, nominal=None, comparator=None, *, units=None, characteristic_id=None, spec_ref=None, what="a measurement"):
        from litmus import _litmus

        for key, word in (("comparator", comparator), ("units", units), ("characteristic_id", characteristic_id), ("spec_ref", spec_ref)):
            if word is not None:
                check_label(f"the limit of {what}", key, word)
        if getattr(getattr(nominal, "dtype", None), "kind", None) == "b" and nominal.ndim == 0:  # NumPy's
            nominal = bool(nominal)
        if isinstance(nominal, str) and len(nominal) > TEXT_MAX:
            raise ValueError(f"the limit of {what}: the text has {len(nominal)} characters, at most {TEXT_MAX} are taken")
        if comparator is None and isinstance(nominal, bool) and low is None and high is None:
            comparator = "EQ"
        for key, bound in (("low", low), ("high", high), ("nominal", nominal)):
            if is_complex(bound):
                raise TypeError(f"the limit of {what}: {key} is a number, not {bound!r:.100}")
        if comparator is not None and not comparator.isprintable():
            comparator = ascii(comparator)
        core = _litmus.Limit(what if what.isprintable() else ascii(what)[1:-1], low, high, nominal, comparator)
        self.low, self.high, self.nominal, self.units = low, high, nominal, units
        self.comparator = core.comparator
        self.characteristic_id, self.spec_ref = characteristic_id, spec_ref
        self.is_text = isinstance(nominal, str)
        self.judge = core.judge  # value -> outcome
        fields = {"limit_low": _real(low), "limit_high": _real(high), "limit_comparator": self.comparator, "characteristic_id": characteristic_id, "spec_ref": spec_ref}
        fields["limit_text" if self.is_text else "limit_nominal"] = nominal if self.is_text else _real(nominal)
        self.fields = {key: value for key, value in fields.items() if value is not None}  # of the event

    def __repr__(self) -> str:
        return f"Limit({', '.join(f'{key}={getattr(self, key)!r}' for key in KEYS if getattr(self, key) is not None)})"

    def __bool__(self) -> bool:
        """Whether there is anything to judge by."""
        return self.comparator is not None

    @staticmethod
    def of(given, what: str) -> Limit:
        """A limit as a test writes it: a Limit, (low, high), or a dict of the parameters.

        Errors: TypeError for anything else and for a key that there is not; those of Limit.
        """
        if isinstance(given, Limit):
            return given
        if isinstance(given, (tuple, list)):
            if len(given) != 2:
                raise TypeError(f"the limit of {what} is (low, high), not {given!r:.100}")
            return Limit(*given, what=what)
        if isinstance(given, dict):
            for key in given:
                if key not in KEYS:
                    from litmus._nearest import nearest

                    raise TypeError(f"the limit of {what} has no key {key!r:.100}{nearest(key, KEYS, repr)}")
            return Limit(**given, what=what)
        raise TypeError(f"the limit of {what} is a Limit, (low, high) or a dict, not {type(given).__name__}")

    def words(self, units: str | None) -> str:
        """The limit as a person reads it: `3 V to 3.6 V`, `> 3 V, <= 3.6 V`, `not 5`."""
        if self.comparator in ("EQ", "NE"):
            return ("not " if self.comparator == "NE" else "") + quantity(self.nominal, units)
        if self.comparator == "GELE" and self.low is not None and self.high is not None:
            return f"{quantity(self.low, units)} to {quantity(self.high, units)}"
        bounds = zip(SIGNS[self.comparator], (self.low, self.high))
        return ", ".join(f"{sign} {quantity(bound, units)}" for sign, bound in bounds if sign and bound is not None)

    def violation(self, name: str, value, units: str | None) -> str:
        """Why a value does not pass: value, limit, and by how much it misses."""
        said = quantity(bool(value) if isinstance(self.nominal, bool) and value in (0, 1) else value, units)
        limit = f"(limit {self.words(units)})"
        if self.comparator == "EQ":
            off = "" if self.is_text or isinstance(self.nominal, bool) else f", off by {quantity(value - float(self.nominal), units, 3)}"
            return f"{name} = {_apart(said, value, self.nominal, units)} is not {quantity(self.nominal, units)}{off} {limit}"
        if self.comparator == "NE":
            return f"{name} = {said} is what it must not be {limit}"
        low, high = SIGNS[self.comparator]
        for bound, sign, side in ((self.high, high, "above"), (self.low, low, "below")):
            if bound is None or not sign or not (value > bound if side == "above" else value < bound):
                continue
            by = quantity(abs(value - float(bound)), units, 3)
            return f"{name} = {_apart(said, value, bound, units)} is {side} {quantity(bound, units)} by {by} {limit}"
        return f"{name} = {said} is on its limit, which is not in it {limit}"


def _real(bound):
    """A bound as the event has it: what JSON has no number for (Decimal, a bool, NumPy's, 2**64) as the float that it was judged by."""
    return bound if bound is None or type(bound) is float or (type(bound) is int and abs(bound) < 1 << 53) else float(bound)


def _apart(said: str, value, bound, units: str | None) -> str:
    """The value in all of its digits where it would read like the bound that it misses."""
    return f"{float(value)!r}{' ' + units if units else ''}" if said == quantity(bound, units) else said


def quantity(value, units: str | None, digits: int = 10) -> str:
    """A number with its units, a text in quotes (at most 100 characters of it), a bool as Python writes it."""
    if isinstance(value, str):
        value = str.__str__(value)  # of NumPy's, or an enumeration's
        return repr(value if len(value) <= 100 else value[:97] + "...")
    if isinstance(value, bool):
        return str(value)
    return f"{float(value):.{digits}g}{' ' + units if units else ''}"


def is_complex(value) -> bool:
    """Whether it is a complex number of numpy: float() of one drops what is imaginary."""
    return getattr(getattr(value, "dtype", None), "kind", None) == "c"


def check_label(what: str, key: str, word) -> None:
    """Errors: TypeError for units, a pin, a place in a specification that is no text, ValueError for one that is too long."""
    if not isinstance(word, str):
        raise TypeError(f"{what}: {key} is a text, not {word!r:.100}")
    if len(word) > LABEL_MAX:
        raise ValueError(f"{what}: {key} has {len(word)} characters, at most {LABEL_MAX} are taken: {word[:40]}...")


def in_units(value: float, units: str, wanted: str, what: str) -> float:
    """A value in other units, by pint.

    Errors: ValueError when the two do not measure the same, and without pint. To pint an angle is a number, so that 1 Hz were
    9.5 rpm, and 1 cd 1 lm: that is refused, too.
    """
    try:
        registry = _registry()
    except ImportError:
        raise ValueError(f"{what} is in {units} and its limit in {wanted}: convert one of them, or install pint (pip install 'litmus-recorder[units]')") from None
    import pint

    _check_powers(units, what)
    _check_powers(wanted, f"the limit of {what}")
    try:
        same = _angles(registry, units) == _angles(registry, wanted)
        made = registry.Quantity(float(value), units).to(wanted).magnitude
        # 3400 mV are 3.4 V, not 3.4000000000000004 V: the last bits are the conversion's. Where zero is not nothing (degC, dBm) they are those of larger numbers
        made = float(f"{made:.15g}") if _is_scale(registry, wanted) else round(made, 9)
    except pint.DimensionalityError as exc:
        raise ValueError(f"{what} is in {units} and its limit in {wanted}: {exc}") from None
    except Exception as exc:  # units that are none: pint's parser has many ways to say so
        raise ValueError(f"{what} is in {units} and its limit in {wanted}: {type(exc).__name__}: {exc}") from None
    if not same:
        raise ValueError(f"{what} is in {units} and its limit in {wanted}: only one of them counts angles (a revolution is 2 pi rad); convert one of them")
    check_range(what, made, value)
    return made


def check_range(what: str, made: float, value) -> None:
    """Errors: ValueError for a number that is infinite only as a float."""
    if math.isinf(made) and value != made:
        raise ValueError(f"{what}: the value is larger than any floating-point number")


def _check_powers(units: str, what: str) -> None:
    """pint works out every power in the text: 9**9**9 would keep it busy for good."""
    product, powers = 1.0, re.split(r"\*\*|\^", units)[1:]
    for place, text in enumerate(powers, 1):
        number = re.match(r"\s*(?:([-+]?\d{1,3}(?:\.\d{1,6})?)|\(\s*([-+]?\d{1,3}(?:\.\d{1,6})?)\s*\))(?![\w.])\s*", text)
        tower = number is not None and number.end() == len(text) and place < len(powers)
        product = math.inf if number is None or tower else product * max(abs(float(number[1] or number[2])), 1)
    if product > 1000:
        raise ValueError(f"{what} has units that are none: {units!r}: their powers are to be plain numbers, 1000 at most")


def _angles(registry, units: str) -> float:
    """The power of radian in the units."""
    return dict(registry.Quantity(1.0, units).to_root_units().unit_items()).get("radian", 0)


def _is_scale(registry, units: str) -> bool:
    """Whether twice the number is twice as much, which it is not in degC and dBm."""
    one, two = (registry.Quantity(number, units).to_root_units().magnitude for number in (1.0, 2.0))
    return math.isclose(two, 2 * one)


def _registry():
    import pint

    return pint.get_application_registry()
