# SPDX-License-Identifier: Apache-2.0
"""Who waits where: the sync points of a set of slots, without any socket or process."""

from __future__ import annotations


class Meeting:
    """The sync points. A slot that has ended is waited for no more.

    Parameters: slots (their ids). `waiting`: name -> {slot: its callers}.
    """

    def __init__(self, slots):
        self.slots = list(slots)
        self.alive = set(self.slots)
        self.waiting: dict = {}

    def arrive(self, slot: str, name: str, caller) -> list:
        """A caller is at a point. Returns the points that are complete by it: (name, callers)."""
        self.waiting.setdefault(name, {}).setdefault(slot, []).append(caller)
        return self._complete()

    def end(self, slot: str) -> list:
        """A slot has ended. Returns the points that are complete by it: (name, callers)."""
        self.alive.discard(slot)
        return self._complete()

    def leave(self, caller) -> tuple:
        """A caller waits no more. Returns (name of its point, ids of those that were not there); (None, []) when it waits nowhere."""
        for name, slots in self.waiting.items():
            for slot, callers in slots.items():
                if caller in callers:
                    missing = [other for other in self.slots if other in self.alive and other not in slots]
                    callers.remove(caller)
                    if not callers:
                        del slots[slot]
                    if not slots:
                        del self.waiting[name]
                    return name, missing
        return None, []

    def ended(self) -> list:
        """The ids of the slots that have ended."""
        return [slot for slot in self.slots if slot not in self.alive]

    def _complete(self) -> list:
        done = []
        for name in [name for name, slots in self.waiting.items() if self.alive <= slots.keys()]:
            slots = self.waiting.pop(name)
            done.append((name, [caller for callers in slots.values() for caller in callers]))
        return done
