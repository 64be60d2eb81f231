"""What the calls of a driver half return, held against the ring and what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from dataplane.workshop.judge import Buffer, integer, plural, shown
from dataplane.workshop.ring import NO_NOTIFY, Piece
from dataplane.workshop.split_exposed import SplitDriverExposure

_MASK = 0xFFFF


@dataclass
class SplitDriverCalls(SplitDriverExposure):
    """The calls, and how they have to end."""

    def started(self, call: str, arguments: list[object]) -> None:
        self.loads = set()
        self.idx_loaded = False
        if call == "add":
            pieces = arguments[0]
            assert isinstance(pieces, list)
            self.adding = Buffer(tuple(Piece(*p) for p in pieces), since=self.begun)

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
        used = (self.value(self.at("used_idx")) - self.index(self.collected)) & _MASK
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
        used = (self.value(self.at("used_idx")) - self.index(self.collected)) & _MASK
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

    def gave_up(self, call: str, words: str, line: int) -> None:
        if self.lying and call == "collect" and self.back and self.back[0] is None:
            return
        super().gave_up(call, words, line)

    def _decided(self, value: object, line: int) -> None:
        if not isinstance(value, bool) and value not in (0, 1):
            self.wrong(f"kick_needed() returned {shown(value)}: it returns True or False", line=line)
        new, old = self.published, self.decided
        self.decided = new
        if self.event_idx:
            event = self.value(self.at("avail_event"))
            wanted = (self.index(new) - event - 1) & _MASK < (new - old) & _MASK
            why = (
                f"avail_event is {event} and avail.idx went from {self.index(old)} to {self.index(new)}: "
                f"({self.index(new)} - {event} - 1) mod 65536 = {(self.index(new) - event - 1) & _MASK}, "
                f"{'less' if wanted else 'not less'} than {(new - old) & _MASK}"
            )
        else:
            flags = self.value(self.at("used_flags"))
            wanted = not flags & NO_NOTIFY
            why = f"used.flags is {flags}"
        if bool(value) == wanted:
            return
        if wanted:
            self.wrong(
                f"kick_needed() says no, but the device asked for a kick: {why}",
                would="The device sleeps and is never told: the buffer waits for ever.",
                section="2.7.10.1",
                line=line,
            )
        self.wrong(
            f"kick_needed() says yes, but the device asked for none: {why}",
            would="The device can bear it (2.7.10.2); it costs an exit that nobody wanted. The driver "
            "SHOULD NOT.",
            section="2.7.10.1",
            line=line,
        )
