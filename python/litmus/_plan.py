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


class _Holder:
    """What all items of one collector share."""

    __slots__ = ("class_name", "file", "functions", "marked", "marks", "module", "obj", "prefix", "skip_marks", "unittest_skip")


class Plan:
    """The plan of a run.

    Parameters: items (in execution order), deselected (their number), copies and ordinal (how many
    workers each run the whole list, and which of them this is: `--dist each`), grouped (node ids may
    carry xdist's `@group` suffix).

    `.entries` is the payload of test.steps_discovered. Each item has a place, which `.find(item)` gives: in `.items`, in
    `.own` (its entry) and in `.runs` (how often it has run; the recorder counts).

    Nothing here is an object of its own a test: the garbage collector would walk all of them again and again, while the
    tests run. It leaves numbers, texts and maps of these alone.
    """

    def __init__(self, items, deselected: int = 0, copies: int = 1, ordinal: int = 0, grouped: bool = False):
        self._holders: dict = {}
        self._functions: dict = {}  # path of a logical step -> its index
        self._paths: list = []  # of a logical step
        self._counts: list = []  # of a logical step: its items so far
        self._skipped: dict = {}  # of a logical step: the words of unittest's skip decorators, where there are some
        self._grouped = grouped
        self._file_type, self._class_type, self._module_type = _types()
        self._places: dict = {}  # id of an item -> its place
        self._again: dict = {}  # place -> the next one of the same item
        self._by_node_id: dict | None = None
        self.deselected = deselected
        self.items: list = []  # also keeps their ids from being given to other objects
        self.own: list = []
        self.runs: list = []
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
        counts = self._counts
        for function, entry in zip(functions, own):
            entry["vector_count_planned"] = counts[function] * copies
        if copies > 1:
            self._multiply(functions, copies, ordinal)

    def _spread(self, function: int, entry: dict, planned: list) -> list:
        """The vectors of a declared sweep behind its first, whose entry is that of the item."""
        first = entry["vector_index"]
        self._counts[function] += len(planned) - 1
        entry["inputs"] = planned[0]
        return [dict(entry, vector_index=first + n, inputs=planned[n]) for n in range(1, len(planned))]

    def _multiply(self, functions: list, copies: int, ordinal: int) -> None:
        """Every worker runs every item: one vector each, those of worker 0 first."""
        base, counts = self.entries, self._counts
        self.entries = []
        for copy in range(copies):
            for function, entry in zip(functions, base):
                shifted = dict(entry, vector_index=entry["vector_index"] + copy * counts[function])
                self.entries.append(shifted)
        for function, entry in zip(functions, base):
            entry["vector_index"] += ordinal * counts[function]

    def digest(self) -> str:
        """SHA-256 over (step_path, vector_index) in order: the same plan has the same digest."""
        import hashlib

        text = "".join([f"{entry['step_path']}\0{entry['vector_index']}\n" for entry in self.entries])
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()

    def find(self, item) -> int:
        """The place of an item; one that a plugin made after collection joins at the end."""
        place = self._places.get(id(item))
        if place is None:
            function, entry = self._add(item)
            entry["vector_count_planned"] = self._counts[function]
            place = self._places[id(item)]
        elif place in self._again and self.runs[place] and not getattr(item, "execution_count", 1) > 1:
            self._places[id(item)] = place = self._again[place]  # the same object stands in the plan twice
        return place

    def by_node_id(self, node_id: str) -> int | None:
        """The place whose reports carry this node id; of several, the first that has not run."""
        places = self._by_node_id
        if places is None:
            places = self._by_node_id = {}
            for place, item in enumerate(self.items):
                places.setdefault(item.nodeid, []).append(place)
        found = places.get(node_id)
        if not found:
            return None
        return next((place for place in found if not self.runs[place]), found[-1])

    def name(self, place: int) -> str:
        """Of the step, without parameters."""
        entry = self.own[place]
        return entry["function"] or without_parameters(entry["name"])

    def is_decorated(self, place: int) -> bool:
        """Whether unittest's decorators skip it: it is passed over in the body, not by a marker."""
        return bool(self._skipped) and self.own[place]["step_index"] in self._skipped

    def _add(self, item) -> tuple:
        """(number of the logical step, entry) of an item that gets the next place."""
        parent = item.parent
        holder = self._holders.get(id(parent))
        if holder is None:
            holder = self._holders[id(parent)] = self._hold(parent, item)
        name = item.name
        function_name = getattr(item, "originalname", None)
        if function_name is None and hasattr(item, "function"):
            function_name = without_parameters(name)
        key = function_name or name
        index = holder.functions.get(key)
        if index is None:
            index = self._function(holder, function_name, key)
        node_id = item.nodeid
        own = item.own_markers
        marks = skip_reason = None
        if own or holder.marks:
            names = tuple([mark.name for mark in own])
            marks = holder.marked.get(names)
            if marks is None:
                marks = holder.marked[names] = ",".join(sorted({*names, *holder.marks})) or None
            if holder.skip_marks or "skipif" in names or "skip" in names:
                skip_reason = _known_skip(own, holder.skip_marks)
            if self._grouped and "xdist_group" in marks:
                node_id = _without_group(node_id)
        if skip_reason is None and self._skipped:
            skip_reason = self._skipped.get(index)
        entry = {
            "node_id": node_id,
            "name": name,
            "file": holder.file,
            "module": holder.module if holder.module is not None else _doctest_module(item),
            "class_name": holder.class_name,
            "function": function_name,
            "markers": marks,
            "step_path": self._paths[index],
            "parent_path": holder.prefix,
            "step_index": index,
            "skip_reason": skip_reason,
            "vector_index": self._counts[index],
            "vector_count_planned": 1,
        }
        self._counts[index] += 1
        place = len(self.own)
        self.items.append(item)
        self.own.append(entry)
        self.runs.append(0)
        before = self._places.setdefault(id(item), place)
        if before != place:
            while before in self._again:
                before = self._again[before]
            self._again[before] = place
        return index, entry

    def _function(self, holder: _Holder, function_name: str | None, key: str) -> int:
        """The number of a logical step that was not seen in this collector; the same file given twice has two of them."""
        path = f"{holder.prefix}/{quote(key)}" if holder.prefix else quote(key)
        index = self._functions.setdefault(path, len(self._functions))
        if index == len(self._paths):
            self._paths.append(path)
            self._counts.append(0)
            words = _decorated_skip(holder, function_name)
            if words is not None:
                self._skipped[index] = words
        holder.functions[key] = index
        return index

    def _hold(self, parent, item) -> _Holder:
        holder = _Holder()
        holder.functions = {}  # name -> number of the logical step
        holder.marked = {}  # names of an item's own markers -> those of all that it has
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
