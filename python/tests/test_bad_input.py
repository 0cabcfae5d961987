# SPDX-License-Identifier: Apache-2.0
"""Bad input to the verbs of a test body: a clear error at once, on record as the step's message, the rest of the plan intact."""

from __future__ import annotations

import pytest

LARGE = "('x' * 10_000_000)"

# what the test does -> words of the error that both pytest and the record show
REFUSED = {
    "verify('a', 1, (2, 1))": "low 2",
    "verify('a', 1, low=2, high=1)": "low 2",
    "measure('a', 1, {'low': 2, 'high': 1})": "low 2",
    "verify('a', 1, {'low': 1, 'comparator': 'LT'})": "LT",
    "verify('a', 1, comparator='EQ')": "a comparator without low, high or nominal",
    "verify('a', 1, {'nominal': 5})": "nominal",
    "verify('a', 1, {'low': 1, 'comparator': 'GELL'})": "GELE",
    "verify('a', 1, {'lwo': 1})": "did you mean 'low'",
    "verify('a', 1, (float('nan'), 1))": "NaN",
    "verify('a', 1, {})": "no limit",
    "verify('a', 1)": "no limit",
    "verify('a', 1, (1, 2, 3))": "limit of a",
    "verify('a', 1, 'high')": "limit of a",
    "verify('a', 1, (1, 2), dut_pim='P1')": "did you mean 'dut_pin'",
    "verify('a', 1, (1, 2), dut_pin=7)": "dut_pin is a text",
    "[measure('a', 1) for _ in range(2)]": "was measured in",
    "verify('a', 1, (1, 2, ), high=3)": "a",
    "verify('a', 1, {'low': 1, 'units': 'V'}, units='A')": "A",
    "verify('a', 1, {'low': 1, 'units': 'V'}, units='bananas')": "bananas",
    "verify('a', 'text', (1, 2))": "is a text, and its limit one of numbers",
    "verify('a', 1, {'nominal': 'v2'})": "is a number, and its limit a text",
    "measure('a', [1, 2])": "not list",
    "measure('a', object())": "not object",
    "measure('a', b'1')": "not bytes",
    "measure('a', 1 + 2j)": "not complex",
    "measure('a', 10 ** 400)": "measurement a: the value is larger than any floating-point number",
    "measure('a', __import__('decimal').Decimal('1e999'))": "measurement a: the value is larger than any floating-point number",
    "verify('a', 1, low=10 ** 400)": "the limit of a cannot judge: low is larger than any floating-point number",
    "verify('a', 1, high=-10 ** 5000)": "the limit of a cannot judge: high is larger than any floating-point number",
    "verify('a', 1, (None, __import__('decimal').Decimal('1e999')))": "the limit of a cannot judge: high is larger than any floating-point number",
    "verify('a', 1e308, {'low': 1, 'units': 'mV'}, units='kV')": "measurement a: the value is larger than any floating-point number",
    "verify('a', __import__('pint').Quantity(3.3, ''), {'low': 1, 'units': 'V'})": "its limit in V: Cannot convert from 'dimensionless'",
    "measure(7, 1)": "the name of a measurement",
    "measure('', 1)": "the name of a measurement",
    "measure(None, 1)": "the name of a measurement",
    "observe('', 1)": "the name of an observation",
    f"measure({LARGE}, 1)": "at most 255 bytes",
    f"measure('a', {LARGE})": "attach it instead",
    f"measure('a', 1, units={LARGE})": "at most",
    f"measure('a', 1, dut_pin={LARGE})": "at most",
    f"verify('a', 'v', {{'nominal': {LARGE}}})": "at most",
    f"verify('a', 1, {{{LARGE}: 1}})": "limit of a",
    f"verify('a', 1, {{'low': 1, 'comparator': {LARGE}}})": "comparator",
    f"observe({LARGE}, 1)": "at most 255 bytes",
    f"observe('a', {LARGE})": "attach it instead",
    f"step({LARGE})": "at most 255 bytes",
    "step('')": "the name of a sub-step",
    "step(7)": "the name of a sub-step",
    "step('a', inputs=7).__enter__()": "inputs",
    "attach(b'x')": "the name of an attachment",
    "attach(7, 'a')": "path of a file, or bytes",
    f"attach(b'x', {LARGE})": "at most 255 bytes",
    "attach(b'x', 'a', mime=7)": "media type",
    "attach('nul\\0byte', 'a')": "a",
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    from harness import Suite

    suite = Suite(tmp_path_factory.mktemp("bad"))
    tests = [f"def test_{number}(verify, measure, observe, step, attach):\n    {act}\n" for number, act in enumerate(REFUSED)]
    suite.write({"test_bad.py": "".join(tests) + "def test_last(): pass\n"})
    return suite.run()


@pytest.mark.parametrize("number, act", list(enumerate(REFUSED)), ids=[act.replace(LARGE, "LARGE") for act in REFUSED])
def test_refused(recorded, number, act):
    (step,) = [event for event in recorded.of("test.step_ended") if event["step_name"] == f"test_{number}"]
    assert step["outcome"] == "errored" and REFUSED[act] in step["message"], step["message"]
    assert len(step["message"]) < 2100


def test_nothing_that_was_refused_is_on_record_and_the_plan_is(recorded):
    measured = recorded.of("test.measurement")
    assert [event["step_name"] for event in measured] == ["test_" + str(list(REFUSED).index("[measure('a', 1) for _ in range(2)]"))]
    assert recorded.of("test.observation") == []
    ended = {event["step_name"]: event["outcome"] for event in recorded.of("test.step_ended")}
    assert len(ended) == len(REFUSED) + 1 == len(recorded.plan) and ended["test_last"] == "passed"
    assert recorded.run_ended["outcome"] == "errored" and not recorded.of("diagnostic.error")
