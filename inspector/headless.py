"""A source as JSON: the same readings that the screens show, for scripts and for tests.

Keys are the spec's names where it has any; numbers are integers, tables are lists of lists in the
order that `columns` gives. Keys come in the order written here, always all of them.

`document(snapshot)` is one whole snapshot:

    name kind device_id layout state status[] offered[] accepted[]
    config {mac status max_virtqueue_pairs mtu}
    blk {capacity ...: the fields of struct virtio_blk_config}, null where it is none
    config_generation queue_pairs number time
    logs {trace_level events frames_on frame_sample frames frames_passed_over bytes}
    queues [ {index name role size enabled generation desc_addr driver_addr device_addr
              time duration exact before[4] after[4]
              owners {free available in_use used}
              desc {columns[] rows[][]} owner[] label[] head[] buffer[]
              tables {slot: rows[][]} tables_left_out
              split:  avail {flags idx ring[] used_event label[]}
                      used {flags idx ring[][] avail_event label[]}
              packed: driver_event {off_wrap flags} device_event {off_wrap flags}
              driver {...} device {...}: each side's own copies, null where that side is not ours} ]
    notes[]

`before` and `after` are the counts published, seen, used, collected around the copy; `owner` and
`label` are words, a label that was seen to change ends in "+"; a head or buffer of -1 is none.

`line(tick)` is one reading of `watch`: time state number hertz frames {kept added lost} and per queue
its counts, indices, waiting buffers, notifications and rates a second. Of a block device there are also
notes[] and requests {total failed lost left_out list[]}: those completed since the line before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from dataplane.features import feature_names, status_names
from dataplane.records import CHANGED, LABEL_MASK, Label, Owner
from dataplane.snapshot import AnyQueue, DeviceState, DriverState, PackedQueue, Snapshot, SplitQueue
from inspector.sanitise import clean
from inspector.session import Session, Tick

Json = dict[str, Any]
_NO_HEAD = 0xFFFF


def document(snapshot: Snapshot) -> Json:
    """One whole snapshot as plain data; its shape is in this module's docstring."""
    identity, config, logs = snapshot.identity, snapshot.config, snapshot.logs
    return {
        "name": clean(identity.name),
        "kind": identity.kind,
        "device_id": identity.device_id,
        "layout": "packed" if identity.packed else "split",
        "state": snapshot.state,
        "status": list(status_names(snapshot.status)),
        "offered": list(feature_names(identity.offered, identity.device_id)),
        "accepted": list(feature_names(identity.accepted, identity.device_id)),
        "config": {
            "mac": config.mac.hex(":"),
            "status": config.status,
            "max_virtqueue_pairs": config.max_virtqueue_pairs,
            "mtu": config.mtu,
        },
        "blk": dataclasses.asdict(snapshot.blk) if snapshot.blk else None,
        "config_generation": snapshot.config_generation,
        "queue_pairs": snapshot.queue_pairs,
        "number": snapshot.number,
        "time": snapshot.time,
        "logs": dataclasses.asdict(logs),
        "queues": [_queue(queue) for queue in snapshot.queues],
        "notes": [clean(note) for note in snapshot.notes],
    }


