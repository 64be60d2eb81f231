"""From the engine's bytes to the dataclasses of `snapshot`: no copy beyond the one the engine made."""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np

from dataplane.layout import DESC, PACKED_DESC, USED_ELEM
from dataplane.records import QUEUE_HEADER, Path, Reason, Role
from dataplane.snapshot import AnyQueue, Array, DeviceState, DriverState, Notify, PackedQueue, SplitQueue

ANSWERS: tuple[Literal["none"], Literal["quiet"], Literal["sent"]] = ("none", "quiet", "sent")


def _reason(value: int) -> Reason:
    try:
        return Reason(value)
    except ValueError:
        return Reason.NONE


def _notify(row: dict[str, int], pending: int) -> Notify:
    return Notify(
        sent=row["notify_sent"],
        quiet=row["notify_quiet"],
        received=row["notify_received"],
        pending=pending,
        lost=max(row["notify_sent"] - row["notify_written"], 0),
        stray=max(row["notify_written"] - row["notify_sent"], 0),
        told=row["notify_told"],
        reached=row["notify_reached"],
        heard=row["notify_heard"],
        heard_turn=row["notify_heard_turn"],
        answer=ANSWERS[min(row["event_answer"], 2)],
        event=row["event_used"],
        old=row["event_old"],
        new=row["event_new"],
    )


_WORDS = struct.Struct(f"<{QUEUE_HEADER.itemsize // 8}Q")  # every field of the header is 64 bits wide
_DRIVER_NAMES = QUEUE_HEADER["driver"].names or ()
_DEVICE_NAMES = QUEUE_HEADER["device"].names or ()
_QUEUE_NAMES = (QUEUE_HEADER.names or ())[:-2]
_DRIVER_AT = len(_QUEUE_NAMES)
_DEVICE_AT = _DRIVER_AT + len(_DRIVER_NAMES)


_COMMON = ("frames", "bytes", "drops", "turns", "avail_wrap", "used_wrap")
_DRIVER = (
    *_COMMON,
    "published",
    "collected",
    "avail_idx",
    "last_used",
    "free",
    "free_head",
    "in_flight",
    "added",
    "backlog",
)
_DEVICE = (
    *_COMMON,
    "seen",
    "used",
    "last_avail",
    "used_idx",
    "holding",
    "unflushed",
    "size",
    "avail_read",
    "backlog",
)


def _driver(v: dict[str, int], pending: int) -> DriverState:
    return DriverState(
        **{name: v[name] for name in _DRIVER},
        path=Path(v["path"]),
        polling=bool(v["polling"]),
        asleep=bool(v["asleep"]),
        kick=_notify(v, pending),
        broken=_reason(v["broken"]),
        last_drop=_reason(v["last_drop"]),
    )


def _device(v: dict[str, int], pending: int) -> DeviceState:
    return DeviceState(
        **{name: v[name] for name in _DEVICE},
        polling=bool(v["polling"]),
        asleep=bool(v["asleep"]),
        call=_notify(v, pending),
        broken=_reason(v["broken"]),
        last_drop=_reason(v["last_drop"]),
    )


def _tables(data: bytes, at: int, count: int, packed: bool) -> dict[int, Array]:
    found: dict[int, Array] = {}
    for _ in range(count):
        slot, entries = np.frombuffer(data, "<u4", 2, at).tolist()
        found[slot] = np.frombuffer(data, PACKED_DESC if packed else DESC, entries, at + 8)
        at += 8 + 16 * entries
    return found


def queue_name(index: int, role: Role) -> str:
    """ "rx0", "tx0", "ctl"."""
    if role == Role.CONTROL:
        return "ctl"
    return f"{'rx' if role == Role.RECEIVE else 'tx'}{index // 2}"


def queue(data: bytes, whole: bool) -> AnyQueue:
    """One queue from a buffer that `Engine.snapshot` filled; without `whole` the row arrays are empty."""
    words = _WORDS.unpack_from(data)
    v = dict(zip(_QUEUE_NAMES, words, strict=False))
    driver = dict(zip(_DRIVER_NAMES, words[_DRIVER_AT:], strict=False))
    device = dict(zip(_DEVICE_NAMES, words[_DEVICE_AT:], strict=False))
    packed = bool(v["packed"])
    rows = v["size"] if whole and len(data) > QUEUE_HEADER.itemsize else 0
    role = Role(v["role"]) if v["role"] < 3 else Role.TRANSMIT
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
        "driver": None if v["theirs"] & 1 else _driver(driver, v["kick_pending"]),
        "device": None if v["theirs"] & 2 else _device(device, v["call_pending"]),
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
