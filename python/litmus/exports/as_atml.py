# SPDX-License-Identifier: Apache-2.0
"""ATML Test Results, IEEE 1636.1-2013: a TestResults a run, a Test a step, a TestResult a measurement.

A step that never ran has the outcome NotStarted, with the reason as its qualifier. A step of several attempts is a
TestGroup with the step's outcome and a Test for each. The standard's own words are Passed, Failed, Aborted, NotStarted
and UserDefined; ours is the qualifier of the last three.
"""

from __future__ import annotations

from litmus.exports.reading import finite
from litmus.exports.text import attributes, encode, to_json, when, xml

_SPACES = {
    "xmlns:trc": "urn:IEEE-1636.1:2013:TestResultsCollection", "xmlns:tr": "urn:IEEE-1636.1:2013:TestResults",
    "xmlns:c": "urn:IEEE-1671:2010:Common", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}  # fmt: skip
_OUTCOMES = {
    "passed": ("Passed", None), "failed": ("Failed", None), "done": ("UserDefined", "Done"), "skipped": ("UserDefined", "Skipped"),
    "errored": ("Aborted", "Error"), "terminated": ("Aborted", "Terminated"), "aborted": ("Aborted", "Aborted"), "running": ("UserDefined", "Running"),
}  # fmt: skip
_PAIRS = {"GELE": ("GE", "LE"), "GELT": ("GE", "LT"), "GTLE": ("GT", "LE"), "GTLT": ("GT", "LT")}


def _outcome(word: str | None, why: str = "") -> str:
    value, qualifier = _OUTCOMES.get(word or "", ("NotStarted", why or word or "no outcome"))
    return f"<tr:Outcome{attributes(value=value, qualifier=qualifier)}/>"


def _datum(value, units: str | None = None) -> str:
    if isinstance(value, bool):
        kind, text = "boolean", str(value).lower()
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        kind, text = "long", str(value)
    elif finite(value):
        kind, text = "double", repr(float(value))
    else:
        kind, text = "string", value if isinstance(value, str) else to_json(value)
    unit = f' nonStandardUnit="{xml(units)}"' if units else ""
    if kind == "string":
        return f'<c:Datum xsi:type="c:string"{unit}><c:Value>{xml(text)}</c:Value></c:Datum>'
    return f'<c:Datum xsi:type="c:{kind}" value="{xml(text)}"{unit}/>'


def _limits(m) -> str:
    """The limit, in the words of c:Limit; "" when there is none."""
    word, units = m.fields.get("limit_comparator") or "GELE", m.units
    nominal = m.fields.get("limit_nominal", m.fields.get("limit_text"))
    low_word, high_word = _PAIRS.get(word, (word if word[:1] == "G" else None, word if word[:1] == "L" else None))
    sides = [(side, bound) for side, bound in ((low_word, m.limit_low), (high_word, m.limit_high)) if side and bound is not None]
    if word in ("EQ", "NE") and nominal is not None:
        inner = f'<c:Expected comparator="{word}">{_datum(nominal, units)}</c:Expected>'
    elif len(sides) == 2:
        inner = '<c:LimitPair operator="AND">' + "".join(f'<c:Limit comparator="{side}">{_datum(bound, units)}</c:Limit>' for side, bound in sides) + "</c:LimitPair>"
    elif sides:
        inner = f'<c:SingleLimit comparator="{sides[0][0]}">{_datum(sides[0][1], units)}</c:SingleLimit>'
    else:
        return ""
    return f"<tr:TestLimits><tr:Limits>{inner}</tr:Limits></tr:TestLimits>"


