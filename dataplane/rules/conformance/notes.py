"""Kicks and calls: whether each decision is the one that the other side's words ask for.

A side decides with what it reads behind its own index; the other side may be writing that word meanwhile. So
a decision is held against every value that it can have read: those that stood there from its index on, and
the one before, while nothing tells that the store of the newer one is over. Only where all of them agree is
a decision wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dataplane import features as f
from dataplane.layout import EVENT_DESC, EVENT_DISABLE, need_event
from dataplane.records import Kind, Side
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.packed import PackedRing
from dataplane.rules.conformance.ring import Buffer, Ring, Use
from dataplane.rules.conformance.scene import Event, Scene, Stored
from dataplane.rules.conformance.split import SplitRing

_MANY = 16  #: values between two decisions with which nothing is judged any more


@dataclass(slots=True)
class _Way:
    """One direction of one ring: who decides, and what it may have read. `wishes` are (flags, event)."""

    wishes: list[tuple[int, int]]
    told: int = 0  #: event of the newest of them
    decided: int | None = None  #: split: index at the last decision
    moved: int | None = None  #: packed: slots since the last decision; None: not known


@dataclass(slots=True)
class _Ways:
    kicks: _Way
    calls: _Way
    slots: tuple[int, ...] = field(default=())

    def of(self, side: int) -> _Way:
        return self.kicks if side == Side.DRIVER else self.calls


class Decisions(Check):
    rows = (
        "SPLIT-NOT-22",
        "SPLIT-NOT-23",
        "SPLIT-NOT-24",
        "SPLIT-NOT-25",
        "SPLIT-NOT-26",
        "SPLIT-NOT-27",
        "SPLIT-NOT-34",
        "SPLIT-NOT-35",
        "SPLIT-NOT-36",
        "SPLIT-NOT-37",
        "SPLIT-NOT-38",
        "SPLIT-NOT-39",
        "SPLIT-DRV-44",
        "PACKED-EVT-32",
        "PACKED-EVT-33",
        "PACKED-DRV-27",
    )
    kinds = frozenset(Kind) - {Kind.STORE, Kind.OWN}

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._ways: dict[int, _Ways] = {}
        self._newest = [0, 0]  # number of the newest event of each side

    def began(self, ring: Ring) -> None:
        self._ways[ring.index] = _Ways(_Way([_wish(ring, Side.DRIVER)]), _Way([_wish(ring, Side.DEVICE)]))

    def stored(self, stored: Stored) -> None:
        ring, side = stored.ring, stored.side
        match stored.area:
            case "used_flags" | "avail_event" | "device_event":
                self._wishes(ring, Side.DRIVER, stored.number)
            case "avail_flags" | "used_event" | "driver_event":
                self._wishes(ring, Side.DEVICE, stored.number)
            case "avail_idx" | "used_idx":
                self._shown(ring, side)
        self._newest[side] = stored.number

    def available(self, buffer: Buffer) -> None:
        if isinstance(buffer.ring, PackedRing):
            self._moved(buffer.ring, Side.DRIVER, len(buffer.slots))

    def used(self, use: Use) -> None:
        if isinstance(use.ring, PackedRing):
            self._moved(use.ring, Side.DEVICE, sum(len(buffer.slots) for buffer in use.buffers))

    def told(self, event: Event) -> None:
        ring = self.scene.rings.get(event.queue)
        if event.kind in _DECISIONS and ring is not None and not ring.lost:
            way = self._ways[ring.index].of(event.side)
            if isinstance(ring, SplitRing):
                self._split(ring, way, event)
            else:
                self._packed(ring, way, event)
        self._newest[event.side] = event.number

    def _wishes(self, ring: Ring, decider: Side, number: int) -> None:
        way = self._ways[ring.index].of(decider)
        if len(way.wishes) < _MANY:
            way.wishes.append(_wish(ring, decider))
        way.told = number

    def _shown(self, ring: Ring, side: int) -> None:
        """From here on a decision goes by what stands now: or by what stood before a store that is perhaps
        not over yet."""
        way = self._ways[ring.index].of(side)
        settled = self._newest[1 - side] > way.told
        del way.wishes[: -1 if settled else -2]
        way.wishes[-1] = _wish(ring, Side(side))

    def _moved(self, ring: Ring, side: Side, slots: int) -> None:
        way = self._ways[ring.index].of(side)
        if way.moved is not None:
            way.moved += slots
        self._shown(ring, side)

    # ---- decisions ----------------------------------------------------------------------------------------

    def _split(self, ring: SplitRing, way: _Way, event: Event) -> None:
        driver, sent = event.side == Side.DRIVER, event.kind in _SENT
        new = ring.shown if driver else ring.returned
        old = event.old & 0xFFFF if way.decided is None else way.decided
        way.decided = new
        wishes = list(way.wishes)
        if len(wishes) >= _MANY:
            return
        events, flags = {wish[1] for wish in wishes}, {wish[0] for wish in wishes}
        note = "kick" if driver else "call"
        if self.scene.has(f.F_EVENT_IDX):
            name = "avail_event" if driver else "used_event"
            if event.place not in events:
                row = ("SPLIT-NOT-37" if driver else "SPLIT-NOT-25") if event.place in flags else ""
                row = row or ("SPLIT-DRV-44" if driver else "")
                self._read(ring, row, event, f"{name} was {_listed(events)}")
            answers = {need_event(value, new, old) for value in events}
            words = f"from {old} to {new} with {name} {_listed(events)}"
            if sent and answers == {False}:
                row = "SPLIT-NOT-39" if driver else "SPLIT-NOT-27"
                self.say(row, ring.index, None, f"a {note} that is not wanted, {words}")
            elif not sent and answers == {True}:
                row = "SPLIT-NOT-38" if driver else "SPLIT-NOT-26"
                self.say(row, ring.index, None, f"no {note}, {words}")
            return
        name = "used.flags" if driver else "avail.flags"
        if event.place not in flags:
            row = ("SPLIT-NOT-34" if driver else "SPLIT-NOT-22") if event.place in events else ""
            row = row or ("SPLIT-DRV-44" if driver else "")
            self._read(ring, row, event, f"{name} was {_listed(flags)}")
        off = {bool(value & 1) for value in flags}
        words = f"from {old} to {new} with {name} {_listed(flags)}"
        if sent and off == {True}:
            row = "SPLIT-NOT-35" if driver else "SPLIT-NOT-23"
            self.say(row, ring.index, None, f"a {note} that is not wanted, {words}")
        elif not sent and off == {False} and new != old:
            row = "SPLIT-NOT-36" if driver else "SPLIT-NOT-24"
            self.say(row, ring.index, None, f"no {note}, {words}")

    def _packed(self, ring: Ring, way: _Way, event: Event) -> None:
        assert isinstance(ring, PackedRing)
        driver, sent = event.side == Side.DRIVER, event.kind in _SENT
        slot, wrap = ring.avail if driver else ring.back
        moved = event.new - event.old & 0xFFFF if way.moved is None else way.moved
        way.moved = 0
        if len(way.wishes) >= _MANY:
            return
        # flags are read before the offset, so an older value of them may go with a newer offset
        read = {(one[0], two[1]) for i, one in enumerate(way.wishes) for two in way.wishes[i:]}
        if driver and (event.place >> 16 & 3, event.place & 0xFFFF) not in {(a & 3, b) for a, b in read}:
            self._read(ring, "PACKED-DRV-27", event, f"the device event structure was {_pairs(read)}")
        answers = {self._wanted(ring, flags, off_wrap, slot, wrap, moved) for flags, off_wrap in read}
        note = "kick" if driver else "call"
        row = "PACKED-EVT-33" if driver else "PACKED-EVT-32"
        words = f"{moved} slots up to slot {slot}, wrap {wrap}, with flags and offset {_pairs(read)}"
        if sent and answers == {False}:
            self.say(row, ring.index, None, f"a {note} that is not wanted, {words}")
        elif not sent and answers == {True}:
            self.say(row, ring.index, None, f"no {note}, {words}")

    def _wanted(self, ring: Ring, flags: int, off_wrap: int, slot: int, wrap: int, moved: int) -> bool:
        if flags & 3 == EVENT_DISABLE or not moved:
            return False
        if flags & 3 != EVENT_DESC or not self.scene.has(f.F_EVENT_IDX):
            return True
        offset = off_wrap & 0x7FFF
        if off_wrap >> 15 != wrap:
            offset -= ring.size
        return need_event(offset & 0xFFFF, slot, slot - moved & 0xFFFF)

    def _read(self, ring: Ring, row: str, event: Event, words: str) -> None:
        if row:
            self.say(row, ring.index, None, f"{event.place} was read, where {words}")


_DECISIONS = frozenset({Kind.KICK, Kind.KICK_QUIET, Kind.CALL, Kind.CALL_QUIET})
_SENT = frozenset({Kind.KICK, Kind.CALL})


def _wish(ring: Ring, decider: Side) -> tuple[int, int]:
    """What the other side asks for, as it stands: its flags, and its event value."""
    asker = "device" if decider == Side.DRIVER else "driver"
    if ring.shape.packed:
        return ring.value(asker, 2, 2), ring.value(asker, 0, 2)
    width = 8 if asker == "device" else 2
    return ring.value(asker, 0, 2), ring.value(asker, 4 + width * ring.size, 2)


def _listed(values: set[int]) -> str:
    return " or ".join(map(str, sorted(values)))


def _pairs(values: set[tuple[int, int]]) -> str:
    return " or ".join(f"{flags}, {off & 0x7FFF}|{off >> 15}" for flags, off in sorted(values))


CHECKS = (Decisions,)
