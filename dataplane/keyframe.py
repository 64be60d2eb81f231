"""An exact image of a device's rings at one event, from which any moment near it is rebuilt.

Ring memory is what the two sides write for each other: descriptor tables, driver and device areas, the
driver's indirect tables. Beside it stand the words of each side's own, as one image a queue (`own_dtype`):
the driver's state, the device's state, and a row for every buffer id. Payload is not part of it.

At trace level "stores" the journal has each change of either: STORE events for ring memory, OWN rows for a
side's own words. `Keyframe` plus the rows up to event n is the moment after event n, byte for byte; undone
from a later one, the moment before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from dataplane.records import DEVICE_STATE, DRIVER_STATE, Role
from dataplane.snapshot import Snapshot

#: What is kept of one buffer id (split: the head; packed: the buffer id), and of used slot `id`.
ID_ROW = np.dtype(
    [
        ("outstanding", "<u8"),  #: 1 + publication count of the buffer the driver offered; 0: none
        ("place", "<u8"),  #: slot of its head | slots << 16
        ("taken", "<u8"),  #: 1: the device holds it
        ("skipped", "<u8"),  #: 1: an in-order batch jumped over this used slot (2.7.9)
    ]
)


@cache
def own_dtype(size: int) -> np.dtype[np.void]:
    """The image of a queue's private words: `driver`, `device`, and `size` rows of `ID_ROW` as `ids`."""
    return np.dtype([("driver", DRIVER_STATE), ("device", DEVICE_STATE), ("ids", ID_ROW, (size,))])


@dataclass(frozen=True, slots=True)
class QueueShape:
    """What of a queue stays the same while it lives: addresses in guest memory, sizes in descriptors."""

    index: int
    name: str
    role: Role
    size: int
    packed: bool
    in_order: bool
    indirect: bool
    event_idx: bool
    enabled: bool
    generation: int
    start_index: int  #: split: the ring index of buffer 0
    desc_addr: int
    driver_addr: int
    device_addr: int
    tables_addr: int  #: the driver's indirect tables, `table_entries` descriptors a slot; 0: none
    table_entries: int

    @property
    def areas(self) -> tuple[tuple[str, int, int], ...]:
        """(name, address, length in bytes) of each area of ring memory (2.7, 2.8)."""
        driver, device = (4, 4) if self.packed else (6 + 2 * self.size, 6 + 8 * self.size)
        fixed = (
            ("desc", self.desc_addr, 16 * self.size),
            ("driver", self.driver_addr, driver),
            ("device", self.device_addr, device),
        )
        if not self.tables_addr:
            return fixed
        return (*fixed, ("tables", self.tables_addr, 16 * self.table_entries * self.size))


@dataclass(frozen=True)
class Keyframe:
    """The moment after event `number`: nothing later is in it, nothing earlier is missing.

    `memory[i]` holds the areas of `shapes[i]` end to end, in the order of `areas`; `own[i]` its private words
    as `own_dtype(size)`. `base` is a snapshot without rows: identity, status, configuration.
    """

    number: int
    time: int  #: ns since the epoch
    base: Snapshot
    shapes: tuple[QueueShape, ...]
    memory: tuple[bytes, ...]
    own: tuple[bytes, ...]
