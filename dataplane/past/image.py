"""Ring memory and both sides' own words of a whole device, as they change from event to event.

All areas of all queues, and the private images, stand in one run of bytes: each area at a place that agrees
with its address modulo 8, so that a word of any width is one element of a numpy view of that width. Places
come from a journal, perhaps one of a stranger: what lies in no area is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dataplane.keyframe import Keyframe, QueueShape, own_dtype
from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.past.chunk import Index
from dataplane.records import Kind
from dataplane.snapshot import Array

_ADDRESS_MAX = 1 << 62
_TABLE_MAX = 1 << 15  #: descriptors of one indirect table
_PAGE = 4096


@dataclass(frozen=True)
class Plan:
    """Where each area and each private image stands among the bytes of an image."""

    shapes: tuple[QueueShape, ...]
    starts: npt.NDArray[np.uint64]  #: addresses of the areas, ascending
    lengths: npt.NDArray[np.uint64]
    places: Index  #: where those areas begin
    memory: tuple[tuple[slice, ...], ...]  #: by position in `shapes`: its areas
    own: tuple[slice, ...]
    own_places: Index  #: by queue index: where its private image begins; -1: none is known
    own_lengths: Index
    size: int  #: bytes in all, a multiple of 8

    @cached_property
    def queues(self) -> dict[int, int]:
        """Position in `shapes` by queue index."""
        return {shape.index: i for i, shape in enumerate(self.shapes)}


def plan(shapes: tuple[QueueShape, ...]) -> Plan:
    """ValueError, in one line, for shapes that no device has."""
    at = 0
    areas: list[tuple[int, int, int]] = []
    memory, own = [], []
    top = max((shape.index for shape in shapes), default=-1)
    own_places, own_lengths = np.full(top + 2, -1, np.int64), np.zeros(top + 2, np.int64)
    for shape in shapes:
        if not (1 <= shape.size <= QUEUE_SIZE_MAX and 0 <= shape.index <= 0xFFFF):
            raise ValueError(f"queue {shape.index} of {shape.size} descriptors cannot be")
        if not 0 <= shape.table_entries <= _TABLE_MAX:
            raise ValueError(f"queue {shape.index}: tables of {shape.table_entries} entries cannot be")
        mine = []
        for name, address, length in shape.areas:
            if not 0 <= address <= _ADDRESS_MAX - length:
                raise ValueError(f"queue {shape.index}: its {name} area lies outside every memory")
            at += -at % 8 + address % 8
            areas.append((address, length, at))
            mine.append(slice(at, at + length))
            at += length
        memory.append(tuple(mine))
        at += -at % 8
        length = own_dtype(shape.size).itemsize
        own.append(slice(at, at + length))
        own_places[shape.index], own_lengths[shape.index] = at, length
        at += length
    areas.sort()
    starts, lengths, places = zip(*areas, strict=True) if areas else ((), (), ())
    return Plan(
        shapes,
        np.array(starts, np.uint64),
        np.array(lengths, np.uint64),
        np.array(places, np.int64),
        tuple(memory),
        tuple(own),
        own_places,
        own_lengths,
        at + -at % 8,
    )


class Image:
    """The bytes of one moment; `number` is its event. Belongs to one thread at a time."""

    def __init__(self, places: Plan, data: npt.NDArray[np.uint8], number: int) -> None:
        self.plan = places
        self.data = data
        self.number = number

    def apply(self, effect: Array, forward: bool = True) -> None:
        """Applies the changes of an effect, which do not overlap: to their new values, or back to the old."""
        at = self._find(effect)
        known = at >= 0
        if not known.all():
            effect, at = effect[known], at[known]
        value, width = effect["new" if forward else "old"], effect["width"]
        for size in (8, 4, 2, 1):
            mine = width == size
            if mine.all():
                self._put(at, value, size)
                return
            if mine.any():
                self._put(at[mine], value[mine], size)

    def _put(self, at: Index, value: npt.NDArray[np.uint64], width: int) -> None:
        odd = at % width != 0
        if odd.any():  # no store of ours, and none that a processor makes at once
            byte = np.arange(width)
            shift = (8 * byte).astype(np.uint64)
            self.data[(at[odd, None] + byte).ravel()] = (value[odd, None] >> shift).astype(np.uint8).ravel()
            at, value = at[~odd], value[~odd]
        self.data.view(f"<u{width}")[at // width] = value.astype(f"<u{width}")

    def _find(self, effect: Array) -> Index:
        """Where each change belongs, -1 where it lies in no area."""
        places, width = effect["place"].copy(), effect["width"].astype(np.uint64)
        p = self.plan
        at = np.full(len(effect), -1, np.int64)
        kind = effect["kind"]
        store = np.flatnonzero(kind == Kind.STORE)
        if len(store) and len(p.starts):
            place, wide = places[store], width[store]
            area = np.searchsorted(p.starts, place, "right") - 1
            offset = place - p.starts[area]  # before the first area: huge
            length = p.lengths[area]
            inside = (area >= 0) & (wide <= length) & (offset <= length - np.minimum(wide, length))
            at[store] = np.where(inside, p.places[area] + offset.astype(np.int64), -1)
        told = np.flatnonzero(kind == Kind.OWN)
        if len(told):
            queue = np.minimum(effect["queue"][told].astype(np.int64), len(p.own_places) - 1)
            offset = np.minimum(places[told], np.uint64(1 << 40)).astype(np.int64)
            inside = (offset % 8 == 0) & (offset + 8 <= p.own_lengths[queue])
            at[told] = np.where(inside, p.own_places[queue] + offset, -1)
        return at

    def memory(self, position: int) -> bytes:
        """Ring memory of the queue at a position of `plan.shapes`: its areas end to end."""
        return b"".join(self.data[area].tobytes() for area in self.plan.memory[position])

    def areas(self, position: int) -> dict[str, memoryview]:
        """The same by name, as it stands: good until the image moves."""
        names = (name for name, _, _ in self.plan.shapes[position].areas)
        return {n: self.data[a].data for n, a in zip(names, self.plan.memory[position], strict=True)}

    def own(self, position: int) -> bytes:
        """Its private words, `own_dtype(size)`."""
        return self.data[self.plan.own[position]].tobytes()

    def read(self, address: int, length: int) -> bytes:
        """Ring memory; LookupError where it is not inside one area."""
        p = self.plan
        area = int(np.searchsorted(p.starts, np.uint64(min(max(address, 0), _ADDRESS_MAX)), "right")) - 1
        offset = address - int(p.starts[area]) if area >= 0 else -1
        if area < 0 or length < 0 or offset + length > int(p.lengths[area]):
            raise LookupError(f"{length} bytes at 0x{address:x} are not inside one area of a ring")
        at = int(p.places[area]) + offset
        return self.data[at : at + length].tobytes()


@dataclass(frozen=True, slots=True)
class Anchor:
    """An image put aside: only its pages that are not all zero."""

    number: int
    time: int  #: ns since the epoch
    plan: Plan
    pages: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]  #: (pages, _PAGE)

    @property
    def nbytes(self) -> int:
        return self.pages.nbytes + self.data.nbytes

    def image(self) -> Image:
        whole = np.zeros((-(-self.plan.size // _PAGE), _PAGE), np.uint8)
        whole[self.pages] = self.data
        return Image(self.plan, whole.reshape(-1), self.number)


def put_aside(image: Image, time: int) -> Anchor:
    """What `Anchor.image` makes an image of again; `time` is that of its moment."""
    whole = image.data.reshape(-1, _PAGE)
    pages = np.flatnonzero(whole.view(np.uint64).any(axis=1))
    return Anchor(image.number, time, image.plan, pages, whole[pages])


def anchor_of(keyframe: Keyframe) -> Anchor:
    """ValueError, in one line, for a keyframe whose parts do not fit each other."""
    places = plan(keyframe.shapes)
    if not len(keyframe.memory) == len(keyframe.own) == len(keyframe.shapes):
        raise ValueError("a keyframe has an image for each queue")
    for i, shape in enumerate(keyframe.shapes):
        if len(keyframe.memory[i]) != sum(length for _, _, length in shape.areas):
            raise ValueError(f"the ring memory of queue {shape.index} is not as long as its areas")
        if len(keyframe.own[i]) != places.own[i].stop - places.own[i].start:
            raise ValueError(f"the private words of queue {shape.index} are not as long as its size asks for")
    image = Image(places, np.zeros(places.size + -places.size % _PAGE, np.uint8), keyframe.number)
    for i, (memory, own) in enumerate(zip(keyframe.memory, keyframe.own, strict=True)):
        at = 0
        for area in places.memory[i]:
            length = area.stop - area.start
            image.data[area] = np.frombuffer(memory, np.uint8, length, at)
            at += length
        image.data[places.own[i]] = np.frombuffer(own, np.uint8)
    return put_aside(image, keyframe.time)