class _Writer:
    """One document; gives out the ids that must be unique in it."""

    def __init__(self, out):
        self._out, self._last = out, 0

    def put(self, text: str) -> None:
        self._out.write(encode(text))

    def id(self, letter: str) -> str:
        self._last += 1
        return f"{letter}{self._last}"

    def result(self, name: str, value, units, outcome: str, taken=None, limits: str = "") -> str:
        data = "" if value is None else f"<tr:TestData{attributes(acquisitionTimeStamp=when(taken))}>{_datum(value, units)}</tr:TestData>"
        return f"<tr:TestResult{attributes(ID=self.id('r'), name=name or 'value')}>{outcome}{data}{limits}</tr:TestResult>"

    def results(self, step, attempt: int) -> str:
        """The measurements of one attempt; with the last, what the step observed."""
        made = [self.result(m.name, m.said, m.units, _outcome(m.outcome) if m.outcome else "", m.taken, _limits(m))
                for m in step.measurements if m.vector_retry == attempt or len(step.attempts) < 2]
        if attempt == max(len(step.attempts) - 1, 0):
            made += [self.result(name, value, None, "") for name, value in step.outputs.items()]
        return "".join(made)

    def about(self, step) -> str:
        """Events and parameters of a step."""
        message = f"<tr:Events><tr:Event{attributes(ID=self.id('e'), source='litmus')}><tr:Message>{xml(step.message)}</tr:Message></tr:Event></tr:Events>" if (step.message or "").strip() else ""
        inputs = "".join(f"<tr:Parameter{attributes(ID=self.id('p'), name=name or 'input')}><tr:Data>{_datum(value)}</tr:Data></tr:Parameter>" for name, value in step.inputs.items())
        return message + (f"<tr:Parameters>{inputs}</tr:Parameters>" if inputs else "")

    def step(self, step, run) -> str:
        reference = step.node_id or step.path or None
        head = {"name": step.title or "step", "testReferenceID": reference}
        began = step.started or run.started  # the schema asks for one, also of what never started
        if len(step.attempts) < 2:
            times = {"startDateTime": when(began), "endDateTime": when(step.ended)}
            return f"<tr:Test{attributes(ID=self.id('s'), **head, **times)}>{self.about(step)}{_outcome(step.word, step.why)}{self.results(step, 0)}</tr:Test>\n"
        tries = "".join(f"<tr:Test{attributes(ID=self.id('s'), name=f'attempt {a.number}', startDateTime=when(a.started or began), endDateTime=when(a.ended))}>{_outcome(a.outcome or step.word)}{self.results(step, a.number - 1)}</tr:Test>"
                        for a in step.attempts)
        times = {"startDateTime": when(step.attempts[0].started or began), "endDateTime": when(step.ended)}
        return f"<tr:TestGroup{attributes(ID=self.id('s'), **head, **times)}>{self.about(step)}{_outcome(step.word, step.why)}{tries}</tr:TestGroup>\n"

    def run(self, run) -> None:
        get = run.fields.get
        operator = get("operator_id") or get("operator_name") or "unknown"
        self.put(f"<trc:TestResults{attributes(uuid=run.id, name=run.title)}>\n<tr:Personnel><tr:SystemOperator{attributes(ID=operator, name=get('operator_name') or operator)}/></tr:Personnel>\n")
        began, ended = when(run.started), None if run.live else when(run.ended)
        self.put(f"<tr:ResultSet{attributes(ID=self.id('set'), name=run.title, startDateTime=began, endDateTime=ended)}>{_outcome(run.outcome, 'in flight' if run.live else '')}\n")
        for step in run.steps:
            self.put(self.step(step, run))
        self.put("</tr:ResultSet>\n")
        station = get("station_id") or get("station_hostname")
        if station:
            self.put(f"<tr:TestStation><c:SerialNumber>{xml(station)}</c:SerialNumber></tr:TestStation>\n")
        part = get("dut_part_number")
        number = f'<c:IdentificationNumbers><c:IdentificationNumber{attributes(number=part, type="Part", qualifier="part number")} xsi:type="c:UserDefinedIdentificationNumber"/></c:IdentificationNumbers>' if part else ""
        definition = f"<c:Definition><c:Identification>{number}</c:Identification></c:Definition>" if number else ""
        self.put(f"<tr:UUT>{definition}<c:SerialNumber>{xml(get('dut_serial') or 'unknown')}</c:SerialNumber></tr:UUT>\n</trc:TestResults>\n")


def write(runs, out) -> None:
    writer = _Writer(out)
    spaces = "".join(f' {name}="{value}"' for name, value in _SPACES.items())
    writer.put(f'<?xml version="1.0" encoding="UTF-8"?>\n<trc:TestResultsCollection{spaces}>\n')
    for run in runs:
        writer.run(run)
    writer.put("</trc:TestResultsCollection>\n")
