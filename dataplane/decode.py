"""From the engine's bytes to the dataclasses of `snapshot`: no copy beyond the one the engine made."""

from __future__ import annotations

import struct
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Literal

import numpy as np

from dataplane.layout import DESC, PACKED_DESC, USED_ELEM
from dataplane.records import QUEUE_HEADER, Path, Reason, Role
from dataplane.snapshot import (
    AnyQueue,
    Array,
    DeviceState,
    DriverState,
    Notify,
    Outside,
    PackedQueue,
    SplitQueue,
)

ANSWERS: tuple[Literal["none"], Literal["quiet"], Literal["sent"]] = ("none", "quiet", "sent")


_REASONS = tuple(Reason(value) if value in set(Reason) else Reason.NONE for value in range(max(Reason) + 1))
_PATHS = tuple(Path)
_ROLES = frozenset(Role)


def _reason(value: int) -> Reason:
    return _REASONS[value] if value < len(_REASONS) else Reason.NONE


_WORDS = struct.Struct(f"<{QUEUE_HEADER.itemsize // 8}Q")  # every field of the header is 64 bits wide
_QUEUE_NAMES = (QUEUE_HEADER.names or ())[:-2]
_DRIVER_NAMES = QUEUE_HEADER["driver"].names or ()
_DEVICE_NAMES = QUEUE_HEADER["device"].names or ()
_DRIVER_AT = len(_QUEUE_NAMES)
_DEVICE_AT = _DRIVER_AT + len(_DRIVER_NAMES)


def _picked(names: tuple[str, ...], at: int, *wanted: str) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
    """Some words of a half, from the words of the header, which begin there at `at`."""
    return itemgetter(*(at + names.index(name) for name in wanted))


_NOTIFY = (
    "notify_sent", "notify_written", "notify_quiet", "notify_received", "event_answer", "event_used",
    "event_old", "event_new", "notify_told", "notify_reached", "notify_heard", "notify_heard_turn",
)  # fmt: skip
_LAST = ("frames", "bytes", "drops", "broken", "turns", "backlog", "last_drop")
_DRIVER = _picked(
    _DRIVER_NAMES, _DRIVER_AT, "published", "collected", "avail_idx", "last_used", "avail_wrap", "used_wrap",
    "free", "free_head", "in_flight", "added", "path", "polling", "asleep", *_LAST,
)  # fmt: skip
_DEVICE = _picked(
    _DEVICE_NAMES, _DEVICE_AT, "seen", "used", "last_avail", "used_idx", "avail_wrap", "used_wrap", "holding",
    "unflushed", "polling", "asleep", *_LAST, "size", "avail_read",
)  # fmt: skip
_KICK = _picked(_DRIVER_NAMES, _DRIVER_AT, *_NOTIFY)
_CALL = _picked(_DEVICE_NAMES, _DEVICE_AT, *_NOTIFY)


def _notify(picked: tuple[int, ...], pending: int) -> Notify:
    sent, written, quiet, received, answer, event, old, new, told, reached, heard, heard_turn = picked
    return Notify(
        sent, quiet, received, pending, ANSWERS[min(answer, 2)], event, old, new, max(sent - written, 0),
        max(written - sent, 0), told, reached, heard, heard_turn,
    )  # fmt: skip


def _driver(words: tuple[int, ...], pending: int) -> DriverState:
    *counts, path, polling, asleep, frames, octets, drops, broken, turns, backlog, last_drop = _DRIVER(words)
    made: tuple[Any, ...] = (
        *counts, _PATHS[path], bool(polling), bool(asleep), _notify(_KICK(words), pending), frames, octets,
        drops, _reason(broken), turns, backlog, _reason(last_drop),
    )  # fmt: skip
    return DriverState(*made)


