# SPDX-License-Identifier: Apache-2.0
"""pytest's items -> the plan: one map an item, in execution order.

A logical step is file + class chain + function, without the parameter suffix; its path is
`{file}/{Class}/{function}`. Walking the items in execution order, `step_index` is the order of first
appearance of the step and `vector_index` counts the items of it that came before, so that the
same test collected twice is two vectors and no two items share a row.
"""

from __future__ import annotations

import gc
import sys


class Step:
    """A planned item: its entry in the plan, and what the recorder notes while it runs."""

    __slots__ = ("again", "decorated_skip", "entry", "item", "name", "raw_node_id", "runs")

    def __init__(self, item, entry: dict, name: str, decorated_skip: bool):
        self.item = item  # also keeps id(item) from being given to another object
        self.entry = entry
        self.name = name  # of the step, without parameters
        self.raw_node_id = item.nodeid  # as the reports have it
        self.decorated_skip = decorated_skip  # unittest's decorators: passed over in the body, not by a marker
        self.runs = 0
        self.again: Step | None = None  # the next place of the same item


class _Holder:
    """What all items of one collector share."""

    __slots__ = ("class_name", "file", "functions", "marks", "module", "obj", "prefix", "skip_marks", "unittest_skip")


class _Function:
    """What all items of one logical step share."""

    __slots__ = ("count", "decorated_skip", "first", "index", "marks", "path")


class Plan:
    """The plan of a run.

    Parameters: items (in execution order), deselected (their number), copies and ordinal (how many
    workers each run the whole list, and which of them this is: `--dist each`), grouped (node ids may
    carry xdist's `@group` suffix).

    `.entries` is the payload of test.steps_discovered; `.find(item)` gives the Step of an item.
    """

    def __init__(self, items, deselected: int = 0, copies: int = 1, ordinal: int = 0, grouped: bool = False):
        self._holders: dict = {}
        self._functions: dict = {}
        self._grouped = grouped
        self._file_type, self._class_type, self._module_type = _types()
        self._steps: dict = {}
        self._by_node_id: dict | None = None
        self.deselected = deselected
        self.entries: list = []
        collecting = gc.isenabled()
        gc.disable()  # a map an item and nothing to free: the collector would walk all of them again and again
        try:
            self._build(items, copies, ordinal)
        finally:
            if collecting:
                gc.enable()

    def _build(self, items, copies: int, ordinal: int) -> None:
        own = self.entries
        add = self._add
        functions = []
        for item in items:
            function, entry = add(item)
            functions.append(function)
            own.append(entry)
            sweep = getattr(item, "_litmus_sweep", None)
            if sweep is not None:
                spread = self._spread(function, entry, sweep.planned)
                own += spread
                functions += [function] * len(spread)
        for function, entry in zip(functions, own):
            entry["vector_count_planned"] = function.count * copies
        if copies > 1:
            self._multiply(functions, copies, ordinal)

    @staticmethod
    def _spread(function: _Function, entry: dict, planned: list) -> list:
        """The vectors of a declared sweep behind its first, whose entry is that of the item."""
        first = entry["vector_index"]
        function.count += len(planned) - 1
        entry["inputs"] = planned[0]
        return [dict(entry, vector_index=first + n, inputs=planned[n]) for n in range(1, len(planned))]

    def _multiply(self, functions: list, copies: int, ordinal: int) -> None:
        """Every worker runs every item: one vector each, those of worker 0 first."""
        base = self.entries
        self.entries = []
        for copy in range(copies):
            for function, entry in zip(functions, base):
                shifted = dict(entry, vector_index=entry["vector_index"] + copy * function.count)
                self.entries.append(shifted)
        for function, entry in zip(functions, base):
            entry["vector_index"] += ordinal * function.count

    def digest(self) -> str:
        """SHA-256 over (step_path, vector_index) in order: the same plan has the same digest."""
        import hashlib

        text = "".join([f"{entry['step_path']}\0{entry['vector_index']}\n" for entry in self.entries])
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()

    def find(self, item) -> Step:
        """The step of an item; one that a plugin made after collection joins at the end."""
        step = self._steps.get(id(item))
        if step is None:
            function, entry = self._add(item)
            entry["vector_count_planned"] = function.count
            step = self._steps[id(item)]
        elif step.again and step.runs and not getattr(item, "execution_count", 1) > 1:
            self._steps[id(item)] = step = step.again  # the same object stands in the plan twice
        return step

    def by_node_id(self, node_id: str) -> Step | None:
        """The step whose reports carry this node id; of several, the first that has not run."""
        steps = self._by_node_id
        if steps is None:
            steps = self._by_node_id = {}
            for step in self._steps.values():
                while step is not None:
                    steps.setdefault(step.raw_node_id, []).append(step)
                    step = step.again
        found = steps.get(node_id)
        if not found:
            return None
        return next((step for step in found if not step.runs), found[-1])

    def _add(self, item) -> tuple:
        parent = item.parent
        holder = self._holders.get(id(parent))
        if holder is None:
            holder = self._holders[id(parent)] = self._hold(parent, item)
        name = item.name
        function_name = getattr(item, "originalname", None)
        if function_name is None and hasattr(item, "function"):
            function_name = without_parameters(name)
        function = holder.functions.get(function_name or name)
        if function is None:
            function = self._function(holder, function_name, name)
        node_id = item.nodeid
        own = item.own_markers
        skip_reason = None
        if own or holder.marks:
            names = tuple([mark.name for mark in own])
            marks = function.marks.get(names)
            if marks is None:
                marks = function.marks[names] = ",".join(sorted({*names, *holder.marks})) or None
            if holder.skip_marks or "skipif" in names or "skip" in names:
                skip_reason = _known_skip(own, holder.skip_marks)
            if self._grouped and "xdist_group" in marks:
                node_id = _without_group(node_id)
        else:
            marks = None
        if function.decorated_skip is not None:
            skip_reason = skip_reason if skip_reason is not None else function.decorated_skip
        entry = {
            "node_id": node_id,
            "name": name,
            "file": holder.file,
            "module": holder.module if holder.module is not None else _doctest_module(item),
            "class_name": holder.class_name,
            "function": function_name,
            "markers": marks,
            "step_path": function.path,
            "parent_path": holder.prefix,
            "step_index": function.index,
            "skip_reason": skip_reason,
            "vector_index": function.count,
            "vector_count_planned": 1,
        }
        function.count += 1
        step = Step(item, entry, function_name or without_parameters(name), function.decorated_skip is not None)
        last = self._steps.setdefault(id(item), step)
        if last is not step:
            while last.again is not None:
                last = last.again
            last.again = step
        return function, entry

    def _function(self, holder: _Holder, function_name: str | None, name: str) -> _Function:
        key = function_name or name
        path = f"{holder.prefix}/{quote(key)}" if holder.prefix else quote(key)
        shared = self._functions.get(path)  # the same file given twice has two collectors
        if shared is None:
            shared = _Function()
            shared.path = path
            shared.index = len(self._functions)
            shared.count = 0
            shared.marks = {}
            shared.decorated_skip = _decorated_skip(holder, function_name)
            self._functions[path] = shared
        holder.functions[key] = shared
        return shared

    def _hold(self, parent, item) -> _Holder:
        holder = _Holder()
        holder.functions = {}
        holder.obj = None
        holder.unittest_skip = None
        names: list = []
        classes: list = []
        holder.module = None
        node = parent
        while node is not None and not isinstance(node, self._file_type):
            if isinstance(node, self._class_type):
                if holder.obj is None:
                    holder.obj = node.obj
                classes.append(node.name)
            if node.parent is None:  # the session: an item without a file
                break
            if node.name != "()":  # pytest < 7 had an Instance node
                names.append(quote(node.name))
            node = node.parent
        if isinstance(node, self._file_type):
            holder.file = node.nodeid or item.nodeid.split("::", 1)[0]
            if isinstance(node, self._module_type):
                try:
                    module = node.obj
                    holder.module = module.__name__
                    if holder.obj is None:
                        holder.obj = module
                except Exception:  # a module that cannot be had is no reason to lose the plan
                    holder.module = None
        else:
            holder.file = item.nodeid.split("::", 1)[0] or None
        names.reverse()
        classes.reverse()
        holder.class_name = ".".join(classes) or None
        holder.prefix = "/".join([holder.file or "", *names]).strip("/")
        holder.unittest_skip = _class_skip(parent, holder.obj)
        marks = list(parent.iter_markers()) if parent is not None else []
        holder.marks = {mark.name for mark in marks}
        holder.skip_marks = [mark for mark in marks if mark.name in ("skip", "skipif")]
        return holder


