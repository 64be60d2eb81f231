"""Halves with one mistake each: every one is caught, in the right words, at the right line."""

# ruff: noqa: E501  (tables of texts, one a line)
from __future__ import annotations

from typing import NamedTuple

import pytest

from dataplane.workshop.judging import HALVES, run


class Mutant(NamedTuple):
    """`old` becomes `new` in our solution; `words` stand in what is said, `line` in the line that is blamed."""

    name: str
    old: str
    new: str
    words: str
    line: str
    section: str = ""


_BARRIER_IDX = "        self.memory.barrier()  # descriptors and entries before idx (2.7.13.3.1)\n"
_ENTRY = "        self.memory.store16(self.avail + 4 + 2 * (self.idx % self.queue.size), head)\n"
_FLAGS = "(NEXT if more else 0) | (WRITE if piece.writable else 0)"
_STEP = "        self.idx = (self.idx + 1) & 0xFFFF\n"
_CHAIN = "chain = [self.free.pop(0) for _ in pieces]"

SPLIT_DRIVER = (
    Mutant("no barrier before idx", _BARRIER_IDX, "", "no barrier between the store to desc[0].addr", "self.avail + 2, self.idx", "2.7.13.3.1"),
    Mutant("barrier after idx", _BARRIER_IDX + "        self.memory.store16(self.avail + 2, self.idx)\n",
           "        self.memory.store16(self.avail + 2, self.idx)\n" + _BARRIER_IDX, "no barrier between", "self.avail + 2, self.idx", "2.7.13.3.1"),
    Mutant("idx before the entry", _ENTRY + _STEP,
           _STEP + "        self.memory.barrier(); self.memory.store16(self.avail + 2, self.idx)\n" + _ENTRY,
           "nothing was added since", "self.memory.barrier(); self.memory.store16"),
    Mutant("entry never written", _ENTRY, "", "while avail.ring[1] has not been written", "self.avail + 2, self.idx", "2.7.13.2"),
    Mutant("entry not modulo", "(self.idx % self.queue.size), head", "self.idx, head", "this is used_event", "self.idx, head", "2.7.6"),
    Mutant("entry one too far", "(self.idx % self.queue.size), head", "((self.idx + 1) % self.queue.size), head", "is put into avail.ring[2]", "(self.idx + 1)"),
    Mutant("entry holds idx", "(self.idx % self.queue.size), head)", "(self.idx % self.queue.size), (self.idx + 1) % self.queue.size)",
           "avail.ring[0] = 1, but add() said that the head of this buffer is 0", "(self.idx + 1) % self.queue.size"),
    Mutant("entry out of range", "(self.idx % self.queue.size), head)", "(self.idx % self.queue.size), head + 4)", "an entry names the head of a chain", "head + 4"),
    Mutant("idx modulo size", "self.memory.store16(self.avail + 2, self.idx)", "self.memory.store16(self.avail + 2, self.idx % self.queue.size)",
           "runs free from 0 to 65535", "self.idx % self.queue.size)", "2.7.6.1"),
    Mutant("idx not wrapped", _STEP, "        self.idx = self.idx + 1\n", "does not fit in 16 bits", "self.avail + 2, self.idx"),
    Mutant("idx wraps one early", _STEP, "        self.idx = (self.idx + 1) % 0xFFFF\n", "avail.idx goes from 65534 to 0", "self.avail + 2, self.idx"),
    Mutant("idx counts descriptors", _STEP, "        self.idx = (self.idx + len(pieces)) & 0xFFFF\n", "only 1 buffer was added since|but 1 buffer was added since", "self.avail + 2, self.idx"),
    Mutant("idx goes back", "self.memory.store16(self.avail + 2, self.idx)", "self.memory.store16(self.avail + 2, self.idx - 2 & 0xFFFF)", "goes back", "self.idx - 2", "2.7.6.1"),
    Mutant("publish does nothing", "        self.memory.store16(self.avail + 2, self.idx)\n", "", "publish() returned, and avail.idx is still 0", "self.memory.barrier()"),
    Mutant("add publishes", "        return head\n", "        self.memory.barrier()\n        self.memory.store16(self.avail + 2, self.idx)\n        return head\n",
           "nothing was added since", "self.avail + 2, self.idx"),
    Mutant("NEXT forgotten", _FLAGS, "WRITE if piece.writable else 0", "NEXT is missing", "self.memory.store16(at + 12", "2.7.5"),
    Mutant("NEXT on the last", "(NEXT if more else 0)", "NEXT", "NEXT must not be set", "self.memory.store16(at + 12", "2.7.5"),
    Mutant("WRITE forgotten", " | (WRITE if piece.writable else 0)", "", "WRITE must be set", "self.memory.store16(at + 12"),
    Mutant("WRITE on all", "(WRITE if piece.writable else 0)", "WRITE", "WRITE must not be set", "self.memory.store16(at + 12"),
    Mutant("next points to itself", "chain[i + 1] if more else 0", "slot if more else 0", "a loop", "self.memory.store16(at + 14"),
    Mutant("next is idx of piece", "chain[i + 1] if more else 0", "i + 2 if more else 0", "desc[0].next|descriptor 2|desc[2]", ""),
    Mutant("next out of range", "chain[i + 1] if more else 0", "chain[i + 1] + 4 if more else 0", "the table ends with 3", "self.memory.store16(at + 14"),
    Mutant("length of the first", "self.memory.store32(at + 8, piece.length)", "self.memory.store32(at + 8, pieces[0].length)", "desc[1].len is 12", "pieces[0].length"),
    Mutant("length not stored", "            self.memory.store32(at + 8, piece.length)\n", "", "it has not been written for this buffer", "self.avail + 2, self.idx"),
    Mutant("descriptors of 8 bytes", "self.queue.desc + 16 * slot", "self.queue.desc + 8 * slot", "desc[", ""),
    Mutant("misaligned", "self.memory.store32(at + 8, piece.length)", "self.memory.store32(at + 9, piece.length)", "not a multiple of 4", "at + 9"),
    Mutant("behind the table", "self.queue.desc + 16 * slot", "self.queue.desc + 16 * (slot + 4)", "behind the end of the descriptor table", "self.memory.store64"),
    Mutant("somewhere else", "self.memory.store64(at, piece.address)", "self.memory.store64(16, piece.address)", "no part of this queue", "store64(16"),
    Mutant("into the buffer", "self.memory.store64(at, piece.address)", "self.memory.store64(piece.address, 1)", "moves descriptors, not data", "store64(piece.address"),
    Mutant("free list forgotten", "        self.free += self.chains.pop(head)\n", "        self.chains.pop(head)\n", "add() returned None (no room)", "return None"),
    Mutant("only the head freed", "        self.free += self.chains.pop(head)\n", "        self.free += self.chains.pop(head)[:1]\n", "add() returned None (no room)", "return None"),
    Mutant("freed twice", "        self.free += self.chains.pop(head)\n", "        self.free += 2 * self.chains.pop(head)\n", "one descriptor is taken for two pieces", "self.memory.store64"),
    Mutant("freed when published", "        self.announced = new\n", "        self.announced = new\n        self.free += [s for c in self.chains.values() for s in c if s not in self.free]\n",
           "while it is part of the buffer with head 1", "return head"),
    Mutant("no check for room", "        if len(pieces) > len(self.free):\n            return None\n", "", "add() raised IndexError", _CHAIN),
    Mutant("slots handed round", _CHAIN, "chain = [(self.idx + i) % self.queue.size for i, _ in enumerate(pieces)]; self.free = self.free[len(pieces):]",
           "one descriptor is taken for two pieces", "self.memory.store64"),
    Mutant("room one short", "if len(pieces) > len(self.free):", "if len(pieces) >= len(self.free):", "4 descriptors|1 of 4 descriptors", "return None"),
    Mutant("writes used.idx", "        self.last_used = (self.last_used + 1) & 0xFFFF\n", "        self.last_used = (self.last_used + 1) & 0xFFFF\n        self.memory.store16(self.used + 2, self.last_used)\n",
           "the used ring is written by the device alone", "self.used + 2, self.last_used", "2.7.8"),
    Mutant("writes used.flags", "        old, new = self.announced, self.idx\n", "        old, new = self.announced, self.idx\n        self.memory.store16(self.used, 0)\n",
           "the used ring is written by the device alone", "self.memory.store16(self.used, 0)"),
    Mutant("avail.flags 2", "        self.memory.store16(self.avail + 2, self.idx)\n", "        self.memory.store16(self.avail + 2, self.idx)\n        self.memory.store16(self.avail, 2)\n",
           "avail.flags = 2: it is 0 or 1", "self.avail, 2", "2.7.7.1"),
    Mutant("avail.flags with EVENT_IDX", "        self.memory.store16(self.avail + 2, self.idx)\n", "        self.memory.store16(self.avail + 2, self.idx)\n        self.memory.store16(self.avail, 1)\n",
           "avail.flags = 1: it is 0 with EVENT_IDX", "self.avail, 1", "2.7.7.1"),
    Mutant("no barrier before the element", "        self.memory.barrier()  # idx before the element\n", "", "no barrier between the load of used.idx", "head = self.memory.load32(at)"),
    Mutant("element without idx", "        if self.memory.load16(self.used + 2) == self.last_used:\n            return None\n", "",
           "before used.idx says that there is anything in it", "head = self.memory.load32(at)"),
    Mutant("used element not modulo", "(self.last_used % self.queue.size)", "self.last_used", "load32 at|outside the ring|returned|avail_event", ""),
    Mutant("used element first only", "(self.last_used % self.queue.size)", "0", "collect() returned (0, 0)|used id 0|raised", ""),
    Mutant("collect by order", "        head = self.memory.load32(at)\n", "        self.memory.load32(at); head = next(iter(self.chains))\n", "used.ring[0] says id 3", "return head, length"),
    Mutant("last_used not wrapped", "self.last_used = (self.last_used + 1) & 0xFFFF", "self.last_used += 1", "the next element is not there yet", "head = self.memory.load32"),
    Mutant("last_used not moved", "        self.last_used = (self.last_used + 1) & 0xFFFF\n", "", "the other side broke a rule|collect() returned", ""),
    Mutant("idx compared too late", "if self.memory.load16(self.used + 2) == self.last_used:", "if self.memory.load16(self.used + 2) <= self.last_used:",
           "collect() returned None, but used.idx is", "return None"),
    Mutant("length and id exchanged", "return head, length", "return length, head", "collect() returned (0, 0)|collect() returned (200, 0)", "return length, head"),
    Mutant("used id not checked", "        if head not in self.chains:\n            raise Broken(f\"used id {head} is not the head of a buffer that is out\")\n        self.free += self.chains.pop(head)\n",
           "        self.free += self.chains.pop(head, [])\n", "used.ring[0].id is 9, and the table has 4 descriptors", "return head, length"),
    Mutant("used id only range", "if head not in self.chains:", "if head >= self.queue.size:", "raised KeyError", "self.chains.pop(head)"),
    Mutant("used id range, twice freed", "        if head not in self.chains:\n            raise Broken(f\"used id {head} is not the head of a buffer that is out\")\n        self.free += self.chains.pop(head)\n",
           "        if head >= self.queue.size:\n            raise Broken('range')\n        self.free += self.chains.get(head, [])\n", "which is not the head of a buffer that is out", "return head, length"),
    Mutant("chain read back", "        self.free += self.chains.pop(head)\n",
           "        del self.chains[head]\n        slot = head\n        while True:\n            self.free.append(slot)\n            if not self.memory.load16(self.queue.desc + 16 * slot + 12) & NEXT:\n                break\n"
           "            slot = self.memory.load16(self.queue.desc + 16 * slot + 14)\n",
           "is read back: this half stored", "slot = self.memory.load16(self.queue.desc + 16 * slot + 14)"),
    Mutant("no barrier before the wish", "        self.memory.barrier()  # idx before the other side's wish is read (2.7.13.4.1)\n", "", "used.flags is loaded without a barrier", "self.memory.load16(self.used) & 1", "2.7.13.4.1"),
    Mutant("always kicks", "return self.memory.load16(self.used) & 1 == 0", "return True", "asked for none: used.flags is 1", "return True", "2.7.10.1"),
    Mutant("never kicks", "return self.memory.load16(self.used) & 1 == 0", "return False", "the device asked for a kick: used.flags is 0", "return False", "2.7.10.1"),
    Mutant("kick inverted", "& 1 == 0", "& 1 == 1", "the device asked for a kick", "& 1 == 1", "2.7.10.1"),
    Mutant("event index ignored", "if self.queue.event_idx:", "if False:", "avail_event is 65533", "return self.memory.load16(self.used)", "2.7.10.1"),
    Mutant("event off by one", "(new - event - 1) & 0xFFFF", "(new - event) & 0xFFFF", "kick_needed() says no", "(new - event) & 0xFFFF"),
    Mutant("event without the wrap", "(new - event - 1) & 0xFFFF < (new - old) & 0xFFFF", "old <= event < new", "kick_needed() says no", "old <= event < new"),
    Mutant("event read from used_event", "self.used + 4 + 8 * self.queue.size)  # avail_event", "self.avail + 4 + 2 * self.queue.size)  # avail_event", "kick_needed() says", ""),
)  # fmt: skip

