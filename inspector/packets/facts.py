"""The facts that lines of the packet list are made of, read from the store for those in sight alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from capture.columns import Summary, summary
from capture.frame import CALL_QUIET, CALL_SENT, KICK_QUIET, KICK_SENT
from inspector.packets.rows import NO_QUEUE, Packet
from inspector.sanitise import clean

if TYPE_CHECKING:
    from inspector.session import Session

_SUMMARIES = 4096
_KICK, _CALL = KICK_SENT | KICK_QUIET, CALL_SENT | CALL_QUIET

_Item = tuple[Any, ...]


class Facts:
    """Reads packets of a session. `notes` has bits of `capture.expert.NOTES` by packet number."""

    def __init__(self, session: Session) -> None:
        self.notes: Mapping[int, int] = {}
        self.moment: int | None = None  #: of the past, ns since the epoch: what came later is not known then
        self._session = session
        self._zero: int | None = None
        self._summaries: OrderedDict[int, Summary] = OrderedDict()

    def begin(self) -> None:
        """Relative times count from the first packet that is seen here."""
        store = self._session.frames
        if self._zero is None and len(store):
            first = store.rows(store.first, store.first + 1)["time"]
            self._zero = int(first[0]) if len(first) else None

    def summary(self, number: int, data: bytes | None = None) -> Summary:
        """What the line of a packet says; remembered for those lately in sight."""
        known = self._summaries.get(number)
        if known is None:
            known = summary(self._session.frames.frame(number).data if data is None else data)
            self._summaries[number] = known
            if len(self._summaries) > _SUMMARIES:
                self._summaries.popitem(last=False)
        return known

    def packets(self, numbers: list[int], above: int | None) -> list[Packet]:
        """The facts about these packets, as far as they are still kept; `above` stands before the first."""
        near = [number - 1 for number in numbers] + ([above] if above is not None else [])
        rows: dict[int, _Item] = {}
        stages: dict[int, _Item] = {}
        data: dict[int, bytes] = {}
        for block in self._session.frames.pick(np.array([*numbers, *near], np.int64)):
            found = block.rows["number"].tolist()
            rows.update(zip(found, block.rows.tolist(), strict=True))
            stages.update(zip(found, block.stages.tolist(), strict=True))
            sizes = block.rows["captured"].tolist()
            for number, begin, size in zip(found, block.offsets.tolist(), sizes, strict=True):
                data[number] = bytes(block.data[begin : begin + size])
        queues: dict[int, str] = {NO_QUEUE: ""}
        made: list[Packet] = []
        for number in numbers:
            if (row := rows.get(number)) is not None:
                queue = row[5]
                if queue not in queues:
                    queues[queue] = clean(self._session.queue_name(queue))
                before, over = rows.get(number - 1), rows.get(above) if above is not None else None
                said = self.summary(number, data[number])
                made.append(self._packet(row, stages[number], said, queues[queue], before, over))
            above = number
        return made

    def _packet(
        self, row: _Item, stages: _Item, said: Summary, queue: str, before: _Item | None, over: _Item | None
    ) -> Packet:
        number, time, _, length, captured, _, head, descriptors, buffers, direction, flags, *rest = row
        available, used, collected, notices, *_ = stages
        if self.moment is not None:
            available, used, collected = (
                at if at <= self.moment else 0 for at in (available, used, collected)
            )
            notices &= (_KICK if available else 0) | (_CALL if used else 0)
        return Packet(
            number=number,
            time=time,
            length=length,
            captured=captured,
            queue=queue,
            direction=direction,
            head=head,
            descriptors=descriptors,
            buffers=buffers,
            flags=flags,
            net_header=bytes(rest[1])[: rest[0]],
            summary=said,
            available=available,
            used=used,
            collected=collected,
            notices=notices,
            zero=self._zero or 0,
            before=before[1] if before else None,
            above=over[1] if over else None,
            notes=self.notes.get(number, 0),
        )
