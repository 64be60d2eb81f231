"""A field of many frames: for each value, the frame it stands in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from capture.frame import Array


class Column(NamedTuple):
    """Values and the index of the frame of each; a frame may come more than once, or not at all.

    values: int64 for numbers, times (ns), flags, IPv4 and MAC addresses; S16 for IPv6 addresses; str objects
    for text; for bytes the first place in the block's data, with `stops` the place behind the last.
    """

    frames: Array
    values: Array
    stops: Array | None = None

    def take(self, which: Array) -> Column:
        """Those at these indices, or where this mask is true."""
        stops = None if self.stops is None else self.stops[which]
        return Column(self.frames[which], self.values[which], stops)


def concatenate(columns: Sequence[Column]) -> Column:
    """All values of several columns of one kind."""
    frames = np.concatenate([column.frames for column in columns])
    values = np.concatenate([column.values for column in columns])
    stops = [column.stops for column in columns if column.stops is not None]
    return Column(frames, values, np.concatenate(stops) if stops else None)
