"""The spec's structures as numpy dtypes, little-endian as VERSION_1 requires.

`tests/rings/test_layout.py` compares every size and offset with what the C compiler says.
"""

from __future__ import annotations

import numpy as np

#: Split descriptor, 16 bytes (2.7.5).
DESC = np.dtype([("addr", "<u8"), ("len", "<u4"), ("flags", "<u2"), ("next", "<u2")])
#: One element of the used ring, 8 bytes (2.7.8).
USED_ELEM = np.dtype([("id", "<u4"), ("len", "<u4")])
#: Packed descriptor, 16 bytes: id stands where the split one has flags (2.8.13).
PACKED_DESC = np.dtype([("addr", "<u8"), ("len", "<u4"), ("id", "<u2"), ("flags", "<u2")])
#: Packed event suppression structure, 4 bytes (2.8.14).
PACKED_EVENT = np.dtype([("off_wrap", "<u2"), ("flags", "<u2")])
#: virtio-net header; the first 12 bytes in every VERSION_1 session (5.1.6).
NET_HEADER = np.dtype(
    [
        ("flags", "u1"),
        ("gso_type", "u1"),
        ("hdr_len", "<u2"),
        ("gso_size", "<u2"),
        ("csum_start", "<u2"),
        ("csum_offset", "<u2"),
        ("num_buffers", "<u2"),
    ]
)
#: virtio-net configuration space up to mtu (5.1.4).
NET_CONFIG = np.dtype(
    [("mac", "u1", (6,)), ("status", "<u2"), ("max_virtqueue_pairs", "<u2"), ("mtu", "<u2")]
)

DESC_F_NEXT = 1
DESC_F_WRITE = 2
DESC_F_INDIRECT = 4
PACKED_F_AVAIL = 1 << 7
PACKED_F_USED = 1 << 15

AVAIL_F_NO_INTERRUPT = 1
USED_F_NO_NOTIFY = 1

EVENT_ENABLE = 0
EVENT_DISABLE = 1
EVENT_DESC = 2

#: By the spec's names: flags of a descriptor in each layout (2.7.5, 2.8.1), of the two areas of a split ring
#: (2.7.6, 2.7.8); what a packed ring's event flags can be (2.8.10).
DESC_FLAGS = {"NEXT": DESC_F_NEXT, "WRITE": DESC_F_WRITE, "INDIRECT": DESC_F_INDIRECT}
PACKED_FLAGS = {**DESC_FLAGS, "AVAIL": PACKED_F_AVAIL, "USED": PACKED_F_USED}
AVAIL_FLAGS = {"NO_INTERRUPT": AVAIL_F_NO_INTERRUPT}
USED_FLAGS = {"NO_NOTIFY": USED_F_NO_NOTIFY}
EVENT_FLAGS = {"ENABLE": EVENT_ENABLE, "DISABLE": EVENT_DISABLE, "DESC": EVENT_DESC}
EVENT_NAMES = {value: name for name, value in EVENT_FLAGS.items()}

QUEUE_SIZE_MAX = 32768


def need_event(event: int, new: int, old: int) -> bool:
    """vring_need_event (2.7.10.1): whether a free-running index went past `event` from `old` to `new`."""
    return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF


def driver_area_bytes(size: int, packed: bool) -> int:
    """Bytes of the driver area: the available ring with used_event (2.7.6), or 4 (2.8.10)."""
    return 4 if packed else 6 + 2 * size


def device_area_bytes(size: int, packed: bool) -> int:
    """Bytes of the device area: the used ring with avail_event (2.7.8), or 4 (2.8.10)."""
    return 4 if packed else 6 + 8 * size


def desc_flag_names(flags: int, packed: bool) -> tuple[str, ...]:
    """Names of the set bits of a descriptor's flags; unknown bits as one hexadecimal word."""
    known = PACKED_FLAGS if packed else DESC_FLAGS
    names = [name for name, bit in known.items() if flags & bit]
    rest = flags & ~sum(known.values())
    if rest:
        names.append(f"0x{rest:x}")
    return tuple(names)