def _device(words: tuple[int, ...], pending: int) -> DeviceState:
    *counts, polling, asleep, frames, octets, drops, broken, turns, backlog, last_drop, size, read = _DEVICE(
        words
    )
    made: tuple[Any, ...] = (
        *counts, bool(polling), bool(asleep), _notify(_CALL(words), pending), frames, octets, drops,
        _reason(broken), turns, size, read, backlog, _reason(last_drop),
    )  # fmt: skip
    return DeviceState(*made)


def _tables(data: bytes, at: int, count: int, packed: bool) -> dict[int, Array]:
    found: dict[int, Array] = {}
    for _ in range(count):
        slot, entries = np.frombuffer(data, "<u4", 2, at).tolist()
        found[slot] = np.frombuffer(data, PACKED_DESC if packed else DESC, entries, at + 8)
        at += 8 + 16 * entries
    return found


def queue_name(index: int, role: Role) -> str:
    """ "rx0", "tx0", "ctl"; "req0" of a block device."""
    if role == Role.CONTROL:
        return "ctl"
    if role == Role.REQUEST:
        return f"req{index}"
    return f"{'rx' if role == Role.RECEIVE else 'tx'}{index // 2}"


def queue(data: bytes, whole: bool) -> AnyQueue:
    """One queue from a buffer that `Engine.snapshot` filled; without `whole` the row arrays are empty."""
    words = _WORDS.unpack_from(data)
    v = dict(zip(_QUEUE_NAMES, words, strict=False))
    packed = bool(v["packed"])
    rows = v["size"] if whole and len(data) > QUEUE_HEADER.itemsize else 0
    role = Role(v["role"]) if v["role"] in _ROLES else Role.TRANSMIT
    at = QUEUE_HEADER.itemsize

    def take(dtype: Any) -> Any:
        nonlocal at
        array = np.frombuffer(data, dtype, rows, at)
        at += array.nbytes
        return array

    desc = take(PACKED_DESC if packed else DESC)
    buffer = take("<i8")
    split: dict[str, Any] = {}
    if not packed:
        split = {"used_ring": take(USED_ELEM), "avail_ring": take("<u2")}
    head_of = take("<u2")
    owner, label = take("u1"), take("u1")
    if not packed:
        split |= {"avail_label": take("u1"), "used_label": take("u1")}
    common: dict[str, Any] = {
        "index": v["index"],
        "name": queue_name(v["index"], role),
        "role": role,
        "size": v["size"],
        "enabled": bool(v["enabled"]),
        "generation": v["generation"],
        "desc_addr": v["desc_addr"],
        "driver_addr": v["driver_addr"],
        "device_addr": v["device_addr"],
        "time": v["time"],
        "duration": v["duration"],
        "exact": bool(v["exact"]),
        "before": tuple(v[f"{name}_before"] for name in ("published", "seen", "used", "collected")),
        "after": tuple(v[f"{name}_after"] for name in ("published", "seen", "used", "collected")),
        "desc": desc,
        "owner": owner,
        "label": label,
        "head": head_of,
        "buffer": buffer,
        "tables": _tables(data, at + -at % 8, v["tables"] if rows else 0, packed),
        "tables_left_out": v["tables_left_out"],
        "driver": None if v["theirs"] & 1 else _driver(words, v["kick_pending"]),
        "device": None if v["theirs"] & 2 else _device(words, v["call_pending"]),
        "outside": Outside(passive=bool(v["theirs"] & 4)) if v["theirs"] else None,
    }
    low, high = 0xFFFF, 16
    if packed:
        return PackedQueue(
            **common,
            driver_off_wrap=v["area_event"] & low,
            driver_flags=v["area_flags"] & low,
            device_off_wrap=v["area_event"] >> high,
            device_flags=v["area_flags"] >> high,
        )
    return SplitQueue(
        **common,
        **split,
        avail_flags=v["area_flags"] & low,
        avail_idx=v["area_idx"] & low,
        used_event=v["area_event"] & low,
        used_flags=v["area_flags"] >> high,
        used_idx=v["area_idx"] >> high,
        avail_event=v["area_event"] >> high,
    )
