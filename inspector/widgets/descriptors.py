"""The descriptor table: every slot with its owner, its fields by name, and how far it can be trusted.

Only the lines in sight are formatted, so a ring of 32,768 slots costs what one of 256 does. Rows that
changed since the last picture glow and fade over three pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT
from dataplane.records import CHANGED, LABEL_MASK, Label, Owner
from dataplane.snapshot import AnyQueue, PackedQueue
from inspector.theme import GLYPHS
from inspector.widgets import marking
from inspector.widgets.marking import Marks
from inspector.widgets.order import Line
from inspector.widgets.pane import Ink, line
from inspector.widgets.ringtext import (
    OWNER_MEANINGS,
    OWNER_WORDS,
    address_digits,
    flag_words,
    label_sign,
    label_word,
)

Slots = npt.NDArray[np.int64]
_OWNER_SIGNS = [GLYPHS[owner] for owner in Owner]
_OWNER_CELLS = [f"{GLYPHS[owner]} {OWNER_WORDS[owner]:<9}" for owner in Owner]
_WORST = {"stable": "muted", "": "muted", "in flux": "flux", "changed": "flux", "skipped": "muted"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a width has room for, and how wide those are whose values grow."""

    width: int
    digits: int  #: of an address
    lengths: int
    flags: int
    number: int  #: of a slot
    owner_word: bool
    label_word: bool
    buffer: int  #: width of the buffer's publication count, 0: not shown

    @property
    def used(self) -> int:
        return _cells(self)


def _cells(it: Layout) -> int:
    owner = 11 if it.owner_word else 1
    label = 8 if it.label_word else 1
    values = it.number + 2 + it.digits + it.lengths + it.flags + 5
    return 11 + values + owner + label + (it.buffer + 2 if it.buffer else 0)


@lru_cache(maxsize=64)
def layout(width: int, number: int, digits: int, lengths: int, flags: int, buffer: int) -> Layout:
    """The columns for a width: the buffer's count goes first, then the words beside signs."""
    for owner, label, count in (
        (True, True, buffer),
        (True, True, 0),
        (True, False, 0),
        (False, False, 0),
    ):
        made = Layout(width, digits, lengths, flags, number, owner, label, count)
        if made.used <= width:
            break
    return made


@dataclass(frozen=True, slots=True)
class Widths:
    """Widths that the values in sight ask for; they only grow, so that columns do not dance."""

    digits: int = 8
    lengths: int = 5
    flags: int = 10
    buffer: int = 6

    def grown(self, other: Widths) -> Widths:
        return Widths(
            max(self.digits, other.digits),
            max(self.lengths, other.lengths),
            max(self.flags, other.flags),
            max(self.buffer, other.buffer),
        )


def measure(queue: AnyQueue, lines: Sequence[Line]) -> Widths:
    """The widths that these lines need."""
    if not lines:
        return Widths()
    slots = np.fromiter({slot for slot, _ in lines}, dtype=np.int64)
    parts = [queue.desc[slots], *(queue.tables[s] for s, entry in lines if entry == 0 and s in queue.tables)]
    packed = isinstance(queue, PackedQueue)
    highest = max(int(part["addr"].max()) for part in parts)
    longest = max(int(part["len"].max()) for part in parts)
    words = max(
        len(_flags(flags, packed)) + (4 if flags & DESC_F_INDIRECT else 0)
        for part in parts
        for flags in np.unique(part["flags"]).tolist()
    )
    buffers = int(queue.buffer[slots].max())
    return Widths(
        address_digits(highest), max(5, len(str(longest))), max(10, words), max(6, len(f"{buffers:,}"))
    )


@lru_cache(maxsize=256)
def _flags(flags: int, packed: bool) -> str:
    return flag_words(flags, packed)


def header(ink: Ink, queue: AnyQueue, it: Layout) -> Strip:
    """The names of the columns."""
    last = "id" if isinstance(queue, PackedQueue) else "next"
    buffer = f"  {'buffer':>{it.buffer}}" if it.buffer else ""
    text = (
        f"  {'#':>{it.number}}   {'owner':<11} " if it.owner_word else f"  {'#':>{it.number}}     "
    ) + f"{'address':<{it.digits + 2}} {'len':>{it.lengths}}  {'flags':<{it.flags}} {last:>5} "
    text += f"{'row':<8}" if it.label_word else " "
    return line(it.width, [(text + buffer, ink("muted"))], ink("muted"))


