"""Words and numbers as every pane writes them. Every character here is one cell wide."""

from __future__ import annotations

from collections.abc import Sequence

from dataplane.layout import desc_flag_names
from dataplane.records import CHANGED, LABEL_MASK, Label, Owner
from dataplane.snapshot import AnyQueue

OWNER_WORDS = {
    Owner.FREE: "free",
    Owner.AVAILABLE: "available",
    Owner.IN_USE: "in use",
    Owner.USED: "used",
    Owner.UNKNOWN: "unknown",
}
OWNER_MEANINGS = ("free", "available", "in_use", "used", "unknown")

_BLOCKS = "▁▂▃▄▅▆▇"
_WRAP = 1 << 16


def plural(value: int, noun: str, many: str = "") -> str:
    """`1 buffer`, `3 buffers`, `1,041 buffers`."""
    return f"{value:,} {noun if value == 1 else many or noun + 's'}"


def address_digits(highest: int) -> int:
    """Hexadecimal digits that hold every address up to `highest`: 8, or as many as it takes."""
    return max(8, (highest.bit_length() + 3) // 4)


def flag_words(flags: int, packed: bool) -> str:
    """A descriptor's flags by name, `-` when none is set."""
    return " ".join(desc_flag_names(flags, packed)) or "-"


def label_word(label: int) -> str:
    """How far a row can be trusted, in a word; nothing for a free one."""
    if label & CHANGED:
        return "changed"
    kind = label & LABEL_MASK
    return {Label.STABLE: "stable", Label.IN_FLUX: "in flux", Label.SKIPPED: "skipped"}.get(Label(kind), "")


def label_sign(label: int) -> str:
    """The same in one cell: blank where there is nothing to beware of."""
    if label & CHANGED:
        return "±"
    kind = label & LABEL_MASK
    return "?" if kind == Label.IN_FLUX else "↷" if kind == Label.SKIPPED else " "


def spark(history: Sequence[float], width: int) -> str:
    """The last `width` samples as blocks; a sample of nothing is a low line.

    None is as high as its line: the graphs of two lines stay apart.
    """
    if width <= 0:
        return ""
    tail = list(history[-width:])
    top = max(tail, default=0.0)
    drawn = "".join("▁" if top <= 0 else _BLOCKS[min(6, int(v / top * 6.999))] for v in tail)
    return drawn.rjust(width)


def shares(counts: Sequence[int], cells: int) -> list[int]:
    """Split `cells` in proportion to `counts`; what exists at all keeps a cell if there is room."""
    total = sum(counts)
    if total <= 0 or cells <= 0:
        return [0] * len(counts)
    exact = [c * cells / total for c in counts]
    given = [int(e) if e >= 1 else (1 if c else 0) for e, c in zip(exact, counts, strict=True)]
    while sum(given) > cells:
        given[given.index(max(given))] -= 1
    by_need = sorted(range(len(counts)), key=lambda i: exact[i] - given[i], reverse=True)
    for i in by_need:
        if sum(given) < cells and counts[i]:
            given[i] += 1
    given[by_need[0]] += cells - sum(given)
    return given


def ahead(event: int, now: int) -> int:
    """Steps from `now` to a 16-bit event value, negative once it lies behind."""
    distance = (event - now) % _WRAP
    return distance if distance < _WRAP // 2 else distance - _WRAP


def waiting(queue: AnyQueue) -> tuple[int, int, int]:
    """Buffers available and not seen, held by the device, used and not collected."""
    return (
        max(0, queue.published - queue.seen),
        max(0, queue.seen - queue.used),
        max(0, queue.used - queue.collected),
    )


def occupancy(queue: AnyQueue) -> tuple[int, int, int, int]:
    """Descriptor slots free, available, in use, used, from the counters alone.

    Only the selected queue has its rows copied, so every queue is measured the same way: the
    descriptors that are not free, divided as the buffers are.
    """
    buffers = waiting(queue)
    outstanding = sum(buffers)
    busy = queue.size - queue.driver.free if queue.driver is not None else outstanding
    busy = min(max(busy, 0), queue.size)
    if not outstanding:
        return queue.size - busy, busy, 0, 0
    available, in_use, used = shares(buffers, busy)
    return queue.size - busy, available, in_use, used
