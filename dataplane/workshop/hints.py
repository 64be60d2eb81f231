"""Hints for the halves, by test: the first says where to look, the next what to do."""

from __future__ import annotations

from collections.abc import Mapping

_BARRIER = (
    "What is stored before memory.barrier() is visible to the other side before anything stored after it."
)
_WRAP = (
    "An index is 16 bits wide: after 65535 comes 0. Keep it with & 0xffff, and take it modulo the queue "
    "size only to find the entry."
)

DRIVER: Mapping[str, tuple[str, ...]] = {
    "one buffer": (
        "add: take a free descriptor, fill addr, len, flags and next, put its number into avail.ring[idx "
        "mod size].",
        "publish: memory.barrier(), then store16 the new idx at driver_area + 2. " + _BARRIER,
        "collect: load16 used.idx at device_area + 2; nothing new: None. Then a barrier, then id and len "
        "of the element at device_area + 4 + 8 * (index mod size).",
    ),
    "a chain": (
        "One descriptor a piece. All but the last have NEXT, and next is the number of the one that follows.",
        "WRITE (2) is set on every piece that is writable, also together with NEXT (1).",
    ),
    "a batch": ("add moves an idx of your own for each buffer; publish stores it once.",),
    "laps": ("What collect gives back must be free again, the whole chain of it. " + _WRAP,),
    "a full ring": (
        "add returns None where it needs more descriptors than are free, and changes nothing.",
        "All descriptors can be in use at once: there is no slot that stays empty.",
    ),
    "the index wraps": (_WRAP,),
    "out of order": (
        "The id of a used element is the head of the buffer that came back: it need not be the oldest.",
        "Remember the descriptors of each chain by its head, and put exactly those back.",
    ),
    "no kicks wanted": ("used.flags, at device_area: 1 says no kicks please, 0 says kick (2.7.10).",),
    "the event index": (
        "avail_event stands behind the used ring, at device_area + 4 + 8 * size. A kick is wanted where "
        "idx has passed it since the last decision.",
        "(new - event - 1) & 0xffff < (new - old) & 0xffff, with the idx of this decision and of the one "
        "before.",
    ),
    "a device that lies: id": (
        "Compare the id with what is out before you use it; raise Broken where it is not.",
    ),
    "a device that lies: twice": ("A buffer that came back is no longer out.",),
    "a device that scribbles": (
        "Keep the chain in a variable of yours; what stands in memory may be another's.",
    ),
}

DEVICE: Mapping[str, tuple[str, ...]] = {
    "one buffer": (
        "next: load16 avail.idx at driver_area + 2; nothing new: None. Then a barrier, then the head from "
        "avail.ring[index mod size], then its descriptor.",
        "complete: store32 id and len at device_area + 4 + 8 * (index mod size). flush: barrier, then "
        "store16 used.idx.",
    ),
    "a chain": ("While flags has NEXT (1), the chain goes on at the descriptor that next names.",),
    "a batch": ("complete moves an idx of your own for each buffer; flush stores it once.",),
    "laps": (_WRAP,),
    "the index wraps": (_WRAP,),
    "out of order": ("The element says which buffer it is: the id that complete was called with.",),
    "no calls wanted": ("avail.flags, at driver_area: 1 says no calls please, 0 says call (2.7.7).",),
    "the event index": (
        "used_event stands behind the available ring, at driver_area + 4 + 2 * size.",
        "(new - event - 1) & 0xffff < (new - old) & 0xffff, with the idx of this decision and of the one "
        "before.",
    ),
    "a driver that lies: head": ("A head is below the queue size, or it is no head.",),
    "a driver that lies: next": ("So is every next.",),
    "a driver that lies: a loop": ("A chain has at most as many descriptors as the queue (2.7.5.3.1).",),
    "a driver that lies: avail.idx": ("More than size buffers cannot be available.",),
    "a driver that changes its mind": ("Load each word once, check the copy, use the copy.",),
}

_PACKED_WRAP = (
    "In a lap with wrap counter 1 an available descriptor has AVAIL set and USED clear; with 0 the other "
    "way round. The counter flips behind the last slot (2.8.1)."
)
PACKED_DRIVER: Mapping[str, tuple[str, ...]] = {
    "one buffer": (
        "add: fill the next slot, its flags last or not yet. publish: barrier, then the flags of the head.",
        "collect: load16 the flags of the next slot to become used. AVAIL and USED both equal to the wrap "
        "counter: used. Then a barrier, then id and len.",
    ),
    "a chain": (
        "All slots of a chain follow each other; all but the last have NEXT; every one has its AVAIL and "
        "USED bits.",
        "One used descriptor comes back for a whole chain: go on by as many slots as the chain had.",
    ),
    "a batch": (
        "Only the flags of the first head must wait for publish; the device looks at slots in their order.",
    ),
    "laps": (_PACKED_WRAP,),
    "a full ring": ("Count the slots that are free. With all in use the next slot is the device's.",),
    "wrap counters": (_PACKED_WRAP, "A chain may go across the end: its slots then have different bits."),
    "out of order": (
        "The used descriptor stands in the next slot of the ring, whatever buffer its id names.",
    ),
    "no kicks wanted": (
        "The device area: off_wrap, then flags; 1 says no kicks, 0 says every kick (2.8.10).",
    ),
    "the event index": (
        "flags 2 names a slot, off_wrap & 0x7fff, and a lap, off_wrap >> 15. Where the lap is not that of "
        "your next slot, the event is size slots further back.",
    ),
    "a device that lies: id": (
        "Compare the id with what is out before you use it; raise Broken where it is not.",
    ),
    "a device that lies: twice": ("A buffer that came back is no longer out.",),
}
