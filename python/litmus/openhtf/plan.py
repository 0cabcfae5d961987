# SPDX-License-Identifier: Apache-2.0
"""What an OpenHTF test is going to do: its phases in order, each with a path of its own, and a hook before each."""

from __future__ import annotations

import functools
import inspect
import os

from openhtf.core.phase_branches import BranchSequence
from openhtf.core.phase_descriptor import DEFAULT_REPEAT_LIMIT, PhaseDescriptor
from openhtf.util import data

from litmus._plan import quote


class Planned:
    """One phase of the plan.

    Attributes:
        name: of the phase, its own.
        groups: names of the groups, sequences and subtests that it is in, outermost first.
        branch: name of the branch that leads to it, or None.
        conditional: it has a `run_if`.
        repeat_limit: how many attempts it has at most.
        code: `file`, `module` and `function` of what it calls.
        step: the fields that its step events share; made when a run starts.
    """

    __slots__ = ("branch", "code", "conditional", "groups", "name", "repeat_limit", "step")

    def __init__(self, phase: PhaseDescriptor, groups: tuple, branch: str | None):
        self.name = str(phase.name)
        self.groups, self.branch = groups, branch
        self.conditional = phase.options.run_if is not None
        self.repeat_limit = phase.options.repeat_limit or DEFAULT_REPEAT_LIMIT
        self.code = _code(phase.func)
        self.step = None


def _code(func) -> dict:
    func = inspect.unwrap(getattr(func, "func", func))
    try:
        file = os.path.relpath(inspect.getsourcefile(func))
    except (TypeError, ValueError):  # built in, or on another drive
        file = None
    return {"file": file, "module": getattr(func, "__module__", None), "function": getattr(func, "__name__", None)}


def _announced(phase: PhaseDescriptor, before) -> PhaseDescriptor:
    """A copy of the phase that calls `before(copy)` each time it is about to run."""
    func = phase.func

    @functools.wraps(func)
    def announce(*args, **kwargs):
        before(copy)
        return func(*args, **kwargs)

    announce.__signature__ = inspect.signature(func)  # OpenHTF hands over what the signature asks for
    copy = data.attr_copy(phase, func=announce)
    return copy


def _walk(node, groups: tuple, branch: str | None):
    if isinstance(node, PhaseDescriptor):
        yield node, groups, branch
        return
    name = getattr(node, "name", None)
    inside = groups + (str(name),) if name else groups
    if isinstance(node, BranchSequence):
        branch = str(name or "unnamed")
    parts = getattr(node, "nodes", None)
    if parts is None:
        parts = [part for part in (getattr(node, when, None) for when in ("setup", "main", "teardown")) if part is not None]
    for part in parts:
        yield from _walk(part, inside if hasattr(node, "nodes") or name else groups, branch)


def announce_phases(test, before) -> dict:
    """Has `before(planned)` called when a phase is about to run.

    Returns:
        {id of the phase's descriptor: Planned}, in the order of the test. A descriptor lives as long as the test.
    """
    plan: dict = {}
    descriptor = test.descriptor
    descriptor.phase_sequence = descriptor.phase_sequence.apply_to_all_phases(lambda phase: _announced(phase, lambda copy: before(plan[id(copy)])))
    for phase, groups, branch in _walk(descriptor.phase_sequence, (), None):
        plan[id(phase)] = Planned(phase, groups, branch)
    return plan


def name_steps(test_name: str, phases: list) -> list[dict]:
    """Gives each phase its step, and returns the items of the plan. A name that comes again in its group gets a number."""
    seen: dict = {}
    items = []
    for index, phase in enumerate(phases):
        parent = "/".join(quote(name) for name in (test_name, *phase.groups))
        path = f"{parent}/{quote(phase.name)}"
        again = seen[path] = seen.get(path, 0) + 1
        if again > 1:
            path = f"{path} ({again})"
        phase.step = {"step_name": phase.name, "step_index": index, "step_path": path, "parent_path": parent, "node_id": path, **phase.code}
        items.append({"node_id": path, "name": phase.name, **phase.code, "class_name": None, "step_path": path, "parent_path": parent,
                      "step_index": index, "vector_index": 0, "vector_count_planned": 1})
    return items


class Trigger(Planned):
    """The phase that starts a test (`test_start`), which is not among its phases."""

    __slots__ = ()

    def __init__(self, name: str):
        self.name, self.groups, self.branch, self.conditional, self.step = str(name), (), None, False, None
        self.repeat_limit = DEFAULT_REPEAT_LIMIT
        self.code = {"file": None, "module": None, "function": str(name)}
