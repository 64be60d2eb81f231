"""The image of any moment in an exact range: one that is known, moved on or back by what lies between.

One image is kept and moved from question to question. Over long ways it goes by the merged effects of 8, 64
and 512 pieces, made when they are first needed; at the ends by part of a piece, from its nearer end: if that
lies in the range, for beyond it memory has changed in ways that no row tells.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplane.past.chunk import changes, merge, net
from dataplane.past.image import Anchor, Image, put_aside
from dataplane.past.reel import Piece, Reel, Stretch
from dataplane.snapshot import Array

_FAN = 8  #: pieces, or effects of such, that one merged effect covers
_HEIGHT = 3


class Walker:
    """Not for two threads at once."""

    def __init__(self) -> None:
        self._image: Image | None = None
        self._merged: dict[tuple[int, int], Array | None] = {}  #: by height and serial // _FAN ** height

    @property
    def nbytes(self) -> int:
        """What the merged effects take."""
        return sum(effect.nbytes for effect in self._merged.values() if effect is not None)

    def forget(self, serial: int) -> None:
        """Lets go of what covers pieces before `serial`."""
        for height, at in list(self._merged):
            if at * _FAN**height < serial:
                del self._merged[height, at]

    def image(self, reel: Reel, stretch: Stretch, number: int) -> Image:
        """The moment after event `number`, which is in the stretch. It is good until the next question."""
        image = self._image
        usable = image is not None and stretch.first <= image.number <= stretch.last
        if image is None or not usable or stretch.anchor is None or image.plan is not stretch.anchor.plan:
            if stretch.anchor is None:
                raise LookupError("the image of no moment in this range is known")
            image = stretch.anchor.image()
        self._image = None  # should this fail midway, the image is of no moment
        on = number >= image.number
        way = self.way(reel, stretch, min(image.number, number), max(image.number, number))
        for effect, forward in way if on else reversed(way):
            image.apply(effect, forward == on)
        image.number = number
        self._image = image
        return image

    # ---- the way ----------------------------------------------------------------------------------------

    def way(self, reel: Reel, stretch: Stretch, low: int, high: int) -> list[tuple[Array, bool]]:
        """Effects, each forward or undone, that lead from the moment after `low` to that after `high`."""
        if low >= high:
            return []
        a, b = reel.index(low + 1), reel.index(high)
        begin, end = reel.pieces[a], reel.pieces[b]
        at, to = begin.upto(low), end.upto(high)
        if a == b:
            return [(_effect(begin.rows[at:to]), True)]
        before: list[tuple[Array, bool]] = []
        behind: list[tuple[Array, bool]] = []
        if at > len(begin.rows) // 2 or begin.first - 1 < stretch.first:
            before.append((_effect(begin.rows[at:]), True))
            a += 1
        elif at:
            before.append((_effect(begin.rows[:at]), False))
        if to <= len(end.rows) // 2 or stretch.last < end.last:
            behind.append((_effect(end.rows[:to]), True))
            b -= 1
        elif to < len(end.rows):
            behind.append((_effect(end.rows[to:]), False))
        whole = [(effect, True) for effect in self._wholes(reel, a, b)]
        return [*before, *whole, *behind]

    def _wholes(self, reel: Reel, a: int, b: int) -> Iterator[Array]:
        """Effects that together are those of the pieces at a to b."""
        pieces = reel.pieces
        base = pieces[0].serial
        settled = base + len(pieces) - (not pieces[-1].sealed)
        at, end = base + a, base + b + 1
        while at < end:
            for height in range(_HEIGHT, 0, -1):
                span = _FAN**height
                if at % span == 0 and at + span <= min(end, settled):
                    effect = self._merge(pieces, base, height, at // span)
                    if effect is not None:
                        yield effect
                        at += span
                        break
            else:
                yield pieces[at - base].chunk.effect
                at += 1

    def _merge(self, pieces: tuple[Piece, ...], base: int, height: int, group: int) -> Array | None:
        """The effect of _FAN ** height pieces as one; None where that is hardly less than theirs."""
        if height == 0:
            return pieces[group - base].chunk.effect
        if (height, group) not in self._merged:
            parts = [self._merge(pieces, base, height - 1, group * _FAN + i) for i in range(_FAN)]
            known = [part for part in parts if part is not None]
            made = merge(known) if len(known) == _FAN else None
            if made is not None and 2 * len(made) > sum(len(part) for part in known):
                made = None
            self._merged[height, group] = made
        return self._merged[height, group]


def _effect(rows: Array) -> Array:
    return net(changes(rows))


def moved(reel: Reel, stretch: Stretch, number: int) -> Anchor:
    """The image of a moment of a stretch, put aside; LookupError where the stretch has none."""
    return put_aside(Walker().image(reel, stretch, number), reel.time_of(number))
