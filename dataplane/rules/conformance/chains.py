"""Buffers as the driver makes them available: descriptors, lists, indirect tables (2.7.4, 2.7.5, 2.8)."""

from __future__ import annotations

from dataplane import features as f
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE
from dataplane.rules.conformance.check import Check
from dataplane.rules.conformance.ring import Buffer

LONG = 64  #: elements of one buffer; a frame of 64 KiB in pages has 18
_BYTES_MOST = 1 << 32


class Chains(Check):
    """What both layouts ask of a buffer, each under the id of its own."""

    rows = (
        "SPLIT-DRV-04",
        "SPLIT-DRV-05",
        "SPLIT-DRV-09",
        "SPLIT-IND-11",
        "SPLIT-IND-13",
        "PACKED-DRV-16",
        "PACKED-DRV-15",
        "PACKED-IND-20",
    )

    def available(self, buffer: Buffer) -> None:
        ring = buffer.ring
        packed = ring.shape.packed
        writes = False
        total = 0
        for element in buffer.data:
            total += element.length
            if writes and not element.writable:
                words = f"{_where(element.table, element.at)} is read, behind one that is written"
                self._say(buffer, "PACKED-DRV-16" if packed else "SPLIT-DRV-04", words)
                break
            writes = element.writable
        count = len(buffer.elements) + len(buffer.entries) - bool(buffer.table)
        if buffer.why == "long" or count > ring.size:
            words = f"{count} descriptors, table entries among them, in a queue of {ring.size}"
            self._say(buffer, "PACKED-DRV-15" if packed else "SPLIT-IND-13", words)
        if buffer.table and not self.scene.has(f.F_INDIRECT_DESC):
            words = "INDIRECT, where INDIRECT_DESC was not accepted"
            self._say(buffer, "PACKED-IND-20" if packed else "SPLIT-IND-11", words)
        if packed:
            return
        if count > LONG:
            self._say(buffer, "SPLIT-DRV-05", f"{count} descriptors for one buffer")
        if buffer.why == "loop":
            self._say(buffer, "SPLIT-DRV-09", buffer.wrong)
        elif total > _BYTES_MOST:
            self._say(buffer, "SPLIT-DRV-09", f"{total} bytes in one buffer")

    def _say(self, buffer: Buffer, row: str, words: str) -> None:
        self.say(row, buffer.ring.index, buffer.head, words)


class SplitChains(Check):
    rows = (
        "SPLIT-DRV-10",
        "SPLIT-IND-12",
        "SPLIT-IND-14",
        "SPLIT-IND-15",
        "SPLIT-DRV-50",
    )

    def available(self, buffer: Buffer) -> None:
        ring = buffer.ring
        if ring.shape.packed:
            return
        say, queue = self.say, ring.index
        for element in buffer.elements:
            if element.flags & DESC_F_INDIRECT and element.flags & DESC_F_NEXT:
                say("SPLIT-IND-14", queue, element.at, f"slot {element.at} has INDIRECT and NEXT")
            follows = (element.at + 1) % ring.size
            if ring.shape.in_order and element.flags & DESC_F_NEXT and element.next != follows:
                say("SPLIT-DRV-10", queue, element.at, f"slot {element.at} goes on in slot {element.next}")
        for entry in buffer.entries:
            if entry.flags & DESC_F_INDIRECT:
                say("SPLIT-IND-12", queue, buffer.head, f"{_where(True, entry.at)} has INDIRECT")
            if ring.shape.in_order and entry.flags & DESC_F_NEXT and entry.next != entry.at + 1:
                say("SPLIT-IND-15", queue, buffer.head, f"{_where(True, entry.at)} goes on in {entry.next}")
        if buffer.why == "range":
            say("SPLIT-DRV-50", queue, None, buffer.wrong)


class PackedLists(Check):
    rows = (
        "PACKED-DRV-17",
        "PACKED-DRV-18",
        "PACKED-IND-21",
        "PACKED-IND-22",
        "PACKED-IND-23",
        "PACKED-DRV-28",
    )

    def available(self, buffer: Buffer) -> None:
        ring = buffer.ring
        if not ring.shape.packed:
            return
        say, queue, head = self.say, ring.index, buffer.head
        if buffer.why == "room":
            say("PACKED-DRV-17", queue, head, buffer.wrong)
        if buffer.why == "late":
            say("PACKED-DRV-18", queue, head, buffer.wrong)
        for element in buffer.elements:
            chained = len(buffer.elements) > 1 or element.flags & DESC_F_NEXT
            if element.flags & DESC_F_INDIRECT and chained:
                say("PACKED-IND-23", queue, element.at, f"slot {element.at} of a list has INDIRECT")
        for entry in buffer.entries:
            if entry.flags & ~DESC_F_WRITE:
                words = f"{_where(True, entry.at)} has flags 0x{entry.flags:x}"
                say("PACKED-IND-21", queue, head, words)
                break
        if buffer.table and (buffer.table[1] % 16 or not 16 <= buffer.table[1] <= 16 * ring.size):
            words = f"a table of {buffer.table[1]} bytes in a queue of {ring.size}"
            say("PACKED-IND-22", queue, head, words)
        if buffer.id in ring.outstanding and buffer.why not in ("late", "room", "long"):
            say("PACKED-DRV-28", queue, head, f"id {buffer.id} is that of a buffer that is on its way")


def _where(table: bool, at: int) -> str:
    return f"entry {at} of its table" if table else f"slot {at}"


CHECKS = (Chains, SplitChains, PackedLists)
