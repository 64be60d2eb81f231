"""Control commands, and what they change: queue pairs in use (5.1.6.5).

A CONTROL event names class, command and ack; the data of a command is payload, and only its length is known.
"""

from __future__ import annotations

from dataplane import features as f
from dataplane.keyframe import Keyframe
from dataplane.records import Kind, Role, Side
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.features import (
    DEVICE_STATS,
    HASH_TUNNEL,
    NOTF_COAL,
    RSS,
    VQ_NOTF_COAL,
    name,
)
from dataplane.rules.conformance.ring import Buffer, Ring, Use
from dataplane.rules.conformance.scene import Event, Scene

_RX, _MAC, _MQ = 0, 1, 4
_OK = 0

#: By class and command: the feature without which it is not to be sent, and the row that says so.
_GATES: dict[tuple[int, int], tuple[int, str]] = {
    **{(_RX, command): (f.NET_F_CTRL_RX, "CVQ-DRV-03") for command in (0, 1)},
    **{(_RX, command): (f.NET_F_CTRL_RX_EXTRA, "CVQ-DRV-03") for command in (2, 3, 4, 5)},
    (_MAC, 0): (f.NET_F_CTRL_RX, "CVQ-DRV-05"),
    (_MQ, 0): (f.NET_F_MQ, "MQ-DRV-01"),
    (_MQ, 1): (RSS, "RSS-DRV-01"),
    (5, 0): (f.NET_F_CTRL_GUEST_OFFLOADS, "OFFL-DRV-01"),
    **{(6, command): (NOTF_COAL, "COAL-DRV-01") for command in (0, 1)},
    **{(6, command): (VQ_NOTF_COAL, "COAL-DRV-01") for command in (2, 3)},
    (7, 0): (HASH_TUNNEL, "NETHASH-DRV-04"),
    **{(8, command): (DEVICE_STATS, "STATS-DRV-02") for command in (0, 1)},
}


def _readable(buffer: Buffer) -> int:
    return sum(element.length for element in buffer.data if not element.writable)


class Commands(Check):
    rows = (
        "CVQ-BOTH-01",
        "CVQ-DEV-02",
        "CVQ-DRV-03",
        "CVQ-DRV-05",
        "CVQ-DRV-06",
        "MQ-DRV-01",
        "RSS-DRV-01",
        "OFFL-DRV-01",
        "COAL-DRV-01",
        "NETHASH-DRV-04",
        "STATS-DRV-02",
    )
    kinds = frozenset({Kind.CONTROL})

    def available(self, buffer: Buffer) -> None:
        if self.scene.device != 1 or buffer.ring.shape.role != Role.CONTROL or buffer.why:
            return
        readable = _readable(buffer)
        if readable < 2 or not buffer.writable:
            words = f"a command of {readable} readable and {buffer.writable} writable bytes"
            self.say("CVQ-BOTH-01", buffer.ring.index, buffer.head, words)

    def told(self, event: Event) -> None:
        if event.side != Side.DEVICE or self.scene.accepted is None:
            return
        what = event.place >> 8, event.place & 0xFF
        gate = _GATES.get(what)
        if gate and not self.scene.has(gate[0]):
            words = f"command {what[0]}.{what[1]} without {name(gate[0])}"
            self.say(gate[1], event.queue, event.slot, words)
            return
        ring = self.scene.rings.get(event.queue)
        buffer = ring.positions.get(ring.seen - 1) if ring else None
        if buffer is not None and not buffer.why and not (buffer.ring.lost):
            self._length(event, what, _readable(buffer) - 2)

    def _length(self, event: Event, what: tuple[int, int], data: int) -> None:
        """The length of its data, and whether a whole command was obeyed."""
        refused = event.new != _OK
        if what == (_MAC, 0) and (data < 8 or (data - 8) % 6):
            words = f"MAC_TABLE_SET with {data} bytes, which are no two tables"
            self.say("CVQ-DRV-06", event.queue, event.slot, words)
        elif what[0] == _RX and what[1] < 6 and data >= 1 and refused:
            words = f"command 0.{what[1]} with its feature is answered {event.new}"
            self.say("CVQ-DEV-02", event.queue, event.slot, words)
        elif what == (_MQ, 0) and (data < 2 or refused):
            words = f"VQ_PAIRS_SET with {data} bytes is answered {event.new}: not a number of pairs there are"
            self.say("MQ-DRV-01", event.queue, event.slot, words)


class Pairs(Check):
    """Which queues may move while so many pairs are in use.

    A side learns of a new number at its next turn: a smaller one binds it when it has slept twice.
    """

    rows = ("MQ-DRV-02", "MQ-DEV-03", "NETRX-DRV-04")
    kinds = frozenset({Kind.CONTROL, Kind.WAIT, Kind.STATUS})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._pairs: int | None = None
        self._bound = [0, 0]  # by side: how many pairs it may use; 0: not known
        self._slept = [0, 0]
        self._named: set[tuple[str, int]] = set()

    def met(self, keyframe: Keyframe) -> None:
        if self._pairs is None and keyframe.base.identity.device_id == 1:
            self._set(keyframe.base.queue_pairs)

    def _set(self, pairs: int) -> None:
        self._pairs = pairs
        self._bound = [max(bound, pairs) for bound in self._bound]
        self._slept = [0, 0]
        self._named.clear()

    def told(self, event: Event) -> None:
        match event.kind:
            case Kind.WAIT if self._pairs is not None:
                self._slept[event.side] += 1
                if self._slept[event.side] == 2:
                    self._bound[event.side] = self._pairs
            case Kind.CONTROL if event.place == _MQ << 8 and event.new == _OK:
                self._set(event.old)
                if event.side == Side.DRIVER:
                    self._filled(event.old)
            case Kind.STATUS if not event.new:
                self._set(1)

    def _filled(self, pairs: int) -> None:
        for ring in self.scene.rings.values():
            if ring.shape.role == Role.RECEIVE and ring.index // 2 < pairs and not ring.made:
                self._name(
                    "NETRX-DRV-04", ring, None, f"no buffer was ever put into it, {pairs} pairs are used"
                )

    def available(self, buffer: Buffer) -> None:
        ring, bound = buffer.ring, self._bound[Side.DRIVER]
        if bound and ring.shape.role == Role.TRANSMIT and ring.index // 2 >= bound:
            self._name("MQ-DRV-02", ring, buffer.head, f"a frame is sent while {bound} pairs are used")

    def used(self, use: Use) -> None:
        ring, bound = use.ring, self._bound[Side.DEVICE]
        if bound and ring.shape.role == Role.RECEIVE and ring.index // 2 >= bound and use.length:
            self._name("MQ-DEV-03", ring, None, f"a frame is delivered while {bound} pairs are used")

    def _name(self, row: str, ring: Ring, slot: int | None, words: str) -> None:
        if (row, ring.index) not in self._named:
            self._named.add((row, ring.index))
            self.say(row, ring.index, slot, words)


CHECKS = (Commands, Pairs)
