"""Our own records: what the engine writes into its logs and puts in front of a snapshot.

Every dtype mirrors a C struct of the same fields (`engine/trace.h`, `engine/snapshot.h`);
`tests/rings/test_layout.py` holds the two together.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Side(IntEnum):
    """Who did it."""

    DRIVER = 0
    DEVICE = 1


class Kind(IntEnum):
    """What an event tells. `STORE` appears only at trace level stores; the rest are operations."""

    STORE = 1  #: ring memory changed: place, old, new, count = bytes written
    ADD = 2  #: driver filled descriptors: place = first publication count, slot = its head, count = buffers
    PUBLISH = 3  #: driver made buffers available: old -> new publication count
    KICK = 4  #: available buffer notification sent: old -> new idx of the decision, place = event value used
    KICK_QUIET = 5  #: kick not wanted by the device, so not sent (fields as KICK)
    NEXT = 6  #: device took buffers: place = first publication count, slot = its head, count
    COMPLETE = 7  #: device wrote used elements: place = first, slot = its id, count
    FLUSH = 8  #: device made used elements visible: old -> new used count
    CALL = 9  #: used buffer notification sent (fields as KICK)
    CALL_QUIET = 10  #: call not wanted by the driver
    COLLECT = 11  #: driver took used buffers back: old -> new collected count, count
    WAIT = 12  #: a side goes to sleep on its eventfds
    WAKE = 13  #: a side woke
    NOTIFY_ON = 14  #: a side asked for notifications: place = event value, new = flags written
    NOTIFY_OFF = 15
    STATUS = 16  #: device status written: old -> new
    FEATURES = 17  #: driver features written: old = offered, new = accepted
    CONTROL = 18  #: control command answered: place = class << 8 | command, old = queue pairs now, new = ack
    QUEUE_RESET = 19  #: one queue was reset: place = its index, new = its generation
    BROKEN = 20  #: a side gave a queue up: new = reason
    CONFIG = 21  #: configuration changed: new = generation
    FREEZE = 22  #: both sides rest: old -> new trace level in force (0 off, 1 operations, 2 stores)
    RUN = 23  #: both sides go on: levels as FREEZE
    DROP = 24  #: a frame was dropped: new = reason
    OWN = 25  #: no event: a word of the side's own changed (see below)
    LEVEL = 26  #: another trace level while both rested for a moment: old -> new
    FAULT = 27  #: a fault acted: place = its id, slot = its kind, old = address, new = value, count = width
    BREAK = 28  #: a breakpoint stopped the pair: place = its id, new = number of the event that hit it


#: One event, 48 bytes. `number` comes from one global sequence without a gap, taken when the thing is done;
#: `time` is nanoseconds since the Unix epoch on a clock that never steps back.
#:
#: At trace level stores, rows of kind OWN stand before the event that they belong to and share its number:
#: the 8-byte word at byte `place` of the queue's private image (`keyframe.own_dtype`) went from `old` to
#: `new`.
EVENT = np.dtype(
    [
        ("number", "<u8"),
        ("time", "<u8"),
        ("place", "<u8"),
        ("old", "<u8"),
        ("new", "<u8"),
        ("kind", "u1"),
        ("side", "u1"),
        ("queue", "<u2"),
        ("slot", "<u2"),
        ("count", "<u2"),
    ]
)

FRAME_INDIRECT = 1  #: the buffer came through an indirect table
FRAME_FIXED = 2  #: the queue uses the fixed slot-to-descriptor mapping
FRAME_LATE = 4  #: read from outside when its driver might have had the buffer back
FRAME_REQUEST = 8  #: no frame, but a request: its content begins with a `REQUEST`
TO_DEVICE = 0
TO_DRIVER = 1

#: Header of one logged frame, 64 bytes. `position` is the publication count of its first buffer;
#: (queue, position) is `Frame.origin`. `descriptors` counts every descriptor of the chain,
#: `buffers` the used buffers that the frame spans (more than one only with MRG_RXBUF).
#: `net_header` holds the first `net_header_length` bytes that stood before the frame.
FRAME = np.dtype(
    [
        ("number", "<u8"),
        ("time", "<u8"),
        ("position", "<u8"),
        ("length", "<u4"),
        ("captured", "<u4"),
        ("queue", "<u2"),
        ("head", "<u2"),
        ("descriptors", "<u2"),
        ("buffers", "<u2"),
        ("direction", "u1"),
        ("flags", "u1"),
        ("net_header_length", "<u2"),
        ("net_header", "V20"),
    ]
)

REQUEST_STATUS, REQUEST_LENGTH = 1, 2  #: flags: the status, the used length is known
REQUEST_SOUND = 4  #: its descriptors can be followed

#: In front of the content of a logged request, 32 bytes; the first of its data follow. `available` is when it
#: was made available, seen at most `slack` ns late; `readable` and `writable` are the bytes of the buffer.
REQUEST = np.dtype(
    [
        ("available", "<u8"),
        ("slack", "<u4"),
        ("readable", "<u4"),
        ("writable", "<u4"),
        ("used_length", "<u4"),
        ("status", "u1"),
        ("flags", "u1"),
        ("reserved", "V6"),
    ]
)

_SIDE_FIELDS = [
    "polling",  #: 1: never sleeps, notifications off
    "asleep",  #: 1: waits on its eventfds now
    "event_used",  #: event value (or flags) read at the last notification decision
    "event_old",  #: index before, at that decision
    "event_new",  #: index after
    "event_answer",  #: 0 none yet, 1 quiet, 2 sent
    "notify_sent",  #: kicks (driver) or calls (device) that it decided to send
    "notify_quiet",  #: not wanted by the other side, so not written
    "notify_received",  #: calls (driver) or kicks (device) read from the eventfd
    "frames",
    "bytes",
    "drops",
    "broken",  #: reason code, 0 sound (see `Reason`)
    "turns",  #: times this side's loop looked at the queue
    "notify_injected",  #: written to the other side's eventfd from outside, as a probe
    "notify_written",  #: written to it by this side: less than sent where some were lost
    "notify_told",  #: its own count (published, used) up to which it decided to notify
    "notify_reached",  #: and up to which that was written: less where the newest got lost or is late
    "notify_heard",  #: buffers it had taken (seen, collected) when it last read a notification
    "notify_heard_turn",  #: `turns` at that moment
    "last_drop",  #: reason of the newest drop (see `Reason`)
]

#: The driver's own, private copies: 64-bit counts of buffers, 16-bit ring positions, wrap counters.
DRIVER_STATE = np.dtype(
    [
        (name, "<u8")
        for name in (
            "published",
            "collected",
            "avail_idx",  #: split: avail.idx as last written; packed: next available slot
            "last_used",  #: split: next used index to look at; packed: next used slot
            "avail_wrap",
            "used_wrap",
            "free",  #: descriptors not in any chain
            "free_head",
            "in_flight",  #: buffers published and not collected
            "added",  #: buffers written and not published yet
            "path",  #: how buffers become descriptors (see `Path`)
            "backlog",  #: 1: a frame for this queue is due and not made available
            *_SIDE_FIELDS,
        )
    ]
)

#: The device's own, private copies.
DEVICE_STATE = np.dtype(
    [
        (name, "<u8")
        for name in (
            "seen",
            "used",
            "last_avail",  #: split: next available index to look at; packed: next slot
            "used_idx",  #: split: used.idx as last written; packed: next used slot
            "avail_wrap",
            "used_wrap",
            "holding",  #: buffers taken and not completed
            "unflushed",  #: used elements written and not visible yet
            "size",  #: at which it goes round: that of the queue
            "avail_read",  #: split: avail.idx as it last read it
            "backlog",  #: 1: a frame for this queue is due and waits for buffers
            *_SIDE_FIELDS,
        )
    ]
)

#: In front of the copied rings of one queue.
QUEUE_HEADER = np.dtype(
    [
        *[
            (name, "<u8")
            for name in (
                "index",
                "packed",
                "size",
                "role",  #: see `Role`
                "enabled",
                "generation",  #: goes up with every reset of the queue
                "desc_addr",
                "driver_addr",
                "device_addr",
                "time",  #: ns since the epoch when the copy began
                "duration",  #: ns that the copy took
                "exact",  #: 1: both sides rested while it was taken
                "kick_pending",  #: kicks written and not yet read
                "call_pending",
                "published_before",
                "seen_before",
                "used_before",
                "collected_before",
                "published_after",
                "seen_after",
                "used_after",
                "collected_after",
                "tables",  #: indirect tables copied
                "table_entries",  #: their entries in all
                "tables_left_out",  #: tables beyond the budget, or outside memory
                "area_flags",  #: split: avail.flags | used.flags << 16; packed: driver's | device's
                "area_idx",  #: split: avail.idx | used.idx << 16; packed: 0
                "area_event",  #: split: used_event | avail_event << 16; packed: off_wrap of both
                "theirs",  #: bit 0: the driver is another process, bit 1: the device is
            )
        ],
        ("driver", DRIVER_STATE),
        ("device", DEVICE_STATE),
    ]
)


class Role(IntEnum):
    """What a queue is for: of a network device (5.1.2), or of another."""

    RECEIVE = 0
    TRANSMIT = 1
    CONTROL = 2
    REQUEST = 4  #: of a block device (5.2.2)


class Label(IntEnum):
    """How far a copied row can be trusted."""

    FREE = 0  #: nobody owns it: what stands there means nothing
    STABLE = 1  #: the protocol kept it still while it was copied
    IN_FLUX = 2  #: may have changed while it was copied
    SKIPPED = 3  #: used element that an in-order batch jumped over: never written (2.7.9)


CHANGED = 0x80  #: added to a label when two passes of the copy differ
LABEL_MASK = 0x7F


class Owner(IntEnum):
    """Whose turn it is with a slot."""

    FREE = 0
    AVAILABLE = 1  #: published, not yet seen by the device
    IN_USE = 2  #: the device has taken it
    USED = 3  #: completed, not yet collected by the driver
    UNKNOWN = 4


class Path(IntEnum):
    """How the driver turns a frame into descriptors."""

    AUTO = 0  #: small: one descriptor; larger: a chain; many pieces: an indirect table if negotiated
    FIXED = 1  #: slot i always holds buffer i: one descriptor, rewritten only where it differs
    INDIRECT = 2  #: every frame through an indirect table: one descriptor of the ring each
    CHAIN = 3  #: header and data in descriptors of their own
    DIRECT = 4  #: header and data in one descriptor


class Reason(IntEnum):
    """Why a side gave a queue up, dropped a buffer or refused a request; 0 is sound."""

    NONE = 0
    HEAD_OUT_OF_RANGE = 1  #: available entry or next >= queue size (2.7.6)
    INDEX_JUMP = 2  #: avail.idx moved by more than the queue size (2.7.6)
    CHAIN_LOOP = 3  #: chain longer than the queue size (2.7.5.2)
    BAD_ADDRESS = 4  #: address range not inside one memory region
    INDIRECT_LENGTH = 5  #: table length 0, not a multiple of 16, or too long (2.7.5.3)
    INDIRECT_NESTED = 6  #: INDIRECT inside a table (2.7.5.3.1)
    INDIRECT_NEXT = 7  #: INDIRECT and NEXT together (2.7.5.3.1)
    INDIRECT_REFUSED = 8  #: INDIRECT without VIRTIO_F_INDIRECT_DESC
    WRITE_BEFORE_READ = 9  #: readable descriptor after a writable one (2.7.4.2)
    ZERO_LENGTH = 10  #: descriptor of length 0: dropped
    ID_UNKNOWN = 11  #: used id is not that of an outstanding buffer (2.7.8)
    USED_LENGTH = 12  #: used length exceeds the writable bytes
    USED_JUMP = 13  #: used.idx ahead of what is outstanding
    TOO_SHORT = 14  #: buffer shorter than the net header: dropped
    BAD_GSO = 15  #: offload fields contradict each other or the frame: dropped
    NO_BUFFER = 16  #: no receive buffer large enough: dropped
    CONTROL_FORMAT = 17  #: control command shorter than its fields
    ORDER = 18  #: IN_ORDER promised and not kept
    NUM_BUFFERS = 19  #: num_buffers does not match the used buffers that follow
    FILTERED = 20  #: dropped by the receive filter
    STOPPED = 21  #: closed or reset while it waited
    DUPLICATE_HEAD = 22  #: head made available while it is outstanding
    TOO_LONG = 23  #: frame longer than the queue can carry: refused
    SIDE_FAILED = 24  #: a side gave up by itself
    MEMORY_GONE = 25  #: memory that the other side shared is there no more
