"""The ring behind one step of a test, as a snapshot that every widget can draw.

The half that is judged keeps its own positions to itself: its state is None. Whose a slot is comes from the
judge's account, which is the specification's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dataplane import features as f
from dataplane.keyframe import QueueShape
from dataplane.layout import DESC, PACKED_DESC, USED_ELEM
from dataplane.records import Label, Owner
from dataplane.snapshot import AnyQueue, Identity, Logs, NetConfig, PackedQueue, Snapshot, SplitQueue
from dataplane.workshop.bench import Moment


def snapshot(shape: QueueShape, moment: Moment, number: int) -> Snapshot:
    """One queue, held still; `number` tells one step from another."""
    features = f.mask(f.F_VERSION_1, *([f.F_EVENT_IDX] if shape.event_idx else []))
    features |= f.mask(f.F_RING_PACKED) if shape.packed else 0
    return Snapshot(
        identity=Identity("workshop", "bare", 0, features, features, shape.packed),
        state="frozen",
        status=f.STATUS_ACKNOWLEDGE | f.STATUS_DRIVER | f.STATUS_FEATURES_OK | f.STATUS_DRIVER_OK,
        config=NetConfig(bytes(6), 0, 0, 0),
        config_generation=0,
        queue_pairs=0,
        number=number,
        time=number,
        logs=Logs("stores", number, False, 1, 0, 0, 0),
        queues=(queue(shape, moment),),
    )


def queue(shape: QueueShape, moment: Moment) -> AnyQueue:
    """The queue of one moment."""
    size, counts = shape.size, moment.counts
    at = 16 * size
    driver_area, device_area = (length for _, _, length in shape.areas[1:3])
    owner = np.array(moment.owner, np.uint8)
    common: dict[str, Any] = {
        "index": 0,
        "name": "ring",
        "role": shape.role,
        "size": size,
        "enabled": True,
        "generation": 1,
        "desc_addr": shape.desc_addr,
        "driver_addr": shape.driver_addr,
        "device_addr": shape.device_addr,
        "time": 0,
        "duration": 0,
        "exact": True,
        "before": counts,
        "after": counts,
        "desc": np.frombuffer(moment.memory, PACKED_DESC if shape.packed else DESC, size),
        "owner": owner,
        "label": np.where(owner == Owner.FREE, Label.FREE, Label.STABLE).astype(np.uint8),
        "head": np.array(moment.head, np.uint16),
        "buffer": np.array(moment.buffer, np.int64),
        "tables": {},
        "tables_left_out": 0,
        "driver": moment.driver,
        "device": moment.device,
    }
    words = np.frombuffer(moment.memory, "<u2", driver_area // 2, at)
    if shape.packed:
        event = np.frombuffer(moment.memory, "<u2", 2, at + driver_area)
        return PackedQueue(
            **common,
            driver_off_wrap=int(words[0]),
            driver_flags=int(words[1]),
            device_off_wrap=int(event[0]),
            device_flags=int(event[1]),
        )
    used = moment.memory[at + driver_area : at + driver_area + device_area]
    flags, idx = np.frombuffer(used, "<u2", 2).tolist()
    return SplitQueue(
        **common,
        avail_flags=int(words[0]),
        avail_idx=int(words[1]),
        avail_ring=words[2 : 2 + size],
        used_event=int(words[2 + size]),
        used_flags=flags,
        used_idx=idx,
        used_ring=np.frombuffer(used, USED_ELEM, size, 4),
        avail_event=int(np.frombuffer(used, "<u2", 1, 4 + 8 * size)[0]),
        avail_label=_labels(shape, counts[2], counts[0]),
        used_label=_labels(shape, counts[3], counts[2]),
    )


def _labels(shape: QueueShape, first: int, last: int) -> Any:
    """Stable for the entries of buffers [first, last)."""
    labels = np.full(shape.size, Label.FREE, np.uint8)
    for count in range(first, min(last, first + shape.size)):
        labels[(shape.start_index + count) % shape.size] = Label.STABLE
    return labels
