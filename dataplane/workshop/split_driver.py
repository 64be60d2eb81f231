"""The rules for a driver half of a split ring (2.7), store by store.

What the driver may write is its own: the descriptor table and the available ring. A buffer is the device's
from the store to avail.idx that exposes it until a used.idx that covers its element has been loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dataplane.places import Place
from dataplane.workshop.judge import Access, pieces_words
from dataplane.workshop.split_driver_calls import SplitDriverCalls
from dataplane.workshop.split_index import MASK


@dataclass
class SplitDriverJudge(SplitDriverCalls):
    """See the module."""

    scribbled: dict[Place, tuple[int, int]] = field(default_factory=dict)  #: field -> (before, garbage)

    def loaded(self, at: Place) -> None:
        self.loads.add(at.area)
        if at.area == "used_idx":
            self.idx_loaded = True
            self._told(self.value(at))
        elif at.area == "used_ring":
            self._element(at)
        elif at.area in ("desc", "avail_ring", "avail_idx", "avail_flags"):
            self._own(at)
        elif at.area == "avail_event" and self.during == "collect()":
            self.wrong(
                f"this is avail_event, just behind the last element used.ring[{self.size - 1}]; an element "
                f"is used.ring[index mod {self.size}]",
                section="2.7.8",
            )
        elif self.during == "kick_needed()" and self.idx_at > self.barrier:
            self.wrong(
                f"{at.text} is loaded without a barrier since the store to avail.idx in line "
                f"{self.line_of(self.idx_at)}",
                would="The processor may load first and store after: the driver sees 'no kick wanted', the "
                "device has looked for buffers before the new avail.idx was there, and both wait: a lost "
                "kick.",
                section="2.7.13.4.1",
            )

    def _told(self, value: int) -> None:
        new = (value - self.index(self.told)) & MASK
        if new > self.published - self.told:
            self.back.append(None)
            self.told_at.append(self.number)
            return
        for _ in range(new):
            id = self.value(self.at("used_ring", self.entry(self.told), "id"))
            buffer = self.out.pop(id, None)
            if buffer is not None:
                buffer.length = self.value(self.at("used_ring", self.entry(self.told), "len"))
            self.back.append(buffer)
            self.told_at.append(self.number)
            self.told += 1

    def _element(self, at: Place) -> None:
        if not self.back:
            if not self.idx_loaded and at.index == self.entry(self.collected):
                self.wrong(
                    f"{at.text} is loaded before used.idx says that there is anything in it",
                    would="What stands there may be the element of the lap before, or nothing at all.",
                    section="2.7.8",
                )
            elif at.index == self.entry(self.collected):
                self.wrong(
                    f"{at.text} is loaded, but used.idx is {self.index(self.told)}: the next element is not "
                    "there yet",
                    would="What stands there may be the element of the lap before, or nothing at all.",
                    section="2.7.8",
                )
            return
        counts = range(self.told - len(self.back), self.told)
        for back, count in enumerate(counts):
            if (
                self.entry(count) == at.index
                and back < len(self.told_at)
                and self.told_at[back] > self.barrier
            ):
                self.wrong(
                    f"no barrier between the load of used.idx in line {self.line_of(self.told_at[back])} "
                    f"and that of {at.text}",
                    would="The processor may load the element first: it gets the one of the lap before, "
                    "although used.idx is the new one.",
                    section="2.7.8.2",
                )

    def _own(self, at: Place) -> None:
        writer = self.writer(at)
        if not writer:
            return
        last = self.accesses[writer - 1]
        wrote = self._part_of(last, at)
        if wrote is not None and wrote != self.value(at):
            self.wrong(
                f"{at.text} is read back: this half stored {wrote} there in line {last.line}, and the other "
                f"side has changed it to {self.value(at)}",
                would="A driver that follows what it can read back frees or reuses what the device tells "
                "it to; keep the chain in variables of your own.",
                section="2.7.5",
            )
        if at.area == "desc":
            self.advise(
                f"line {self.accesses[-1].line} reads {at.text} back from the ring: it works here; a driver "
                "that does not trust its device keeps a copy of its own"
            )

    def _part_of(self, access: Access, at: Place) -> int | None:
        """What an earlier store put into a field, where it covers all of it."""
        offset = at.address - access.address
        if offset < 0 or offset + at.width > access.width:
            return None
        return access.value >> 8 * offset & (1 << 8 * at.width) - 1

    # stores

    def storing(self, at: Place, value: int, touched: Sequence[Place]) -> None:
        names = {one.area for one in touched}
        if at.area in ("used_ring", "used_idx", "used_flags", "avail_event"):
            self.wrong(
                f"the driver stores to {at.text}: the used ring is written by the device alone",
                would=self._would_foreign(at),
                section="2.7.8",
            )
        if "avail_idx" in names and names & {"avail_ring", "desc"}:
            self.wrong(
                "one store writes avail.idx together with an entry: nothing orders the two",
                section="2.7.13.3.1",
            )
        match at.area:
            case "desc":
                self._storing_desc(at)
            case "avail_ring":
                self._storing_entry(at, value)
            case "avail_flags":
                if value > 1 or (self.event_idx and value):
                    limit = "0 with EVENT_IDX" if self.event_idx else "0 or 1"
                    self.wrong(f"avail.flags = {value}: it is {limit}", section="2.7.7.1")
            case "used_event":
                if not self.event_idx:
                    self.wrong(
                        f"this is used_event, just behind the last entry avail.ring[{self.size - 1}]; "
                        "EVENT_IDX was not negotiated, so nobody reads it. An entry is avail.ring[idx mod "
                        f"{self.size}]",
                        would=self._would_miss(),
                        section="2.7.6",
                    )
            case "avail_idx":
                self._storing_idx(value)

    def _would_foreign(self, at: Place) -> str:
        if at.area == "used_idx":
            return "The next load of used.idx would tell the driver of buffers that the device has not used."
        return "The device and the driver would overwrite each other there, and the driver believe itself."

    def _would_miss(self) -> str:
        entry = self.entry(self.published + max(len(self.waiting) - 1, 0))
        found = self.value(self.at("avail_ring", entry))
        return f"The device looks into avail.ring[{entry}] and finds {found} there."

    def _storing_desc(self, at: Place) -> None:
        owner = self.owned.get(at.index)
        if owner is not None:
            self.wrong(
                f"{at.text} is stored to while the device owns descriptor {at.index}: it belongs to the "
                f"buffer with head {owner.id}, and no used.idx that covers that buffer has been loaded",
                would=f"The device may read the new words in the middle of the old buffer "
                f"({pieces_words(owner.pieces)}).",
                section="2.7.13.1",
            )

    def _storing_entry(self, at: Place, value: int) -> None:
        first = next(
            c for c in range(self.published, self.published + self.size) if self.entry(c) == at.index
        )
        if first - self.told >= self.size:
            self.wrong(
                f"{at.text} still holds the entry of an earlier buffer that the device may not have read: "
                f"more than {self.size} would be on their way",
                section="2.7.6",
            )
        adding = self.adding
        if value >= self.size and adding is not None:
            self.wrong(
                f"{at.text} = {value}: an entry names the head of a chain, and the table has descriptors 0 "
                f"to {self.size - 1}",
                would="The device finds a head that is out of range and gives the queue up.",
                section="2.7.6",
            )

    # the index: what it exposes is judged here

    # a device that lies

    def forge(self, count: int, id: int) -> None:
        self.put_theirs(self.at("used_ring", self.entry(count), "id"), id)

    def scribble(self, head: int) -> None:
        """Writes over what this half stored into the `next` fields of a chain; `restore` puts it back."""
        chain = next(buffer for buffer in self.live if buffer.id == head)
        for slot in chain.slots:
            at = self.at("desc", slot, "next")
            self.scribbled[at] = (self.value(at), garbage := (self.value(at) + 2) % self.size)
            self.put_theirs(at, garbage)

    def restore(self) -> None:
        for at, (before, garbage) in self.scribbled.items():
            if self.value(at) == garbage:
                self.put_theirs(at, before)
        self.scribbled.clear()
