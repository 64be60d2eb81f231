"""Whether the place at which a ring is told to begin can be, by what stands in its memory."""

from __future__ import annotations

from collections.abc import Callable

from dataplane.vhost.rings import Ring, place

#: (user address, bytes) -> what stands there; None where that is not to be had.
Read = Callable[[int, int], bytes | None]


def stands(ring: Ring, packed: bool, read: Read) -> tuple[int, int] | None:
    """Where a ring stands just now: avail.idx and used.idx (split), or the slot and wrap counter at which its
    driver goes on (packed)."""
    at = ring.addr
    if at is None or not ring.num:
        return None
    if packed:
        table = read(at.desc, 16 * ring.num)
        return None if table is None else _driver_goes_on(table)
    avail, used = read(at.avail + 2, 2), read(at.used + 2, 2)
    if avail is None or used is None:
        return None
    return int.from_bytes(avail, "little"), int.from_bytes(used, "little")


def base_wrong(ring: Ring, packed: bool, recovers: bool) -> str:
    """Why the ring cannot begin at its base, "" where it can: outside what is outstanding in its memory
    (`Ring.found`), or beyond buffers that nobody would ever use. `recovers`: an in-flight region says which
    those are."""
    if ring.found is None:
        return ""
    first, wrap, _, _ = place(ring.base, packed)
    if packed:
        slot, lap = ring.found
        if slot >= first if lap == wrap else slot <= first:
            return ""
        return f"it begins at slot {first}, wrap {wrap}, and the driver goes on at {slot}, wrap {lap}"
    avail, used = ring.found
    said = f"it begins at {first}, and in memory avail.idx is {avail}, used.idx {used}"
    if (first - used) & 0xFFFF > (avail - used) & 0xFFFF:
        return said
    lost = (first - used) & 0xFFFF
    return f"{said}: the {lost} before that are never used" if lost and not recovers else ""


def _driver_goes_on(table: bytes) -> tuple[int, int]:
    """Slot and wrap counter at which the driver of a packed ring makes the next buffer available: it leaves
    its wrap counter in every slot that it passes (2.8.1)."""
    laps = [table[at] >> 7 & 1 for at in range(14, len(table), 16)]
    for slot, lap in enumerate(laps):
        if lap != laps[0]:
            return slot, laps[0]
    return 0, laps[0] ^ 1
