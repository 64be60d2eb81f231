"""The image of any moment in an exact range: the one known, moved on or back by the effects of what lies between.

One image is kept and moved from question to question. Over long ways it goes by the merged effects of 8, 64
and 512 pieces, made when they are first needed; at the ends by part of a piece, from its nearer end.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplane.chunk import changes, merge, net
from dataplane.image import Image
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
        if number > image.number:
            for effect in self._forward(reel, image.number, number):
                image.apply(effect)
        elif number < image.number:
            for effect, forward in self._backward(reel, image.number, number):
                image.apply(effect, forward)
        image.number = number
        self._image = image
        return image

    def _forward(self, reel: Reel, now: int, number: int) -> Iterator[Array]:
        raise NotImplementedError

    def _backward(self, reel: Reel, now: int, number: int) -> Iterator[tuple[Array, bool]]:
        raise NotImplementedError