def rows(
    ink: Ink,
    queue: AnyQueue,
    lines: Sequence[Line],
    ages: Slots,
    chosen: int | None,
    opened: frozenset[int],
    it: Layout,
    marks: Marks = marking.NONE,
    table_entries: int = 0,
) -> list[Strip]:
    """One strip per line. `ages`: pictures since the row of a line changed; `chosen`: the slot selected;
    `marks`: fields that light up; `table_entries`: of each slot, by which marks in tables are counted."""
    if not lines:
        return []
    marked = marking.fields(marks, "desc")
    marked_entries = marking.fields(marks, "tables") if table_entries else {}
    packed = isinstance(queue, PackedQueue)
    slots = np.fromiter((slot for slot, _ in lines), dtype=np.int64, count=len(lines))
    picked = queue.desc[slots].tolist()
    owners = queue.owner[slots].tolist()
    labels = queue.label[slots].tolist()
    heads = queue.head[slots].tolist()
    buffers = queue.buffer[slots].tolist()
    mate = int(queue.buffer[chosen]) if chosen is not None and chosen < len(queue.buffer) else -1
    strips = []
    for i, (slot, entry) in enumerate(lines):
        ground = "selected" if slot == chosen and entry < 0 else ink.glow(int(ages[i]))
        mine = mate >= 0 and buffers[i] == mate
        if entry >= 0:
            names = marked_entries.get(slot * table_entries + entry, frozenset())
            strips.append(_entry(ink, queue, slot, entry, ground, mine, it, names))
            continue
        names = marked.get(slot, frozenset())
        fields = picked[i]
        if packed:
            address, length, last, flags = fields
        else:
            address, length, flags, last = fields
        owner, label = owners[i], labels[i]
        free = owner == Owner.FREE
        text = ink("muted" if free else "text", ground)
        meaning = "muted" if free and ground != "surface" else OWNER_MEANINGS[owner]
        words = _flags(flags, packed)
        if flags & DESC_F_INDIRECT and not free:
            table = queue.tables.get(slot)
            words += f" {'▾' if slot in opened else '▸'}{len(table) if table is not None else '?'}"
        join = " " if free else _join(heads[i] == slot, bool(flags & DESC_F_NEXT))
        owner_cell = _OWNER_CELLS[owner] if it.owner_word else _OWNER_SIGNS[owner]
        word = label_word(label)
        label_cell = f"{word:<8}" if it.label_word else label_sign(label)
        segments = [
            Segment("▌ " if mine else "  ", ink("accent", ground)),
            Segment(f"{slot:>{it.number}} ", ink("muted", ground)),
            *_owner(ink, f"{join} {owner_cell}", meaning, ground, "owner" in names),
            *_values(ink, text, address, length, words, last, it, names, packed, ground),
            Segment(" ", text),
            Segment(label_cell, ink(_WORST[word], ground)),
        ]
        rest = it.width - it.used
        if it.buffer:
            number = f"{buffers[i]:,}" if buffers[i] >= 0 else ""
            segments.append(Segment(f"  {number:>{it.buffer}}" + " " * rest, ink("muted", ground)))
        elif rest > 0:
            segments.append(Segment(" " * rest, text))
        strip = Strip(segments, it.used + max(rest, 0))
        strips.append(strip if rest >= 0 else strip.crop(0, it.width))
    return strips


def _owner(ink: Ink, text: str, meaning: str, ground: str, marked: bool) -> list[Segment]:
    if not marked:
        return [Segment(text, ink(meaning, ground))]
    return [Segment(text[:1], ink(meaning, ground))] + [
        Segment(*piece) for piece in marking.cell(ink, text[1:], meaning, ground, True)
    ]


def _values(
    ink: Ink,
    style: Style,
    address: int,
    length: int,
    words: str,
    last: int,
    it: Layout,
    marked: frozenset[str],
    packed: bool,
    ground: str,
) -> list[Segment]:
    """The four fields, each behind a blank, the marked ones lit up."""
    cells = (
        ("addr", f" 0x{address:0{it.digits}x}"),
        ("len", f" {length:>{it.lengths}}"),
        ("flags", f"  {words:<{it.flags}}"),
        ("id" if packed else "next", f" {last:>5}"),
    )
    if not marked:
        return [Segment("".join(text for _, text in cells), style)]
    meaning = "text"
    return [
        Segment(*piece)
        for name, text in cells
        for piece in marking.cell(ink, text, meaning, ground, name in marked)
    ]


def _join(first: bool, more: bool) -> str:
    if first:
        return "┌" if more else " "
    return "├" if more else "└"


def _entry(
    ink: Ink,
    queue: AnyQueue,
    slot: int,
    entry: int,
    ground: str,
    mine: bool,
    it: Layout,
    marked: frozenset[str],
) -> Strip:
    """A line of an opened indirect table; a dot where the slot has no such entry at the moment."""
    table = queue.tables.get(slot)
    owner = 11 if it.owner_word else 1
    gutter = ("▌ " if mine else "  ", ink("accent", ground))
    edge = ink("muted", ground)
    indent = " " * (it.number + 1)
    if table is None or entry >= len(table):
        return line(it.width, [gutter, (f"{indent}│ ·", edge)], ink("text", ground))
    packed = isinstance(queue, PackedQueue)
    address, length, third, fourth = table[entry].tolist()
    flags, last = (fourth, third) if packed else (third, fourth)
    join = "└" if entry == len(table) - 1 else "├"
    number = f"{join} {entry}".ljust(owner + 2)
    values = _values(
        ink, ink("text", ground), address, length, _flags(flags, packed), last, it, marked, packed, ground
    )
    pieces = [(part.text, part.style or edge) for part in values]
    return line(it.width, [gutter, (f"{indent}{number}", edge), *pieces], ink("text", ground))


def changed(queue: AnyQueue, previous: AnyQueue | None, slots: Slots) -> npt.NDArray[np.bool_]:
    """Which of these slots differ in descriptor, owner or buffer from the picture before."""
    if previous is None or len(previous.desc) != len(queue.desc):
        return np.zeros(len(slots), dtype=bool)
    moved: npt.NDArray[np.bool_] = (_halves(queue)[slots] != _halves(previous)[slots]).any(axis=1)
    moved |= queue.owner[slots] != previous.owner[slots]
    moved |= queue.buffer[slots] != previous.buffer[slots]
    return moved


def _halves(queue: AnyQueue) -> npt.NDArray[np.uint64]:
    halves: npt.NDArray[np.uint64] = queue.desc.view("<u8").reshape(-1, 2)
    return halves


def trust(queue: AnyQueue) -> tuple[int, int, int]:
    """Rows stable, in flux, seen to change."""
    kinds = np.bincount(queue.label & LABEL_MASK, minlength=4)
    return int(kinds[Label.STABLE]), int(kinds[Label.IN_FLUX]), int(np.count_nonzero(queue.label & CHANGED))
