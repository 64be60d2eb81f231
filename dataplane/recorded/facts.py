"""Small things of a recording as JSON: what a device is, how a queue lies, a snapshot without its rows.

Decoding trusts nothing: every value has the type and the range that its dataclass says, or Unsound is
raised; text comes back as plain ASCII, everything else in it spelt out. Fields that are not known are passed
over, so that a later version may add some.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from dataplane.keyframe import QueueShape
from dataplane.layout import DESC, PACKED_DESC, QUEUE_SIZE_MAX, USED_ELEM
from dataplane.recorded.blocks import Unsound
from dataplane.snapshot import AnyQueue, Identity, PackedQueue, Snapshot, SplitQueue

Json = dict[str, Any]
Reader = Callable[[Any], Any]
_Made = TypeVar("_Made")

LIMIT = 1 << 20  #: bytes of JSON that nothing here has
_TEXT = 512  #: characters of a name or a note
_NOTES = 64
_QUEUES = 1 << 10
_WIDE = ("offered", "accepted")  #: feature bits, of any width
_TIMES = ("time", "duration", "began")


def pack(facts: Json) -> bytes:
    """JSON in one line, padded to a multiple of 8 bytes."""
    data = json.dumps(facts, separators=(",", ":"), allow_nan=False).encode("ascii")
    return data + b" " * (-len(data) % 8)


def unpack(data: bytes | memoryview) -> Json:
    """The object that `pack` wrote. Unsound."""
    if len(data) > LIMIT:
        raise Unsound("its facts are too long")
    try:
        facts = json.loads(bytes(data).decode("ascii"))
    except (ValueError, RecursionError):
        raise Unsound("its facts are no JSON") from None
    if not isinstance(facts, dict):
        raise Unsound("its facts are no object")
    return facts


def plain(text: str) -> str:
    """Foreign text as printable ASCII, of bounded length."""
    return text[:_TEXT].encode("unicode_escape").decode("ascii")


def whole(value: Any, name: str, low: int = 0, high: int = (1 << 64) - 1) -> int:
    """A whole number in a range. Unsound."""
    if type(value) is not int or not low <= value <= high:
        raise Unsound(f"{name} is out of range")
    return value


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _is_rows(hint: Any) -> bool:
    return get_origin(hint) is np.ndarray or get_origin(hint) is Mapping


def encode(value: Any) -> Any:
    """A dataclass of ours, and what is in it, as plain data; arrays and tables are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            name: encode(getattr(value, name))
            for name, hint in _hints(type(value)).items()
            if not _is_rows(hint)
        }
    if isinstance(value, IntEnum | np.integer):
        return int(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [encode(one) for one in value]
    return value


def decode(cls: type[_Made], facts: Any, **given: Any) -> _Made:
    """The dataclass that `encode` took apart; `given` are fields that do not come from it. Unsound."""
    if not isinstance(facts, dict):
        raise Unsound(f"{cls.__name__} is no object")
    made = dict(given)
    for name, reader, needed in _fields(cast("Any", cls)):
        if name in given:
            continue
        if name in facts:
            made[name] = reader(facts[name])
        elif needed:
            raise Unsound(f"{cls.__name__} has no {name}")
    return cls(**made)


@cache
def _fields(cls: Any) -> tuple[tuple[str, Reader, bool], ...]:
    """Of each field that is no array: its name, what reads its value, and whether it must be there."""
    missing = dataclasses.MISSING
    return tuple(
        (
            field.name,
            _reader(_hints(cls)[field.name], field.name),
            field.default is missing and field.default_factory is missing,
        )
        for field in dataclasses.fields(cls)
        if not _is_rows(_hints(cls)[field.name])
    )


def _reader(hint: Any, name: str) -> Reader:
    """What reads a value of this type; it raises Unsound for any other."""
    origin, kinds = get_origin(hint), get_args(hint)
    if origin is Literal:
        return lambda value: _checked(value, isinstance(value, str) and value in kinds, name)
    if origin in (Union, types.UnionType):
        some = _reader(kinds[0], name)
        return lambda value: None if value is None else some(value)
    if origin is tuple:
        return _list_reader(kinds, name)
    if dataclasses.is_dataclass(hint):
        return lambda value: decode(hint, value)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        words = {int(one): one for one in hint}
        return lambda value: words[_checked(value, type(value) is int and value in words, name)]
    if hint is int:
        high = (1 << 128 if name in _WIDE else 1 << 63 if name in _TIMES else 1 << 64) - 1
        return lambda value: whole(value, name, 0, high)
    if hint is bool:
        return lambda value: _checked(value, type(value) is bool, name)
    if hint is str:
        return lambda value: plain(_checked(value, isinstance(value, str), name))
    if hint is bytes:
        return lambda value: _octets(_checked(value, isinstance(value, str), name), name)
    raise TypeError(f"no reader of {hint} for {name}")


def _list_reader(kinds: tuple[Any, ...], name: str) -> Reader:
    one = _reader(kinds[0], name)
    count = None if kinds[-1] is Ellipsis else len(kinds)

    def read(value: Any) -> Any:
        sound = isinstance(value, list) and (len(value) <= _NOTES if count is None else len(value) == count)
        return tuple(one(each) for each in _checked(value, sound, name))

    return read


def _checked(value: Any, sound: bool, name: str) -> Any:
    if not sound:
        raise Unsound(f"{name} is not what it should be")
    return value


def _octets(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text[:_TEXT])
    except ValueError:
        raise Unsound(f"{name} is no hexadecimal") from None


def _empty_rows(packed: bool) -> Json:
    rows: Json = {
        "desc": np.zeros(0, PACKED_DESC if packed else DESC),
        "owner": np.zeros(0, np.uint8),
        "label": np.zeros(0, np.uint8),
        "head": np.zeros(0, np.uint16),
        "buffer": np.zeros(0, np.int64),
        "tables": {},
    }
    if not packed:
        rows |= {
            "avail_ring": np.zeros(0, np.uint16),
            "used_ring": np.zeros(0, USED_ELEM),
            "avail_label": np.zeros(0, np.uint8),
            "used_label": np.zeros(0, np.uint8),
        }
    for array in rows.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return rows


def snapshot_facts(snapshot: Snapshot) -> Json:
    """A snapshot as plain data, without its rows."""
    facts: Json = {
        name: encode(getattr(snapshot, name)) for name in _hints(Snapshot) if name not in ("queues", "notes")
    }
    facts["notes"] = [note[:_TEXT] for note in snapshot.notes[:_NOTES]]
    facts["queues"] = [
        {**encode(queue), "packed": isinstance(queue, PackedQueue)} for queue in snapshot.queues
    ]
    return facts


def snapshot_of(facts: Json) -> Snapshot:
    """The snapshot of `snapshot_facts`, with empty rows. Unsound."""
    listed = facts.get("queues")
    if not isinstance(listed, list) or len(listed) > _QUEUES:
        raise Unsound("the queues are no list")
    queues = tuple(_queue(one) for one in listed)
    if len({queue.index for queue in queues}) != len(queues):
        raise Unsound("two queues have one index")
    return decode(Snapshot, facts, queues=queues)


def _queue(facts: Any) -> AnyQueue:
    if not isinstance(facts, dict) or type(facts.get("packed")) is not bool:
        raise Unsound("a queue is no object")
    packed = facts["packed"]
    rows = _empty_rows(packed)
    queue: AnyQueue = decode(PackedQueue, facts, **rows) if packed else decode(SplitQueue, facts, **rows)
    whole(queue.index, "the index of a queue", 0, 0xFFFF)
    whole(queue.size, "the size of a queue", 1, QUEUE_SIZE_MAX)
    for name in ("avail_idx", "used_idx", "used_event", "avail_event"):
        whole(getattr(queue, name, 0), name, 0, 0xFFFF)
    return queue


def identity_of(facts: Any) -> Identity:
    """Who is looked at. Unsound."""
    return decode(Identity, facts)


def shape_of(facts: Any) -> QueueShape:
    """How a queue lies in memory. Unsound."""
    shape = decode(QueueShape, facts)
    whole(shape.index, "the index of a queue", 0, 0xFFFF)
    whole(shape.size, "the size of a queue", 1, QUEUE_SIZE_MAX)
    whole(shape.start_index, "the start index", 0, 0xFFFF)
    whole(shape.table_entries, "the entries of a table", 0, 0xFFFF)
    if not shape.packed and shape.size & (shape.size - 1):
        raise Unsound("the size of a split queue is no power of two")
    for name, address, length in shape.areas:
        if address + length > 1 << 64:
            raise Unsound(f"the {name} area lies outside memory")
    return shape
