"""The rules for a device half of a split ring (2.7), load by load and store by store.

What the device may write is its own: the used ring. A descriptor is its business from the load of an
avail.idx that covers the chain until it moves used.idx past the element for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from dataplane.places import Place
from dataplane.records import Owner
from dataplane.workshop.judge import Buffer, plural
from dataplane.workshop.ring import NEXT
from dataplane.workshop.split_device_calls import SplitDeviceCalls
from dataplane.workshop.split_index import MASK

_OWN = ("used_ring", "used_idx", "used_flags", "avail_event")


@dataclass
class SplitDeviceJudge(SplitDeviceCalls):
    """See the module."""

    # loads

    def loaded(self, at: Place) -> None:
        number, value = self.number, self.value(at)
        if at in self.first and self.first[at][0] != value:
            before, access = self.first[at]
            self.wrong(
                f"{at.text} is loaded a second time: in line {self.line_of(access)} it was {before}, now it "
                f"is {value}. The other side may change it in between; load it once and use the copy",
                would="What was checked is not what is used.",
                section="2.7.6",
            )
        self.first.setdefault(at, (value, number))
        match at.area:
            case "avail_idx":
                self._told(value)
            case "avail_ring" if self.during == "next()":
                self._entry(at)
            case "desc" if self.during == "next()":
                self._desc(at)
            case "used_event" if self.during == "next()":
                self.wrong(
                    f"this is used_event, just behind the last entry avail.ring[{self.size - 1}]; an entry "
                    f"is avail.ring[index mod {self.size}]",
                    section="2.7.6",
                )
            case "avail_flags" | "used_event" if self.during == "call_needed()":
                self._wish(at)
            case area if area in _OWN:
                self.advise(
                    f"line {self.accesses[-1].line} reads {at.text} back: it works here; a device keeps its "
                    "own positions, since the driver could write there"
                )
        if at in self.bait:
            self.put_theirs(at, self.bait.pop(at))

    def _told(self, value: int) -> None:
        new = (value - self.index(self.told)) & MASK
        if new > self.size:
            return
        self.told_at += [self.number] * new
        self.told += new

    def _entry(self, at: Place) -> None:
        count = self.seen_count
        if at.index != self.entry(count):
            ahead = [c for c in range(count, self.told) if self.entry(c) == at.index]
            if not ahead:
                self.wrong(
                    f"{at.text} is loaded; the next buffer is at index {self.index(count)}, and "
                    f"{self.index(count)} mod {self.size} is entry {self.entry(count)}",
                    would="The entry of another buffer, or none: a head would be taken twice.",
                    section="2.7.6",
                )
            count = ahead[0]
        if count >= self.told:
            self.wrong(
                f"{at.text} is loaded, but avail.idx has not been seen past {self.index(self.told)}: "
                "nothing is there yet",
                would="What stands there is the entry of the lap before.",
                section="2.7.6",
            )
        if self.told_at[count] > self.barrier:
            self.wrong(
                f"no barrier between the load of avail.idx in line {self.line_of(self.told_at[count])} and "
                f"that of {at.text}",
                would="The processor may load the entry first: it gets the one of the lap before, although "
                "avail.idx is the new one.",
                section="2.7.13.3.1",
            )

    def _desc(self, at: Place) -> None:
        one = self.next_one
        if one is None or self.lying:
            return
        if at.index in one.slots:
            return
        if any(at.index in other.slots for other in self.live if other.position >= self.seen_count):
            return
        previous = one.slots[-1]
        flags = self.value(self.at("desc", previous, "flags"))
        why = (
            f": descriptor {previous} has no NEXT, so its next field means nothing"
            if not flags & NEXT
            else ""
        )
        self.wrong(
            f"{at.text} is loaded, but descriptor {at.index} is not part of the chain of head {one.id}{why}",
            would="The device would read or write memory that the driver has not given it.",
            section="2.7.5",
        )

    def _wish(self, at: Place) -> None:
        if self.idx_at > self.barrier:
            self.wrong(
                f"{at.text} is loaded without a barrier since the store to used.idx in line "
                f"{self.line_of(self.idx_at)}",
                would="The processor may load first and store after: the device sees 'no call wanted', the "
                "driver has looked before the new used.idx was there, and both wait: a lost call.",
                section="2.7.7.2",
            )

    # stores

    def storing(self, at: Place, value: int, touched: Sequence[Place]) -> None:
        names = {one.area for one in touched}
        if at.area == "desc":
            self.wrong(
                f"the device stores to {at.text}: it must not write any descriptor",
                would="The driver's chain would be what the device made of it.",
                section="2.7.5.1",
            )
        if at.area in ("avail_ring", "avail_idx", "avail_flags", "used_event"):
            self.wrong(
                f"the device stores to {at.text}: the available ring is written by the driver alone",
                would="The two would overwrite each other there.",
                section="2.7.6",
            )
        if "used_idx" in names and "used_ring" in names:
            self.wrong(
                "one store writes used.idx together with an element: nothing orders the two",
                section="2.7.8.2",
            )
        match at.area:
            case "used_flags":
                if value > 1 or (self.event_idx and value):
                    self.wrong(
                        f"used.flags = {value}: it is {'0 with EVENT_IDX' if self.event_idx else '0 or 1'}",
                        section="2.7.10.2",
                    )
            case "avail_event":
                if not self.event_idx:
                    self.wrong(
                        f"this is avail_event, just behind the last element used.ring[{self.size - 1}]; "
                        "EVENT_IDX was not negotiated, so nobody reads it. An element is used.ring[idx mod "
                        f"{self.size}]",
                        section="2.7.8",
                    )
            case "used_ring":
                self._storing_element(at)
            case "used_idx":
                self._storing_idx(value)

    def _storing_element(self, at: Place) -> None:
        first = next(
            c for c in range(self.used_count, self.used_count + self.size) if self.entry(c) == at.index
        )
        if first - self.collected >= self.size:
            self.wrong(
                f"{at.text} still holds an element that the driver may not have collected",
                would="The driver would find this buffer instead of that one: one is lost, one comes twice.",
                section="2.7.8",
            )

    def _storing_idx(self, value: int) -> None:
        before = self.index(self.used_count)
        moved = (value - before) & MASK
        if moved == 0:
            return
        if moved > len(self.waiting):
            self._bad_index(value, before, moved)
        fields: list[Place] = []
        for i, buffer in enumerate(self.waiting[:moved]):
            fields += self._exposed(buffer, self.used_count + i, value)
        if self.during != "flush()":
            self.wrong(
                f"used.idx moves in {self.during}: in this workshop flush() makes elements visible, so that "
                "a batch costs one store"
            )
        self.ordered(fields, min(b.since for b in self.waiting[:moved]), value)
        for buffer in self.waiting[:moved]:
            buffer.owner = Owner.USED
        del self.waiting[:moved]
        self.used_count += moved
        self.idx_at = self.number

    def _bad_index(self, value: int, before: int, moved: int) -> NoReturn:
        count = len(self.waiting)
        right = (before + count) & MASK
        would = self.would_index(value)
        if value == right % self.size and value != right:
            self.wrong(
                f"used.idx goes from {before} to {value}: it runs free from 0 to 65535 and must be {right} "
                f"now; only the element is taken modulo the queue size {self.size}",
                would=would,
                section="2.7.8",
            )
        if moved >= 1 << 15:
            self.wrong(
                f"used.idx goes back from {before} to {value}; it only counts on (65535 is followed by 0)",
                would=would,
                section="2.7.8",
            )
        said = (
            f"{plural(count, 'buffer')} {'was' if count == 1 else 'were'} completed since"
            if count
            else "nothing was completed since"
        )
        self.wrong(
            f"used.idx goes from {before} to {value}, but {said}: it must "
            f"{f'be {right}' if count else 'stay'}",
            would=would,
            section="2.7.8",
        )

    def _exposed(self, buffer: Buffer, count: int, value: int) -> list[Place]:
        """The element of one buffer that used.idx = value makes visible; its two fields."""
        id, length = (self.at("used_ring", self.entry(count), name) for name in ("id", "len"))
        for at, wanted in ((id, buffer.id), (length, buffer.length)):
            found = self.value(at)
            if found == wanted:
                continue
            wrote = self.writer(at, buffer.since)
            if wrote:
                what = (
                    "the head of the chain that complete() was called for"
                    if at is id
                    else "what complete() was told"
                )
                self.wrong(
                    f"{at.text} = {found}, and {what} is {wanted}",
                    would=self.would_index(value),
                    section="2.7.8",
                    access=wrote,
                )
            elsewhere = self._elsewhere(buffer, at, wanted)
            if elsewhere:
                self.wrong(
                    f"{wanted} is put into {self.accesses[elsewhere - 1].where}; used.idx is "
                    f"{self.index(count)} for it, and {self.index(count)} mod {self.size} is {at.index}",
                    would=self.would_index(value),
                    section="2.7.8",
                    access=elsewhere,
                )
            self.wrong(
                f"used.idx goes to {value} while {at.text} has not been written for head {buffer.id}: it "
                f"still holds {found}",
                would=self.would_index(value),
                section="2.7.8.2",
            )
        return [id, length]

    def _elsewhere(self, buffer: Buffer, at: Place, wanted: int) -> int:
        for access in self.accesses[buffer.since :]:
            there = access.where
            if (
                access.what == "store"
                and there.endswith(f".{at.field}")
                and there != at.text
                and access.value == wanted
            ):
                mine = {
                    self.at("used_ring", self.entry(self.used_count + i), at.field).text
                    for i in range(len(self.waiting))
                }
                if there not in mine:
                    return access.number
        return 0

    # a driver that lies

    def lies(self, what: str, would: str, section: str) -> None:
        """From now on the driver's half of the ring breaks a rule, which next() has to find."""
        self.lying, self.lie, self.lie_would, self.lie_section = True, what, would, section

    # what the driver makes of it

    def would(self) -> str:
        """Our driver collects from memory as it stands; what it got, in words."""
        back = self.ring.collect()
        if back is None:
            driver = self.ring.snapshot((0,)).queue(0).driver
            if driver is not None and driver.broken:
                return f"Our driver, asked now, gives the queue up: {driver.broken.name}."
            return "Our driver, asked now, sees nothing used."
        return f"Our driver, asked now, takes head {back.head} back, {plural(back.length, 'byte')} written."
