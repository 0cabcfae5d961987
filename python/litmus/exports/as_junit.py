# SPDX-License-Identifier: Apache-2.0
"""JUnit XML, as the schema of Jenkins' xUnit plugin has it: a testsuite a run, a testcase a step.

A step that never ran is <skipped type="litmus.never_ran" message="never ran: maxfail"/>, never a bare testcase.
Attempts before the last are Surefire's flakyFailure and flakyError (it passed at last), rerunFailure and rerunError.
A run that is bad though no step is gets one more testcase, litmus.run, with the error: nothing may look green by chance.
What JUnit has no place for is in <system-out> as [[PROPERTY|name=value]] lines, which CI servers know.
"""

from __future__ import annotations

from litmus.exports.reading import BAD
from litmus.exports.text import attributes, encode, plain, to_json, when, xml

_SUITE = ("run_id", "session_id", "dut_serial", "dut_part_number", "dut_revision", "dut_lot_number", "product_id", "station_id", "station_name", "fixture_id",
          "test_phase", "operator_id", "project_name", "git_commit", "git_branch", "slot_id", "plan_digest", "stop_reason", "deselected_count")


def class_of(step) -> str:
    """The name that JUnit knows a folder of tests by: module and class."""
    module = step.module or (step.file or "").removesuffix(".py").replace("/", ".")
    return ".".join(filter(None, [module, step.cls])) or step.parent.replace("/", ".") or "litmus"


def _verdict(step) -> str:
    """The child that says what came of it."""
    if step.word == "failed":
        return f"<failure{attributes(type='failed', message=step.message or 'failed')}/>"
    if step.word in BAD:
        return f"<error{attributes(type=step.word, message=step.message or step.word)}/>"
    if step.word == "skipped":
        return f"<skipped{attributes(type='litmus.skipped', message=step.message or 'skipped')}/>"
    if step.word in ("never_ran", "not_yet", "running"):
        return f"<skipped{attributes(type='litmus.' + step.word, message=step.why)}/>"
    return ""


def _reruns(step) -> str:
    kind = "rerun" if step.word in BAD else "flaky"
    made = []
    for attempt in step.attempts[:-1]:
        tag = kind + ("Failure" if attempt.outcome == "failed" else "Error")
        made.append(f"<{tag}{attributes(type=attempt.outcome or 'unknown', message=f'attempt {attempt.number}: {attempt.outcome}')}/>")
    return "".join(made)


def _number(value) -> str:
    return "" if value is None else repr(value)


def _notes(step) -> str:
    pairs = [("litmus.outcome", step.word)] if step.word == "done" else []
    pairs += [("litmus.step_path", step.path), ("litmus.vector_index", step.vector_index)] if step.vector_index else []
    pairs += [("litmus.cause", step.cause)] if step.cause else []
    pairs += [("litmus.attempts", " ".join(a.outcome or "unknown" for a in step.attempts))] if len(step.attempts) > 1 else []
    pairs += [(f"in.{key}", value) for key, value in step.inputs.items()] + [(f"out.{key}", value) for key, value in step.outputs.items()]
    lines = [f"[[PROPERTY|{key}={value if isinstance(value, (str, int)) else to_json(value)}]]" for key, value in pairs]
    for m in step.measurements:
        lines.append(f"[[MEASUREMENT|{m.name}={_number(m.value) or m.text or ''} {m.units or ''} [{_number(m.limit_low)}, {_number(m.limit_high)}] {m.outcome or ''}]]")
    return f"<system-out>{xml(chr(10).join(lines)).replace('&#10;', chr(10))}</system-out>" if lines else ""


def testcase(step) -> str:
    """One step."""
    head = f"<testcase{attributes(classname=class_of(step), name=step.title, time=f'{step.seconds:.6f}')}>"
    return head + _verdict(step) + _reruns(step) + _notes(step) + "</testcase>\n"


def _suite(run, out) -> None:
    counts = run.counts()
    errors = sum(counts.get(word, 0) for word in BAD if word != "failed")
    skipped = sum(counts.get(word, 0) for word in ("skipped", "never_ran", "not_yet", "running"))
    trouble = run.hidden_trouble
    out.write(encode(f"<testsuite{attributes(name=run.title, tests=counts['planned'] + bool(trouble), failures=counts.get('failed', 0), errors=errors + bool(trouble), skipped=skipped, time=f'{run.seconds:.3f}', timestamp=(when(run.started) or '')[:26] or None, hostname=run.fields.get('station_hostname'), id=run.id)}>\n<properties>"))
    facts = {name: run.fields.get(name) for name in _SUITE}
    facts.update({f"count.{word}": number for word, number in counts.items()}, outcome=run.outcome, live="true" if run.live else None)
    facts.update({name: value for name, value in run.fields.items() if name.startswith("custom_")})
    for name, value in facts.items():
        if value is not None and value != "":
            out.write(encode(f"<property{attributes(name='litmus.' + name, value=plain(value))}/>"))
    out.write(b"</properties>\n")
    for step in run.steps:
        out.write(encode(testcase(step)))
    if trouble:
        out.write(encode(f"<testcase{attributes(classname='litmus', name='litmus.run', time='0')}><error{attributes(type=run.outcome, message=trouble)}/></testcase>\n"))
    out.write(b"</testsuite>\n")


def write(runs, out) -> None:
    out.write(b'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="litmus">\n')
    for run in runs:
        _suite(run, out)
    out.write(b"</testsuites>\n")