_ELEMENT = "        at = self.used + 4 + 8 * (self.used_idx % self.queue.size)\n"
_STORES = "        self.memory.store32(at, id)\n        self.memory.store32(at + 4, length)\n"
_FLUSH = "        self.memory.store16(self.used + 2, self.used_idx)\n"

SPLIT_DEVICE = (
    Mutant("no barrier before used.idx", "        self.memory.barrier()  # elements before idx (2.7.8.2)\n", "", "no barrier between the store to used.ring[0].len|no barrier between the store to used.ring[1].id", "self.used + 2, self.used_idx", "2.7.8.2"),
    Mutant("no barrier after avail.idx", "        self.memory.barrier()  # idx before the entry and its descriptors\n", "", "no barrier between the load of avail.idx", "head = self.memory.load16"),
    Mutant("no barrier before the wish", "        self.memory.barrier()  # idx before the other side's wish is read\n", "", "avail.flags is loaded without a barrier", "self.memory.load16(self.avail) & 1", "2.7.7.2"),
    Mutant("entry not modulo", "(self.last_avail % self.queue.size)", "self.last_avail", "load16 at|is loaded; the next buffer|used_event|next() returned", ""),
    Mutant("entry one too far", "2 * (self.last_avail % self.queue.size)", "2 * ((self.last_avail + 1) % self.queue.size)", "avail.ring[1] is loaded; the next buffer is at index 0", "(self.last_avail + 1)", "2.7.6"),
    Mutant("avail.idx not looked at", "        if ready == 0:\n            return None\n", "", "nothing is there yet", "head = self.memory.load16"),
    Mutant("never takes", "if ready == 0:", "if ready >= 0:", "next() returned None, but avail.idx is 1", "return None"),
    Mutant("last_avail not moved", "        self.last_avail = (self.last_avail + 1) & 0xFFFF\n", "", "is loaded; the next buffer|next() returned (0", ""),
    Mutant("ready is no distance", "        ready = (self.memory.load16(self.avail + 2) - self.last_avail) & 0xFFFF\n        if ready == 0:",
           "        ready = self.memory.load16(self.avail + 2) - self.last_avail\n        if ready <= 0:", "next() returned None, but avail.idx is 0", "return None"),
    Mutant("first piece only", "            if not flags & NEXT:\n                break\n", "            break\n", "next() found 1 piece of head 0; the chain has 3", "return head, pieces"),
    Mutant("next without NEXT", "            if not flags & NEXT:\n                break\n            slot = self.memory.load16(at + 14)\n",
           "            slot = self.memory.load16(at + 14)\n            if not slot and len(pieces) > 1:\n                break\n", "has no NEXT, so its next field means nothing|is loaded a second time|found 2 pieces|piece 2", ""),
    Mutant("length wrong", "self.memory.load64(at), self.memory.load32(at + 8)", "self.memory.load64(at), self.memory.load32(at + 4)", "piece 1 of head 0 is", "return head, pieces"),
    Mutant("WRITE forgotten", "bool(flags & WRITE)", "False", "piece 3 of head 0 is", "return head, pieces"),
    Mutant("id is the count", "return head, pieces", "return self.last_avail, pieces", "next() returned id 1; the head is 0", "return self.last_avail"),
    Mutant("head not checked", "            if slot >= self.queue.size:\n                raise Broken(f\"descriptor {slot} is out of range\")\n", "", "no part of this queue|behind the end|avail.ring[0] is 9|must raise Broken", ""),
    Mutant("loop not checked", "            if len(pieces) == self.queue.size:\n                raise Broken(\"the chain is longer than the queue\")\n", "", "does not come to an end", ""),
    Mutant("jump not checked", "        if ready > self.queue.size:\n            raise Broken(f\"avail.idx is {ready} ahead of what was taken\")\n", "", "avail.idx is 40 after 0|nothing is there yet", ""),
    Mutant("loads flags twice", "            if not flags & NEXT:\n", "            if not self.memory.load16(at + 12) & NEXT:\n", "desc[0].flags is loaded a second time", "if not self.memory.load16(at + 12)", "2.7.6"),
    Mutant("writes the descriptor", _STORES, _STORES + "        self.memory.store16(self.queue.desc + 16 * id + 12, 0)\n", "it must not write any descriptor", "self.queue.desc + 16 * id", "2.7.5.1"),
    Mutant("writes avail.idx", _FLUSH, _FLUSH + "        self.memory.store16(self.avail + 2, self.used_idx)\n", "the available ring is written by the driver alone", "self.avail + 2", "2.7.6"),
    Mutant("used.flags 2", _FLUSH, _FLUSH + "        self.memory.store16(self.used, 2)\n", "used.flags = 2: it is 0 or 1", "self.used, 2", "2.7.10.2"),
    Mutant("element not written", _STORES, "", "has not been written for head|while used.ring", "self.used + 2, self.used_idx"),
    Mutant("len not written", "        self.memory.store32(at + 4, length)\n", "", "used.ring[0].len has not been written|while used.ring[", "self.used + 2, self.used_idx", "2.7.8.2"),
    Mutant("id and len exchanged", _STORES, "        self.memory.store32(at, length)\n        self.memory.store32(at + 4, id)\n", "what complete() was told is|the head of the chain that complete() was called for is", ""),
    Mutant("element not modulo", "(self.used_idx % self.queue.size)", "self.used_idx", "outside the ring|this is avail_event|behind the end", ""),
    Mutant("element one too far", "8 * (self.used_idx % self.queue.size)", "8 * ((self.used_idx + 1) % self.queue.size)", "is put into used.ring[|used.idx goes to 1 while|has not been written", ""),
    Mutant("used.idx modulo size", _FLUSH, "        self.memory.store16(self.used + 2, self.used_idx % self.queue.size)\n", "runs free from 0 to 65535", "self.used_idx % self.queue.size", "2.7.8"),
    Mutant("used.idx not wrapped", "self.used_idx = (self.used_idx + 1) & 0xFFFF", "self.used_idx += 1", "does not fit in 16 bits", "self.used + 2, self.used_idx"),
    Mutant("used.idx back", _FLUSH, "        self.memory.store16(self.used + 2, self.used_idx - 2 & 0xFFFF)\n", "goes back", "self.used_idx - 2"),
    Mutant("complete flushes", _STORES, _STORES + "        self.memory.barrier(); self.memory.store16(self.used + 2, self.used_idx + 1 & 0xFFFF)\n", "used.idx moves in complete()", "self.used_idx + 1 & 0xFFFF"),
    Mutant("flush does nothing", _FLUSH, "", "flush() returned, and used.idx is still 0", "self.memory.barrier()"),
    Mutant("always calls", "return self.memory.load16(self.avail) & 1 == 0", "return True", "asked for none: avail.flags is 1", "return True", "2.7.7.2"),
    Mutant("never calls", "return self.memory.load16(self.avail) & 1 == 0", "return False", "the driver asked for a call", "return False", "2.7.7.2"),
    Mutant("event off by one", "(new - event - 1) & 0xFFFF", "(new - event) & 0xFFFF", "call_needed() says no", "(new - event) & 0xFFFF", "2.7.7.2"),
    Mutant("event without the wrap", "(new - event - 1) & 0xFFFF < (new - old) & 0xFFFF", "old <= event < new", "call_needed() says no", "old <= event < new"),
)  # fmt: skip


