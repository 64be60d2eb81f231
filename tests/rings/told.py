"""Events and logged frames written by hand, for rows that no store shows: status, headers, commands."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from dataplane import features as f
from dataplane.bare import Bare
from dataplane.keyframe import Keyframe
from dataplane.negotiate import OFFERED
from dataplane.pair import Pair
from dataplane.records import EVENT, FRAME, TO_DEVICE, TO_DRIVER, Kind, Role, Side
from dataplane.rules.conformance.audit import Audit
from dataplane.source import Frames

D, V = Side.DRIVER, Side.DEVICE
A, DR, OK, UP, NEEDS, FAILED = 1, 2, 8, 4, 64, 128
READY = A | DR | OK
RUNNING = READY | UP


def at_rest(features: str = "", *, pairs: int = 1, layout: str = "split") -> Keyframe:
    """A real pair that has come up and not moved yet."""
    with Pair(layout=layout, features=features, queue_pairs=pairs, queue_size=8) as pair:  # type: ignore[arg-type]
        keyframe = pair.keyframe()
    assert keyframe is not None
    return keyframe


def network(rings: Bare, role: Role, features: str = "", index: int = 0, pairs: int = 1) -> Keyframe:
    """Bare rings as they stand, as if the first were a queue of a network device."""
    keyframe = rings.keyframe()
    assert keyframe is not None
    packed = keyframe.base.identity.packed
    net = at_rest(features, layout="packed" if packed else "split").base
    accepted = keyframe.base.identity.accepted | net.identity.accepted
    base = replace(keyframe.base, config=net.config, queue_pairs=pairs)
    base = replace(base, identity=replace(net.identity, accepted=accepted))
    return replace(keyframe, base=base, shapes=(replace(keyframe.shapes[0], role=role, index=index),))


def changed(keyframe: Keyframe, **changes: object) -> Keyframe:
    """The same moment with another `base`: identity, configuration, status."""
    return replace(keyframe, base=replace(keyframe.base, **changes))  # type: ignore[arg-type]


class Told:
    """A journal, from its first event or behind a keyframe."""

    def __init__(self, keyframe: Keyframe | None = None) -> None:
        self.audit = Audit(keyframe)
        self.number = keyframe.number if keyframe else 0
        self.status = keyframe.base.status if keyframe else 0
        self._rows: list[tuple[int, ...]] = []
        self._frames: list[tuple[object, ...]] = []
        self._data: list[bytes] = []

    def event(
        self,
        kind: Kind,
        side: Side,
        *,
        old: int = 0,
        new: int = 0,
        place: int = 0,
        queue: int = 0,
        slot: int = 0,
    ) -> None:
        self.number += 1
        now = self.number * 1000
        self._rows.append((self.number, now, place, old, new, int(kind), int(side), queue, slot, 1))

    def write(self, *values: int, side: Side = D) -> Told:
        """Status writes that the device takes as they are."""
        for value in values:
            self.event(Kind.STATUS, side, old=self.status, new=value)
            self.status = value
        return self

    def features(self, accepted: int, offered: int = OFFERED) -> Told:
        self.event(Kind.FEATURES, D, old=offered, new=accepted)
        return self

    def up(self, accepted: int | None = None, offered: int = OFFERED) -> Told:
        """The way that any driver goes."""
        wanted = f.mask(f.F_VERSION_1) if accepted is None else accepted
        return self.write(0, A, A | DR).features(wanted, offered).write(READY, RUNNING)

    def command(
        self, cls: int, command: int, ack: int = 0, pairs: int = 1, side: Side = V, queue: int = 2
    ) -> Told:
        self.event(Kind.CONTROL, side, place=cls << 8 | command, old=pairs, new=ack, queue=queue)
        return self

    def frame(
        self,
        transmit: bool,
        *,
        flags: int = 0,
        gso: int = 0,
        hdr_len: int = 0,
        size: int = 0,
        start: int = 0,
        offset: int = 0,
        num: int | None = None,
        buffers: int = 1,
        length: int = 64,
        header_length: int = 12,
        position: int = 0,
        data: bytes = b"",
    ) -> Told:
        """A logged frame; `num` is the num_buffers of its header, by itself what it should be."""
        own = (0 if transmit else buffers) if num is None else num
        header = struct.pack("<BBHHHHH8x", flags, gso, hdr_len, size, start, offset, own)
        data = data or bytes(12) + b"\x08\x00" + bytes(50)
        way = TO_DEVICE if transmit else TO_DRIVER
        row = (len(self._frames) + 1, 0, position, length, len(data), int(transmit), 0, 1, buffers, way, 0)
        self._frames.append((*row, header_length, header))
        self._data.append(data)
        return self

    def found(self) -> set[str]:
        """The ids of the rows that were not kept."""
        found = self.audit.feed(np.array(self._rows, EVENT))
        rows = np.array(self._frames, FRAME)
        offsets = np.cumsum([0, *map(len, self._data)])[:-1].astype(np.int64)
        found += self.audit.frames(Frames(rows, offsets, b"".join(self._data), (0, 0), 0))
        return {violation.row.id for violation in found}
