# SPDX-License-Identifier: Apache-2.0
"""The verbs of a test body where nobody expected them: nested, in threads, in fixtures, behind the end, under xdist, in async tests."""

from __future__ import annotations

import pytest

SUITE = {
    "test_h.py": '''
import asyncio, os, subprocess, sys, threading
import pytest

def test_soft_in_soft(verify, step):
    with verify.soft():
        verify("outer", 5, (0, 1))
        with step("inner", soft=True):
            verify("a", 5, (0, 1))
            verify("b", 6, (0, 1))
        assert False, "the inner part raised"

def test_soft_keeps_another_error(verify):
    with verify.soft():
        verify("a", 5, (0, 1))
        raise OSError("gone")

def test_soft_that_is_caught(verify):
    try:
        with verify.soft():
            verify("a", 5, (0, 1))
    except AssertionError:
        pass

def test_a_caught_violation_still_fails(verify):
    try:
        verify("a", 5, (0, 1))
    except AssertionError:
        pass

def test_threads(verify, measure, step):
    failures = []
    def work(n):
        try:
            for k in range(20): measure(f"t{n}_{k}", k)
        except BaseException as exc: failures.append(exc)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not failures

def test_a_violation_in_a_thread(measure):
    thread = threading.Thread(target=lambda: measure("in_thread", 5, (0, 1)))
    thread.start(); thread.join()

@pytest.fixture
def measures_around(measure):
    measure("before", 1, (0, 2))
    yield
    measure("after", 5, (0, 2))

def test_in_fixture(measures_around): pass

@pytest.fixture
def verifies_first(verify):
    verify("supply", 5, (0, 1))

def test_in_setup(verifies_first): raise SystemError("never reached")

@pytest.fixture
def verifies_last(verify):
    yield
    verify("supply", 5, (0, 1))

def test_in_teardown(verifies_last): pass

kept = {}
def test_keeps(verify, measure, observe, step, attach):
    kept.update(verify=verify, measure=measure, observe=observe, attach=attach, step=step("late"))
def test_uses_what_another_was_given():
    kept["measure"]("mine", 1, (0, 2))

def test_left_open(step):
    step("never closed").__enter__()

def test_closed_in_another_order(step):
    outer, inner = step("outer"), step("inner")
    outer.__enter__(); inner.__enter__()
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)

def test_step_twice(step):
    once = step("once")
    with once: pass
    with once: pass

def test_async(verify, step):
    async def one(n):
        with step(f"s{n}"):
            await asyncio.sleep(0)
            verify("v", 1, (0, 2))
    async def both(): await asyncio.gather(one(1), one(2))
    asyncio.run(both())

def test_subtests(subtests, verify):
    for n in range(2):
        with subtests.test(n=n):
            verify(f"s{n}", n, (0, 0))

def test_skips_in_step(step):
    with step("inner"): pytest.skip("not now")

def test_nan(verify):
    verify("nan", float("nan"), (0, 1))

def test_child(measure):
    code = "from litmus._measure import measure, observe, step\\nassert measure('x', 1, (0, 2)) is None\\nobserve('o', 1)\\nwith step('s'): pass"
    subprocess.run([sys.executable, "-c", code], check=True)

def test_forked(measure):
    pid = os.fork()
    if pid == 0:
        try: measure("in_child", 1, (0, 2))
        finally: os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    measure("in_parent", 1, (0, 2))

def test_last(): pass
''',
}

WANTED = {
    "test_soft_in_soft": "failed", "test_soft_keeps_another_error": "errored", "test_soft_that_is_caught": "failed", "test_a_caught_violation_still_fails": "failed",
    "test_threads": "passed", "test_a_violation_in_a_thread": "failed", "test_in_fixture": "failed", "test_in_setup": "errored", "test_in_teardown": "errored",
    "test_keeps": "passed", "test_uses_what_another_was_given": "passed", "test_async": "passed", "test_left_open": "passed",
    "test_closed_in_another_order": "passed", "test_step_twice": "passed", "test_subtests": "failed", "test_skips_in_step": "skipped", "test_nan": "errored",
    "test_child": "passed", "test_forked": "passed", "test_last": "passed",
}  # fmt: skip


@pytest.fixture(scope="module", params=[(), ("-n2",)], ids=["alone", "xdist"])
def recorded(request, tmp_path_factory):
    from harness import Suite

    suite = Suite(tmp_path_factory.mktemp("hostile"))
    suite.write(SUITE)
    return suite.run(*request.param)


def test_every_test_has_its_verdict(recorded):
    ended = {event["step_name"]: event["outcome"] for event in recorded.of("test.step_ended") if event["step_name"] in WANTED}
    assert ended == WANTED and recorded.run_ended["outcome"]
    assert not [event for event in recorded.of("diagnostic.error") if event.get("source") != "pytest.collect"], recorded.of("diagnostic.error")


def test_every_measurement_is_in_its_step(recorded):
    found: dict = {}
    for event in recorded.of("test.measurement"):
        found.setdefault(event["step_path"].partition("test_h.py/")[2], []).append(event["measurement_name"])
    assert found["test_soft_in_soft"] == ["outer"] and found["test_soft_in_soft/inner"] == ["a", "b"]
    assert sorted(found["test_threads"]) == sorted(f"t{n}_{k}" for n in range(4) for k in range(20))
    assert found["test_in_fixture"] == ["before", "after"] and found["test_in_setup"] == ["supply"] == found["test_in_teardown"]
    assert found["test_uses_what_another_was_given"] == ["mine"] and "test_keeps" not in found
    assert found["test_async/s1"] == ["v"] == found["test_async/s2"]
    assert "in_parent" in found["test_forked"]


def test_every_step_that_was_opened_ended(recorded):
    started = [event["step_path"] for event in recorded.of("test.step_started")]
    ended = [event["step_path"] for event in recorded.of("test.step_ended")]
    assert sorted(started) == sorted(ended)