_HEAD_LAST = """            if i == 0:
                self.pending.append((at + 14, flags))
            else:
                self.memory.store16(at + 14, flags)
"""

PACKED_DRIVER = (
    Mutant("no barrier before the head", "        self.memory.barrier()  # all of a buffer before the flags of its head (2.8.21.1.1)\n", "",
           "no barrier between the store to desc[0].addr", "self.memory.store16(address, flags)", "2.8.21.1.1"),
    Mutant("head first", _HEAD_LAST, "            self.memory.store16(at + 14, flags)\n", "publish() does that", "self.memory.store16(at + 14, flags)"),
    Mutant("never shown", "            self.memory.store16(address, flags)\n", "            pass\n", "publish() returned, and the flags of slot 0", ""),
    Mutant("wrap never flips", "                self.avail_wrap ^= 1\n", "", "does not make the buffer available: the wrap counter is 0 in slot 0", "self.memory.store16(address, flags)", "2.8.1"),
    Mutant("wrap of the head for all", "            flags = (AVAIL if self.avail_wrap else USED) | (WRITE if piece.writable else 0)\n",
           "            lap = self.avail_wrap if i == 0 else lap\n            flags = (AVAIL if lap else USED) | (WRITE if piece.writable else 0)\n", "the wrap counter is", "self.memory.store16(at + 14, flags)", "2.8.6"),
    Mutant("AVAIL and USED both", "(AVAIL if self.avail_wrap else USED)", "(AVAIL | USED)", "does not make the buffer available", "self.memory.store16(address, flags)", "2.8.1"),
    Mutant("flips one early", "if self.next_avail == self.queue.size:", "if self.next_avail == self.queue.size - 1:", "wrap counter|while the device owns|not made available", ""),
    Mutant("NEXT forgotten", "                flags |= NEXT\n", "                pass\n", "NEXT is missing", ""),
    Mutant("WRITE forgotten", " | (WRITE if piece.writable else 0)", "", "WRITE must be set", ""),
    Mutant("id in the head only", "            self.memory.store16(at + 12, id)\n", "            if i == 0:\n                self.memory.store16(at + 12, id)\n",
           "the last descriptor of a buffer carries its id", "", "2.8.6"),
    Mutant("one slot a buffer back", "        self.next_used += slots\n", "        self.next_used += 1\n", "collect() returned None, but the flags of slot", "return None"),
    Mutant("used wrap never flips", "            self.used_wrap ^= 1\n", "", "collect() returned", ""),
    Mutant("used by USED alone", "if flags & (AVAIL | USED) != (AVAIL | USED if self.used_wrap else 0):", "if not flags & USED:", "collect() returned|no buffer with id", ""),
    Mutant("room not given back", "        self.free += slots\n", "", "add() returned None (no room)", "return None", "2.8.17"),
    Mutant("no check for room", "        if len(pieces) > self.free:\n            return None\n", "", "while the device owns slot|add() raised IndexError", ""),
    Mutant("id not taken off", "id = self.ids.pop(0)", "id = self.ids[0]", "while another with id 0 is on its way", "return id", "2.8.6"),
    Mutant("id not checked", "        if id not in self.out:\n            raise Broken(f\"no buffer with id {id} is out\")\n        slots = self.out.pop(id)\n",
           "        slots = self.out.pop(id, 1)\n", "has id 9, and the queue has 4: collect() must raise Broken", "return id, length"),
    Mutant("no barrier after the flags", "        self.memory.barrier()  # flags before the rest\n", "", "no barrier between the load of the flags", "id = self.memory.load16"),
    Mutant("id before the flags", "        flags = self.memory.load16(at + 14)\n", "        id = self.memory.load16(at + 12)\n        flags = self.memory.load16(at + 14)\n",
           "is loaded before its flags say that it is used", "id = self.memory.load16", "2.8.16"),
    Mutant("length without WRITE", "self.memory.load32(at + 8) if flags & WRITE else 0", "self.memory.load32(at + 8) + 1", "says (0, 0)", "return id, length", "2.8.4"),
    Mutant("writes the device's wish", "        moved, self.moved = self.moved, 0\n", "        moved, self.moved = self.moved, 0\n        self.memory.store32(self.queue.device_area, 0)\n",
           "written by the device alone", "self.queue.device_area, 0", "2.8.10"),
    Mutant("no barrier before the wish", "        self.memory.barrier()  # flags before the other side's wish is read (2.8.21.3.1)\n", "", "is loaded without a barrier", "wish = self.memory.load32", "2.8.21.3.1"),
    Mutant("always kicks", "            return flags != DISABLE\n", "            return True\n", "asked for none: its flags are 1", "return True", "2.8.10"),
    Mutant("lap of the event ignored", "        if wrap != self.avail_wrap:\n            off -= self.queue.size\n", "", "kick_needed() says no", "< moved", "2.8.10"),
)  # fmt: skip


def _all() -> list[tuple[str, Mutant]]:
    kinds = {"split-driver": SPLIT_DRIVER, "split-device": SPLIT_DEVICE, "packed-driver": PACKED_DRIVER}
    return [(half, mutant) for half, mutants in kinds.items() for mutant in mutants]


@pytest.mark.parametrize(("half", "mutant"), _all(), ids=[f"{h}: {m.name}" for h, m in _all()])
def test_a_mutant_is_caught_in_the_right_words_at_the_right_line(half: str, mutant: Mutant) -> None:
    kind = HALVES[half]
    assert kind.solution.count(mutant.old) == 1, "the solution has changed: bring the mutant up to date"
    text = kind.solution.replace(mutant.old, mutant.new)
    report = run(text, kind)
    wrong = report.wrong
    assert wrong is not None, "not caught"
    assert any(words in wrong.what for words in mutant.words.split("|")), wrong
    lines = ["", *text.splitlines()]
    assert mutant.line in lines[wrong.line], (wrong, lines[wrong.line])
    assert wrong.line > 0 or not mutant.line
    if mutant.section:
        assert wrong.section == mutant.section, wrong