def _queue(queue: AnyQueue) -> Json:
    free, available, in_use, used = queue.owners
    out: Json = {
        "index": queue.index,
        "name": clean(queue.name),
        "role": queue.role.name.lower(),
        "layout": "packed" if isinstance(queue, PackedQueue) else "split",
        "size": queue.size,
        "enabled": bool(queue.enabled),
        "generation": queue.generation,
        "desc_addr": queue.desc_addr,
        "driver_addr": queue.driver_addr,
        "device_addr": queue.device_addr,
        "time": queue.time,
        "duration": queue.duration,
        "exact": bool(queue.exact),
        "before": list(queue.before),
        "after": list(queue.after),
        "owners": {"free": free, "available": available, "in_use": in_use, "used": used},
        "desc": {"columns": list(queue.desc.dtype.names or ()), "rows": _rows(queue.desc)},
        "owner": [Owner(owner).name.lower() for owner in queue.owner.tolist()],
        "label": _labels(queue.label),
        "head": [-1 if head == _NO_HEAD else head for head in queue.head.tolist()],
        "buffer": queue.buffer.tolist(),
        "tables": {str(slot): _rows(table) for slot, table in sorted(queue.tables.items())},
        "tables_left_out": queue.tables_left_out,
    }
    match queue:
        case SplitQueue():
            out["avail"] = {
                "flags": queue.avail_flags,
                "idx": queue.avail_idx,
                "ring": queue.avail_ring.tolist(),
                "used_event": queue.used_event,
                "label": _labels(queue.avail_label),
            }
            out["used"] = {
                "flags": queue.used_flags,
                "idx": queue.used_idx,
                "ring": _rows(queue.used_ring),
                "avail_event": queue.avail_event,
                "label": _labels(queue.used_label),
            }
        case PackedQueue():
            out["driver_event"] = {"off_wrap": queue.driver_off_wrap, "flags": queue.driver_flags}
            out["device_event"] = {"off_wrap": queue.device_off_wrap, "flags": queue.device_flags}
    out["driver"] = _side(queue.driver)
    out["device"] = _side(queue.device)
    out["outside"] = dataclasses.asdict(queue.outside) if queue.outside else None
    return out


def _rows(table: Any) -> list[list[int]]:
    return [list(row) for row in table.tolist()]


def _labels(labels: Any) -> list[str]:
    names = {label: label.name.lower() for label in Label}
    return [names[Label(row & LABEL_MASK)] + ("+" if row & CHANGED else "") for row in labels.tolist()]


def _side(state: DriverState | DeviceState | None) -> Json | None:
    """A side's own copies; enumerations by name."""

    def plain(value: Any) -> Any:
        if isinstance(value, IntEnum):
            return value.name.lower()
        return {key: plain(inner) for key, inner in value.items()} if isinstance(value, dict) else value

    return None if state is None else {key: plain(value) for key, value in dataclasses.asdict(state).items()}


def line(session: Session, tick: Tick) -> Json:
    """One reading as plain data, small enough for one line."""
    snapshot = tick.snapshot
    told: Json = {
        "time": snapshot.time,
        "state": snapshot.state,
        "number": snapshot.number,
        "hertz": round(tick.hertz, 2),
        "frames": {"kept": len(session.frames), "added": tick.frames_added, "lost": tick.frames_lost},
        "events": {"added": len(tick.events.rows), "lost": tick.events.lost},
        "queues": [_brief(queue, tick) for queue in snapshot.queues],
    }
    if session.blocks:
        told["requests"] = session.requests.news(snapshot.blk.capacity if snapshot.blk else 0)
        told["notes"] = [clean(note) for note in snapshot.notes]
    return told


def _brief(queue: AnyQueue, tick: Tick) -> Json:
    published, seen, used, collected = queue.after
    meter = tick.meters[queue.index]
    indices: Sequence[tuple[str, int]]
    match queue:
        case SplitQueue():
            indices = (
                ("avail_idx", queue.avail_idx),
                ("used_idx", queue.used_idx),
                ("used_event", queue.used_event),
                ("avail_event", queue.avail_event),
            )
        case PackedQueue():
            indices = (
                ("driver_off_wrap", queue.driver_off_wrap),
                ("driver_flags", queue.driver_flags),
                ("device_off_wrap", queue.device_off_wrap),
                ("device_flags", queue.device_flags),
            )
    driver, device = queue.driver, queue.device
    return {
        "index": queue.index,
        "name": clean(queue.name),
        "published": published,
        "seen": seen,
        "used": used,
        "collected": collected,
        **dict(indices),
        "kicks": dataclasses.asdict(driver.kick) if driver else None,
        "calls": dataclasses.asdict(device.call) if device else None,
        "outside": dataclasses.asdict(queue.outside) if queue.outside else None,
        "frames_per_s": round(meter.frames_per_s, 1),
        "bytes_per_s": round(meter.bytes_per_s, 1),
        "buffers_per_s": round(meter.buffers_per_s, 1),
        "kicks_per_s": round(meter.kicks_per_s, 1),
        "calls_per_s": round(meter.calls_per_s, 1),
    }
