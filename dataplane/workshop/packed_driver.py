"""The rules for a driver half of a packed ring (2.8), store by store.

There is one table, and both sides write it. A slot is the device's from the store to the flags of a head that
makes it available, until a used descriptor that stands for its buffer has been loaded: slots come free in the
order of the ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

from dataplane.places import Place
from dataplane.records import Owner
from dataplane.workshop.judge import Access, Buffer, Decision, DriverJudge, integer, plural, shown
from dataplane.workshop.ring import AVAIL, DESC, DISABLE, NEXT, USED, WRITE

_FIELDS = ("addr", "len", "id", "flags")
_EITHER = AVAIL | USED
_KICK = Decision(
    "kick_needed",
    "device",
    "a kick",
    "2.8.10",
    "The device sleeps and is never told: the buffer waits for ever.",
    "The device can bear it; it costs an exit that nobody wanted.",
)


@dataclass
class PackedDriverJudge(DriverJudge):
    """See the module. Positions count slots and never wrap; slot = (start + position) mod size."""

    NAMED: ClassVar[str] = "id"
    AREAS = "2.8"
    AREA_WORDS: ClassVar[dict[str, str]] = {
        "desc": "descriptor ring",
        "driver": "driver event suppression structure",
        "device": "device event suppression structure",
    }

    shown_at: int = 0  #: position behind the last slot made available
    added_at: int = 0  #: position behind the last slot that add() filled
    told_at: int = 0  #: position behind the last slot known to be used
    heard_at: list[int] = field(default_factory=list)  #: the access that told of each of those
    collected_at: int = 0  #: position of the next used descriptor
    exposed_by: int = 0  #: access that made something available last
    flags_loaded: bool = False

    # what it knows

    def slot(self, position: int) -> int:
        return (self.start + position) % self.size

    def lap(self, position: int) -> int:
        """The wrap counter at a position."""
        return self.wrap ^ ((self.start + position) // self.size & 1)

    def available(self, position: int) -> int:
        """The AVAIL and USED bits of an available descriptor there (2.8.1)."""
        return AVAIL if self.lap(position) else USED

    def used_bits(self, position: int) -> int:
        return _EITHER if self.lap(position) else 0

    def flags_at(self, position: int) -> int:
        return self.value(self.at("desc", self.slot(position), "flags"))

    # loads

    def loaded(self, at: Place) -> None:
        if at.area == "device_event" and self.during == "kick_needed()":
            if self.exposed_by > self.barrier:
                self.wrong(
                    f"{at.text} is loaded without a barrier since the flags were stored in line "
                    f"{self.line_of(self.exposed_by)}",
                    would="The processor may load first and store after: the driver sees 'no kick wanted', "
                    "the device has looked before the descriptor was available, and both wait: a lost kick.",
                    section="2.8.21.3.1",
                )
        elif at.area == "desc" and self.during == "collect()":
            self._looked(at)

    def _looked(self, at: Place) -> None:
        if at.index != self.slot(self.collected_at):
            return
        if at.field == "flags":
            self.flags_loaded = True
            self._told()
            return
        if not self.back:
            self.wrong(
                f"{at.text} is loaded before its flags say that it is used",
                would="What stands there may still be this half's own descriptor.",
                section="2.8.16",
            )
        if self.heard_at[0] > self.barrier:
            self.wrong(
                f"no barrier between the load of the flags in line {self.line_of(self.heard_at[0])} and "
                f"that of {at.text}",
                would="The processor may load it first: it gets what stood there before the device wrote.",
                section="2.8.16",
            )

    def _told(self) -> None:
        """The flags of the next used descriptor have been loaded."""
        if self.back or self.flags_at(self.collected_at) & _EITHER != self.used_bits(self.collected_at):
            return
        if self.told_at >= self.shown_at:
            return  # everything is collected: these are the bits of the lap before
        id = self.value(self.at("desc", self.slot(self.collected_at), "id"))
        buffer = self.out.pop(id, None)
        self.back.append(buffer)
        self.heard_at.append(self.number)
        if buffer is not None:
            self.told_at += len(buffer.pieces)

    # stores

    def storing(self, at: Place, value: int, touched: Sequence[Place]) -> None:
        if at.area == "device_event":
            self.wrong(
                f"the driver stores to {at.text}: that structure is written by the device alone",
                section="2.8.10",
            )
        if at.area == "driver_event":
            if at.field == "flags" and (value > 2 or (value == DESC and not self.event_idx)):
                self.wrong(
                    f"{at.text} = {value}: it is 0, 1{', or 2' if self.event_idx else ''}", section="2.8.10"
                )
            return
        ahead = (at.index - self.slot(self.shown_at)) % self.size
        if self.shown_at + ahead >= self.told_at + self.size:
            owner = next((b for b in self.out.values() if at.index in b.slots), None)
            whose = f"it belongs to buffer {owner.id}" if owner else "its buffer has not come back"
            self.wrong(
                f"{at.text} is stored to while the device owns slot {at.index}: {whose}",
                would="The device may be reading it, or about to write a used descriptor over it.",
                section="2.8.16",
            )

    def stored(self, at: Place, old: int) -> None:
        if at.area == "desc" and at.field == "flags":
            self._exposed()

    def _exposed(self) -> None:
        """What the last store made available, in the order of the ring."""
        first, count = self.shown_at, 0
        while self.shown_at < self.told_at + self.size:
            if self.flags_at(self.shown_at) & _EITHER != self.available(self.shown_at):
                break
            if count >= len(self.waiting):
                adding, slot = self.adding is not None, self.slot(self.shown_at)
                why = " in add(): publish() does that here" if adding else ", but nothing was added there"
                self.wrong(
                    f"desc[{slot}].flags makes slot {slot} available{why}",
                    would=self.would(),
                    section="" if adding else "2.8.16",
                )
            buffer = self.waiting[count]
            self._check(buffer)
            count += 1
        if not count:
            return
        if self.during != "publish()":
            self.wrong(f"a buffer is made available in {self.during}: in this workshop publish() does that")
        self._ordered(self.waiting[:count])
        for buffer in self.waiting[:count]:
            self.out[buffer.id] = buffer
            buffer.position, buffer.owner = self.published, Owner.AVAILABLE
            self.published += 1
            self.live.append(buffer)
        del self.waiting[:count]
        self.exposed_by = self.number
        assert self.shown_at > first

    def _check(self, buffer: Buffer) -> None:
        """A buffer that is available now, compared with the pieces that were asked for."""
        slots: list[int] = []
        for i, piece in enumerate(buffer.pieces):
            position = self.shown_at + i
            slot = self.slot(position)
            slots.append(slot)
            last, name = i + 1 == len(buffer.pieces), f"piece {i + 1} of {len(buffer.pieces)}"
            addr, length, id, flags = (self.value(self.at("desc", slot, field)) for field in _FIELDS)
            if addr != piece.address:
                self._bad(buffer, slot, "addr", f"is 0x{addr:x}, {name} is at 0x{piece.address:x}")
            if length != piece.length:
                self._bad(buffer, slot, "len", f"is {length}, {name} has {piece.length} bytes")
            if bool(flags & WRITE) != piece.writable:
                wanted = "WRITE must be set" if piece.writable else "WRITE must not be set"
                self._bad(buffer, slot, "flags", f"is 0x{flags:x}: {name}: {wanted}")
            if bool(flags & NEXT) == last:
                wanted = "it is the last, so NEXT must not be set" if last else "NEXT is missing"
                self._bad(buffer, slot, "flags", f"is 0x{flags:x}: {name}: {wanted}")
            if flags & ~(NEXT | WRITE | _EITHER):
                self._bad(buffer, slot, "flags", f"is 0x{flags:x}: no other bits are in use here")
            if flags & _EITHER != self.available(position):
                self._bad(buffer, slot, "flags", f"is 0x{flags:x}: {self._lap_words(position)}")
            if last and id != buffer.id:
                self._bad(
                    buffer,
                    slot,
                    "id",
                    f"is {id}; the last descriptor of a buffer carries its id, and add() said {buffer.id}",
                )
        buffer.slots = tuple(slots)
        self.shown_at += len(slots)

    def _lap_words(self, position: int) -> str:
        lap = self.lap(position)
        slot = self.slot(position)
        return f"the wrap counter is {lap} in slot {slot}, so AVAIL is {lap} and USED is {1 - lap}"

    def _bad(self, buffer: Buffer, slot: int, name: str, words: str) -> NoReturn:
        at = self.at("desc", slot, name)
        wrote = self.writer(at, buffer.since)
        text = f"{at.text} {words}" + ("" if wrote else "; it has not been written for this buffer")
        section = {"id": "2.8.6", "flags": "2.8.6"}.get(name, "2.8.5")
        self.wrong(text, would=self.would(), section=section, access=wrote or None)

    def _ordered(self, shown_now: list[Buffer]) -> None:
        fields = [self.at("desc", slot, name) for b in shown_now for slot in b.slots for name in _FIELDS]
        late = [a for a in self.unordered(fields, min(b.since for b in shown_now)) if a.number != self.number]
        late = [a for a in late if not self._one_word(a)]
        if not late:
            return
        number, flags = self.number, self.accesses[-1].where
        names = ", ".join(dict.fromkeys(a.where for a in late))
        self.undo(late)
        self.wrong(
            f"no barrier between the store to {names} (line {late[-1].line}) and this one to {flags}, which "
            "makes the buffer available",
            would=f"The device may see the flags while {late[0].where} is still {late[0].before}. "
            f"{self.would()}",
            section="2.8.21.1.1",
            access=number,
        )

    def _one_word(self, access: Access) -> bool:
        """Whether a store went to the very bytes of the last one, and so cannot be seen after it."""
        last = self.accesses[-1]
        return access.address >= last.address and access.address + access.width <= last.address + last.width

    # calls

    def started(self, call: str, arguments: list[object]) -> None:
        self.flags_loaded = False
        super().started(call, arguments)

    def returned(self, call: str, value: object, line: int) -> None:
        match call:
            case "add":
                self._added(value, line)
            case "publish" if self.waiting:
                self._unpublished(line)
            case "collect":
                self._collected(value, line)
            case "kick_needed":
                self._decided(value, line)

    def _unpublished(self, line: int) -> NoReturn:
        buffer = self.waiting[0]
        at = self.at("desc", self.slot(self.shown_at), "flags")
        wrote = self.writer(at, buffer.since)
        flags = self.value(at)
        if wrote and flags & _EITHER:
            self.wrong(
                f"{at.text} = 0x{flags:x} does not make the buffer available: "
                f"{self._lap_words(self.shown_at)}",
                would=self.would(),
                section="2.8.1",
                access=wrote,
            )
        self.wrong(
            f"publish() returned, and the flags of slot {at.index} are 0x{flags:x}: "
            f"{plural(len(self.waiting), 'buffer')} added and not made available",
            would="The device sees nothing.",
            section="2.8.21.1",
            line=line,
        )

    def _added(self, value: object, line: int) -> None:
        buffer = self.adding
        assert buffer is not None
        self.adding = None
        need, free = len(buffer.pieces), self.room
        id = integer(value)
        if value is None:
            if need <= free:
                self.wrong(
                    f"add() returned None (no room) for {plural(need, 'piece')}, but {free} of {self.size} "
                    "slots are free",
                    section="2.8.17",
                    line=line,
                )
            return
        if id is None or not 0 <= id < self.size:
            self.wrong(
                f"add() returned {shown(value)}: it returns the buffer's id, 0 to {self.size - 1}, or None",
                line=line,
            )
        if need > free:
            self.wrong(
                f"add() took {plural(need, 'piece')} while only {plural(free, 'slot')} "
                f"{'is' if free == 1 else 'are'} free: it must return None",
                section="2.8.17",
                line=line,
            )
        if any(id == b.id for b in (*self.out.values(), *self.waiting, *(b for b in self.back if b))):
            self.wrong(
                f"add() gave id {id} to a buffer while another with id {id} is on its way",
                would="When one of them comes back, nobody knows which.",
                section="2.8.6",
                line=line,
            )
        buffer.id = id
        self.waiting.append(buffer)
        self.added_at += need

    def _collected(self, value: object, line: int) -> None:
        slot = self.slot(self.collected_at)
        used = self.used_count > self.collected
        if value is None:
            if self.lying:
                self._believed(line)
            if used:
                told = "" if self.flags_loaded else "; this call did not load them"
                self.wrong(
                    f"collect() returned None, but the flags of slot {slot} say used (wrap counter "
                    f"{self.lap(self.collected_at)}){told}",
                    would="The buffer is never taken back.",
                    section="2.8.1",
                    line=line,
                )
            return
        if not used:
            self.wrong(
                f"collect() returned {shown(value)}, but the flags of slot {slot} are "
                f"0x{self.flags_at(self.collected_at):x}: not used in this lap (wrap counter "
                f"{self.lap(self.collected_at)})",
                section="2.8.1",
                line=line,
            )
        if self.lying and (not self.back or self.back[0] is None):
            self._believed(line)
        if not self.back:
            self.wrong(
                f"collect() returned a buffer without having loaded desc[{slot}].flags, the next that can "
                "be used",
                section="2.8.6",
                line=line,
            )
        id, length, flags = (self.value(self.at("desc", slot, name)) for name in ("id", "len", "flags"))
        length = length if flags & WRITE else 0
        if value != [id, length]:
            why = "" if flags & WRITE else " (no WRITE: nothing was written, len means nothing)"
            self.wrong(
                f"collect() returned {shown(value)}; the used descriptor in slot {slot} says ({id}, "
                f"{length}){why}",
                section="2.8.4",
                line=line,
            )
        gone = self.back.pop(0)
        self.heard_at.pop(0)
        assert gone is not None
        self.collected_at += len(gone.pieces)
        self.collected += 1
        self.live = [buffer for buffer in self.live if buffer is not gone]

    def _believed(self, line: int) -> NoReturn:
        slot = self.slot(self.collected_at)
        id = self.value(self.at("desc", slot, "id"))
        what = f"the queue has {self.size}" if id >= self.size else "no buffer with that id is out"
        self.wrong(
            f"the used descriptor in slot {slot} has id {id}, and {what}: collect() must raise Broken",
            would="A driver that believes it frees what it does not own, or reads behind the end of its "
            "arrays.",
            section="2.8.22",
            line=line,
        )

    def _decided(self, value: object, line: int) -> None:
        wanted, why = self.wanted(self.shown_at, self.decided)
        self.decided = self.shown_at
        self.decision(value, wanted, why, line, _KICK)

    def wanted(self, new: int, old: int) -> tuple[bool, str]:
        """Whether the device event structure asks for a kick now, and why, in numbers (2.8.10)."""
        off_wrap, flags = (self.value(self.at("device_event", 0, name)) for name in ("off_wrap", "flags"))
        if flags & 3 != DESC:
            return flags & 3 != DISABLE, f"its flags are {flags}"
        slot, off, lap = self.slot(new), off_wrap & 0x7FFF, off_wrap >> 15
        event = off - (0 if lap == self.lap(new) else self.size)
        distance, moved = (slot - event - 1) & 0xFFFF, (new - old) & 0xFFFF
        return distance < moved, (
            f"it names slot {off} of the lap with wrap counter {lap}; {plural(new - old, 'slot')} went by, "
            f"up to slot {slot} with wrap counter {self.lap(new)}"
        )

    def forge(self, count: int, id: int) -> None:
        self.put_theirs(self.at("desc", self.slot(self.collected_at), "id"), id)
