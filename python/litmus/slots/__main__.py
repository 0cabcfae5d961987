# SPDX-License-Identifier: Apache-2.0
"""`litmus slots run` hands over to this: --serials A,B,C [--slots X,Y,Z] [--logs DIR] [--data-dir DIR] [--quiet] -- run COMMAND...

One process a slot, each in a session of its own, with LITMUS_SLOT_ID, LITMUS_SLOT_INDEX, LITMUS_DUT_SERIAL and the socket
of the sync points in its environment. What they print comes out here, line by line, each with its slot in front.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time

from litmus.exports.__main__ import complain, options_of
from litmus.slots import INDEX, SLOT, SOCKET
from litmus.slots._meeting import Meeting

USAGE, SYSTEM = 2, 5
LINE_MAX = 64 * 1024  # bytes; a longer line is shown in pieces
ESCALATION = ((0, signal.SIGINT), (10, signal.SIGTERM), (20, signal.SIGKILL))  # seconds after Ctrl-C -> what the slots get
SEVERITY = ("passed", "failed", "errored")


class Slot:
    """One device and the process that tests it."""

    def __init__(self, index: int, name: str, serial: str):
        self.index, self.name, self.serial = index, name, serial
        self.process: subprocess.Popen | None = None
        self.pending = b""  # of a line that has no end yet
        self.log = None
        self.began = self.seconds = 0.0
        self.code: int | None = None  # exit code; 128 + signal

    @property
    def outcome(self) -> str:
        """slot.completed's word: by the exit code alone."""
        if self.process is None or self.process.returncode is None or self.process.returncode < 0:
            return "errored"
        return "passed" if self.code == 0 else "failed"

    def signal(self, number: int) -> None:
        """To the process and what it started; one that has gone is left alone."""
        if self.process is not None and self.code is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass


class Record:
    """The session of the one who runs the slots. A failure is said once, and the tests go on."""

    def __init__(self, data_dir: str | None, count: int):
        self.session = None
        try:
            from litmus import _litmus

            payload = {"session_type": "slots", "slot_count": count, "client": "litmus slots", "pid": os.getpid()}
            self.session = _litmus.Session(data_dir=data_dir, payload=payload)
        except Exception as exc:
            complain(f"the slots' own session is not on record: {exc}")

    def emit(self, event_type: str, payload: dict) -> None:
        try:
            if self.session is not None:
                self.session.emit(event_type, payload)
        except Exception as exc:
            complain(f"{event_type} is not on record: {exc}")

    def close(self, outcome: str) -> None:
        try:
            if self.session is not None:
                self.session.close(outcome)
        except Exception as exc:
            complain(str(exc))