def quote(name: str) -> str:
    """A name as one part of a path: `/` and `%` percent-encoded."""
    if "/" in name or "%" in name:
        return name.replace("%", "%25").replace("/", "%2F")
    return name


def without_parameters(name: str) -> str:
    """A name without one trailing `[...]`."""
    if name.endswith("]"):
        at = name.find("[")
        if at > 0:
            return name[:at]
    return name


def _types() -> tuple:
    import pytest

    return pytest.File, pytest.Class, pytest.Module


def _without_group(node_id: str) -> str:
    at = node_id.rfind("@")
    return node_id[:at] if at > 0 else node_id


def _doctest_module(item) -> str | None:
    globs = getattr(getattr(item, "dtest", None), "globs", None)
    name = globs.get("__name__") if isinstance(globs, dict) else None
    return name if isinstance(name, str) and name != "__main__" else None


def _known_skip(own, inherited) -> str | None:
    """The reason of a skip marker that is known at collection; None when it takes an evaluation."""
    marks = [mark for mark in own if mark.name in ("skip", "skipif")] + inherited
    for mark in marks:
        if mark.name == "skipif":
            conditions = (mark.kwargs["condition"],) if "condition" in mark.kwargs else mark.args
            if not conditions or any(condition is True for condition in conditions):
                return str(mark.kwargs.get("reason", ""))
    for mark in marks:
        if mark.name == "skip":
            reason = mark.args[0] if mark.args else mark.kwargs.get("reason", "unconditional skip")
            return str(reason)
    return None


def _class_skip(parent, cls) -> str | None:
    if getattr(cls, "__unittest_skip__", False) is not True:
        return None
    unittest_plugin = sys.modules.get("_pytest.unittest")
    if unittest_plugin is None or not isinstance(parent, unittest_plugin.UnitTestCase):
        return None
    return str(getattr(cls, "__unittest_skip_why__", ""))


def _decorated_skip(holder: _Holder, function_name: str | None) -> str | None:
    """The words of unittest's skip decorators on a function or its class; None without one."""
    if holder.unittest_skip is not None:
        return holder.unittest_skip
    if function_name is None or holder.obj is None:
        return None
    try:
        function = getattr(holder.obj, function_name, None)
        if getattr(function, "__unittest_skip__", False) is True:
            return str(getattr(function, "__unittest_skip_why__", ""))
    except Exception:  # somebody's __getattr__
        pass
    return None
