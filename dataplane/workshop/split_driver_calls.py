"""What the calls of a driver half return, held against the ring and what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from dataplane.workshop.judge import Decision, integer, plural, shown
from dataplane.workshop.ring import NO_NOTIFY
from dataplane.workshop.split_exposed import SplitDriverExposure
from dataplane.workshop.split_index import MASK

_KICK = Decision(
    "kick_needed",
    "device",
    "a kick",
    "2.7.10.1",
    "The device sleeps and is never told: the buffer waits for ever.",
    "The device can bear it (2.7.10.2); it costs an exit that nobody wanted. The driver SHOULD NOT.",
)


@dataclass
class SplitDriverCalls(SplitDriverExposure):
    """The calls, and how they have to end."""

    def started(self, call: str, arguments: list[object]) -> None:
        self.loads = set()
        self.idx_loaded = False
        super().started(call, arguments)

    def returned(self, call: str, value: object, line: int) -> None:
        match call:
            case "add":
                self._added(value, line)
            case "publish":
                if self.waiting:
                    count = plural(len(self.waiting), "buffer")
                    self.wrong(
                        f"publish() returned, and avail.idx is still {self.index(self.published)}: {count} "
                        "added and not made available",
                        would="The device sees nothing.",
                        section="2.7.13.3",
                        line=line,
                    )
            case "collect":
                self._collected(value, line)
            case "kick_needed":
                self._decided(value, line)

    def _added(self, value: object, line: int) -> None:
        buffer = self.adding
        assert buffer is not None
        self.adding = None
        need, free = len(buffer.pieces), self.room
        head = integer(value)
        if value is None:
            if need <= free:
                again = ": what came back was not put on the free list" if self.collected else ""
                self.wrong(
                    f"add() returned None (no room) for {plural(need, 'piece')}, but {free} of {self.size} "
                    f"descriptors {'is' if free == 1 else 'are'} free{again}",
                    section="2.7.14" if self.collected else "2.7.13.1",
                    line=line,
                )
            return
        if head is None or not 0 <= head < self.size:
            self.wrong(
                f"add() returned {shown(value)}: it returns the head, 0 to {self.size - 1}, or None",
                line=line,
            )
        if need > free:
            self.wrong(
                f"add() took {plural(need, 'piece')} while only {plural(free, 'descriptor')} "
                f"{'is' if free == 1 else 'are'} free: it must return None",
                would="The chain runs over descriptors of another buffer.",
                section="2.7.13.1",
                line=line,
            )
        for other in (*self.out.values(), *self.waiting, *(b for b in self.back if b)):
            if other.id == head or head in other.slots:
                self.wrong(
                    f"add() gave out descriptor {head} as a head while it is part of the buffer with head "
                    f"{other.id}, which is still on its way: it was freed twice, or never taken off the "
                    "free list",
                    would=f"The device would find head {head} available while it holds it.",
                    section="2.7.13.1",
                    line=line,
                )
        buffer.id = head
        self.waiting.append(buffer)

    def _collected(self, value: object, line: int) -> None:
        used = (self.value(self.at("used_idx")) - self.index(self.collected)) & MASK
        if value is None:
            if used and not self.lying:
                told = "" if "used_idx" in self.loads else "; this call did not load used.idx"
                self.wrong(
                    f"collect() returned None, but used.idx is {self.index(self.collected + used)}: "
                    f"{plural(used, 'buffer')} came back{told}",
                    would="The buffer is never taken back, and the ring runs out of descriptors.",
                    section="2.7.14",
                    line=line,
                )
            if self.lying:
                self._believed(line)
            return
        if not used:
            self.wrong(
                f"collect() returned {shown(value)}, but used.idx is {self.index(self.collected)}: nothing "
                "is used",
                section="2.7.8",
                line=line,
            )
        if self.lying and (not self.back or self.back[0] is None):
            self._believed(line)
        if not self.back:
            self.wrong(
                "collect() returned a buffer without having loaded used.idx", section="2.7.14", line=line
            )
        element = self.entry(self.collected)
        id = self.value(self.at("used_ring", element, "id"))
        length = self.value(self.at("used_ring", element, "len"))
        if value != [id, length]:
            self.wrong(
                f"collect() returned {shown(value)}; used.ring[{element}] says id {id}, len {length}: "
                f"({id}, {length})",
                section="2.7.8",
                line=line,
            )
        gone = self.back.pop(0)
        self.told_at.pop(0)
        self.live = [buffer for buffer in self.live if buffer is not gone]
        self.collected += 1

    def _believed(self, line: int) -> NoReturn:
        element = self.entry(self.collected)
        id = self.value(self.at("used_ring", element, "id"))
        used = (self.value(self.at("used_idx")) - self.index(self.collected)) & MASK
        if used > self.published - self.collected:
            out = self.published - self.collected
            what = f"used.idx says that {used} buffers came back, and only {out} are out"
        elif id >= self.size:
            what = f"used.ring[{element}].id is {id}, and the table has {self.size} descriptors"
        else:
            what = f"used.ring[{element}].id is {id}, which is not the head of a buffer that is out"
        self.wrong(
            f"{what}: collect() must raise Broken",
            would="A driver that believes it frees what it does not own, or reads behind the end of its "
            "arrays.",
            section="2.7.8",
            line=line,
        )

    def _decided(self, value: object, line: int) -> None:
        new, old = self.published, self.decided
        self.decided = new
        if self.event_idx:
            wanted, why = self.event_passed(self.at("avail_event"), old, new)
        else:
            flags = self.value(self.at("used_flags"))
            wanted, why = not flags & NO_NOTIFY, f"used.flags is {flags}"
        self.decision(value, wanted, why, line, _KICK)