class Board:
    """Runs the slots and stands between them."""

    def __init__(self, slots: list[Slot], record: Record, quiet: bool):
        self.slots, self.record, self.quiet = slots, record, quiet
        self.meeting = Meeting(slot.name for slot in slots)
        self.selector = selectors.DefaultSelector()
        self.stop_at: float | None = None  # when Ctrl-C came
        self.stops = 0  # steps of ESCALATION that were taken
        self.heard: dict = {}  # connection -> what it has said of a line
        self.width = max(len(f"{slot.name} {slot.serial}") for slot in slots)

    def run(self, command: list[str], folder: str) -> None:
        """Starts all slots, and returns when all have ended."""
        path = os.path.join(folder, "sync")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(64)
            listener.setblocking(False)
            self.selector.register(listener, selectors.EVENT_READ, self.accept)
            wakeup = self.listen_to_signals()
            for slot in self.slots:
                self.start(slot, command, path)
            try:
                while any(slot.code is None for slot in self.slots):
                    for key, _ in self.selector.select(self.next_stop()):
                        key.data(key.fileobj)
                    self.escalate()
                    self.reap()
            finally:
                for slot in self.slots:
                    slot.signal(signal.SIGKILL)
                signal.set_wakeup_fd(-1)
                for end in wakeup:
                    end.close()

    def listen_to_signals(self) -> tuple:
        """From here on SIGCHLD, SIGINT and SIGTERM end the wait of the selector."""
        inside, outside = socket.socketpair()
        for end in (inside, outside):
            end.setblocking(False)
        signal.set_wakeup_fd(outside.fileno())
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self.selector.register(inside, selectors.EVENT_READ, self.take_signals)
        return inside, outside

    def take_signals(self, inside) -> None:
        for number in inside.recv(4096):
            if number in (signal.SIGINT, signal.SIGTERM):
                if self.stop_at is None:
                    self.stop_at = time.monotonic()
                else:  # again: at once
                    self.stop_at = time.monotonic() - ESCALATION[-1][0]

    def next_stop(self) -> float | None:
        """How long to wait for events, in seconds."""
        if self.stop_at is None or self.stops == len(ESCALATION):
            return None
        return max(0.0, self.stop_at + ESCALATION[self.stops][0] - time.monotonic())

    def escalate(self) -> None:
        while self.stop_at is not None and self.stops < len(ESCALATION) and time.monotonic() >= self.stop_at + ESCALATION[self.stops][0]:
            for slot in self.slots:
                slot.signal(ESCALATION[self.stops][1])
            self.stops += 1

    # ---- slots ----

    def start(self, slot: Slot, command: list[str], path: str) -> None:
        self.record.emit("slot.started", {"slot_id": slot.name, "dut_serial": slot.serial})
        environ = {**os.environ, SLOT: slot.name, INDEX: str(slot.index), "LITMUS_DUT_SERIAL": slot.serial, SOCKET: path, "PYTHONUNBUFFERED": "1"}
        slot.began = time.monotonic()
        try:
            slot.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ, start_new_session=True
            )
        except OSError as exc:
            slot.code = 127
            self.finish(slot, f"cannot start {command[0]}: {exc.strerror}")
            return
        os.set_blocking(slot.process.stdout.fileno(), False)
        self.selector.register(slot.process.stdout, selectors.EVENT_READ, lambda pipe, slot=slot: self.read(slot))

    def read(self, slot: Slot) -> bool:
        """Shows what a slot has printed. Returns whether there may be more."""
        pipe = slot.process.stdout
        try:
            more = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            return False
        if not more:
            self.selector.unregister(pipe)
            return False
        if slot.log is not None:
            slot.log.write(more)
        *lines, slot.pending = (slot.pending + more).split(b"\n")
        if len(slot.pending) > LINE_MAX:
            lines, slot.pending = [*lines, slot.pending], b""
        self.show(slot, lines)
        return True

    def show(self, slot: Slot, lines: list) -> None:
        if lines and not self.quiet:
            head = f"{slot.name} {slot.serial}".ljust(self.width)
            say("".join(f"{head} | {line.decode(errors='replace').rstrip()}\n" for line in lines))

    def reap(self) -> None:
        """Slots whose process has ended."""
        for slot in self.slots:
            if slot.code is None and slot.process.poll() is not None:
                while slot.process.stdout in self.selector.get_map() and self.read(slot):
                    pass
                if slot.process.stdout in self.selector.get_map():  # something that it started holds the pipe
                    self.selector.unregister(slot.process.stdout)
                slot.process.stdout.close()
                if slot.pending:
                    self.show(slot, [slot.pending])
                code = slot.process.returncode
                slot.code = code if code >= 0 else 128 - code
                self.finish(slot, f"ended by {signal.Signals(-code).name}" if code < 0 else None)

    def finish(self, slot: Slot, words: str | None) -> None:
        slot.seconds = time.monotonic() - slot.began
        self.record.emit("slot.completed", {"slot_id": slot.name, "outcome": slot.outcome, "error_message": words})
        self.release(self.meeting.end(slot.name))
        if words is not None:
            complain(f"slot {slot.name} ({slot.serial}): {words}")

    # ---- sync points ----

    def accept(self, listener) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        self.heard[connection] = b""
        self.selector.register(connection, selectors.EVENT_READ, self.hear)

    def hear(self, connection) -> None:
        """A slot says that it is at a point; or, by closing its half, that it waits no more."""
        try:
            more = connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        self.heard[connection] += more
        if not more:
            name, missing = self.meeting.leave(connection)
            self.answer(connection, {"missing": missing} if name is not None else {"error": "it said nothing"})
        elif b"\n" in self.heard[connection] or len(self.heard[connection]) > 4096:
            try:
                said = json.loads(self.heard[connection])
                slot, name = str(said["slot"]), str(said["name"])
            except (ValueError, KeyError, TypeError):
                self.answer(connection, {"error": "that is no sync point"})
                return
            if slot not in self.meeting.alive:
                self.answer(connection, {"error": f"there is no slot {slot} that runs"})
                return
            self.release(self.meeting.arrive(slot, name, connection))

    def release(self, points: list) -> None:
        for name, callers in points:
            self.record.emit("sync.release", {"name": name})
            for caller in callers:
                self.answer(caller, {"ended": self.meeting.ended()})

    def answer(self, connection, words: dict) -> None:
        """The last word on a connection."""
        try:
            connection.sendall(json.dumps(words).encode() + b"\n")
        except OSError:
            pass
        self.selector.unregister(connection)
        self.heard.pop(connection, None)
        connection.close()


def say(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody looks: the slots go on
        sys.stdout = open(os.devnull, "w")


def slots_of(serials: str, names: str | None) -> list[Slot]:
    """Errors: ValueError."""
    serial_list = [serial.strip() for serial in serials.split(",")]
    name_list = [name.strip() for name in names.split(",")] if names else [str(n + 1) for n in range(len(serial_list))]
    for what, words in (("serial", serial_list), ("slot", name_list)):
        for word in words:
            if not word or len(word) > 255 or not word.isprintable():
                raise ValueError(f"{word!r} is no {what}")
            if words.count(word) > 1:
                raise ValueError(f"the {what} {word} is there twice")
    if len(name_list) != len(serial_list):
        raise ValueError(f"{len(name_list)} slots for {len(serial_list)} serials: give one name for each")
    return [Slot(index, name, serial) for index, (name, serial) in enumerate(zip(name_list, serial_list))]


def summary(slots: list[Slot]) -> None:
    for slot in slots:
        complain(f"slot {slot.name}  {slot.serial}  {slot.outcome} ({slot.code})  {slot.seconds:.1f} s")


def main(words: list[str]) -> int:
    said, rest = options_of(words)
    command = rest[1:]  # after the word run
    try:
        slots = slots_of(said["serials"], said.get("slots"))
        for slot in slots if "logs" in said else ():
            os.makedirs(said["logs"], exist_ok=True)
            slot.log = open(os.path.join(said["logs"], f"{slot.name.replace(os.sep, '_')}.log"), "wb", buffering=0)
    except ValueError as exc:
        complain(str(exc))
        return USAGE
    except OSError as exc:
        complain(f"--logs {said['logs']}: {exc.strerror}")
        return SYSTEM
    record = Record(said.get("data_dir"), len(slots))
    with tempfile.TemporaryDirectory(prefix="litmus-slots-") as folder:
        Board(slots, record, "quiet" in said).run(command, folder)
    record.close(max((slot.outcome for slot in slots), key=SEVERITY.index))
    summary(slots)
    return max(slot.code for slot in slots)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
