"""Feature and status bits by name (2.1, 2.2, 5.1.3, 5.2.3, 6)."""

from __future__ import annotations

from dataclasses import dataclass

NET_F_CSUM = 0
NET_F_GUEST_CSUM = 1
NET_F_CTRL_GUEST_OFFLOADS = 2
NET_F_MTU = 3
NET_F_MAC = 5
NET_F_GUEST_TSO4 = 7
NET_F_GUEST_TSO6 = 8
NET_F_GUEST_ECN = 9
NET_F_GUEST_UFO = 10
NET_F_HOST_TSO4 = 11
NET_F_HOST_TSO6 = 12
NET_F_HOST_ECN = 13
NET_F_HOST_UFO = 14
NET_F_MRG_RXBUF = 15
NET_F_STATUS = 16
NET_F_CTRL_VQ = 17
NET_F_CTRL_RX = 18
NET_F_CTRL_VLAN = 19
NET_F_CTRL_RX_EXTRA = 20
NET_F_GUEST_ANNOUNCE = 21
NET_F_MQ = 22
NET_F_CTRL_MAC_ADDR = 23
BLK_F_SIZE_MAX = 1
BLK_F_SEG_MAX = 2
BLK_F_GEOMETRY = 4
BLK_F_RO = 5
BLK_F_BLK_SIZE = 6
BLK_F_FLUSH = 9
BLK_F_TOPOLOGY = 10
BLK_F_CONFIG_WCE = 11
BLK_F_MQ = 12
BLK_F_DISCARD = 13
BLK_F_WRITE_ZEROES = 14
BLK_F_LIFETIME = 15
BLK_F_SECURE_ERASE = 16
BLK_F_ZONED = 17
F_INDIRECT_DESC = 28
F_EVENT_IDX = 29
F_VERSION_1 = 32
F_ACCESS_PLATFORM = 33
F_RING_PACKED = 34
F_IN_ORDER = 35
F_ORDER_PLATFORM = 36
F_SR_IOV = 37
F_NOTIFICATION_DATA = 38
F_NOTIF_CONFIG_DATA = 39
F_RING_RESET = 40

_RING = {
    F_INDIRECT_DESC: "INDIRECT_DESC",
    F_EVENT_IDX: "EVENT_IDX",
    F_VERSION_1: "VERSION_1",
    F_ACCESS_PLATFORM: "ACCESS_PLATFORM",
    F_RING_PACKED: "RING_PACKED",
    F_IN_ORDER: "IN_ORDER",
    F_ORDER_PLATFORM: "ORDER_PLATFORM",
    F_SR_IOV: "SR_IOV",
    F_NOTIFICATION_DATA: "NOTIFICATION_DATA",
    F_NOTIF_CONFIG_DATA: "NOTIF_CONFIG_DATA",
    F_RING_RESET: "RING_RESET",
}
_NET = {
    NET_F_CSUM: "CSUM",
    NET_F_GUEST_CSUM: "GUEST_CSUM",
    NET_F_CTRL_GUEST_OFFLOADS: "CTRL_GUEST_OFFLOADS",
    NET_F_MTU: "MTU",
    NET_F_MAC: "MAC",
    NET_F_GUEST_TSO4: "GUEST_TSO4",
    NET_F_GUEST_TSO6: "GUEST_TSO6",
    NET_F_GUEST_ECN: "GUEST_ECN",
    NET_F_GUEST_UFO: "GUEST_UFO",
    NET_F_HOST_TSO4: "HOST_TSO4",
    NET_F_HOST_TSO6: "HOST_TSO6",
    NET_F_HOST_ECN: "HOST_ECN",
    NET_F_HOST_UFO: "HOST_UFO",
    NET_F_MRG_RXBUF: "MRG_RXBUF",
    NET_F_STATUS: "STATUS",
    NET_F_CTRL_VQ: "CTRL_VQ",
    NET_F_CTRL_RX: "CTRL_RX",
    NET_F_CTRL_VLAN: "CTRL_VLAN",
    NET_F_CTRL_RX_EXTRA: "CTRL_RX_EXTRA",
    NET_F_GUEST_ANNOUNCE: "GUEST_ANNOUNCE",
    NET_F_MQ: "MQ",
    NET_F_CTRL_MAC_ADDR: "CTRL_MAC_ADDR",
    52: "VQ_NOTF_COAL",
    53: "NOTF_COAL",
    54: "GUEST_USO4",
    55: "GUEST_USO6",
    56: "HOST_USO",
    57: "HASH_REPORT",
    59: "GUEST_HDRLEN",
    60: "RSS",
    61: "RSC_EXT",
    62: "STANDBY",
    63: "SPEED_DUPLEX",
}
_BLK = {
    BLK_F_SIZE_MAX: "SIZE_MAX",
    BLK_F_SEG_MAX: "SEG_MAX",
    BLK_F_GEOMETRY: "GEOMETRY",
    BLK_F_RO: "RO",
    BLK_F_BLK_SIZE: "BLK_SIZE",
    BLK_F_FLUSH: "FLUSH",
    BLK_F_TOPOLOGY: "TOPOLOGY",
    BLK_F_CONFIG_WCE: "CONFIG_WCE",
    BLK_F_MQ: "MQ",
    BLK_F_DISCARD: "DISCARD",
    BLK_F_WRITE_ZEROES: "WRITE_ZEROES",
    BLK_F_LIFETIME: "LIFETIME",
    BLK_F_SECURE_ERASE: "SECURE_ERASE",
    BLK_F_ZONED: "ZONED",
}
#: Names by bit, per device id: 1 network, 2 block.
NAMES: dict[int, dict[int, str]] = {1: {**_RING, **_NET}, 2: {**_RING, **_BLK}}

STATUS_ACKNOWLEDGE = 1
STATUS_DRIVER = 2
STATUS_DRIVER_OK = 4
STATUS_FEATURES_OK = 8
STATUS_NEEDS_RESET = 64
STATUS_FAILED = 128

STATUS_BITS = {
    STATUS_ACKNOWLEDGE: "ACKNOWLEDGE",
    STATUS_DRIVER: "DRIVER",
    STATUS_FEATURES_OK: "FEATURES_OK",
    STATUS_DRIVER_OK: "DRIVER_OK",
    STATUS_NEEDS_RESET: "DEVICE_NEEDS_RESET",
    STATUS_FAILED: "FAILED",
}

#: What a feature cannot do without (5.1.3.1); any one of the set is enough.
REQUIRES: dict[int, tuple[int, ...]] = {
    NET_F_GUEST_TSO4: (NET_F_GUEST_CSUM,),
    NET_F_GUEST_TSO6: (NET_F_GUEST_CSUM,),
    NET_F_GUEST_ECN: (NET_F_GUEST_TSO4, NET_F_GUEST_TSO6),
    NET_F_GUEST_UFO: (NET_F_GUEST_CSUM,),
    NET_F_HOST_TSO4: (NET_F_CSUM,),
    NET_F_HOST_TSO6: (NET_F_CSUM,),
    NET_F_HOST_ECN: (NET_F_HOST_TSO4, NET_F_HOST_TSO6),
    NET_F_HOST_UFO: (NET_F_CSUM,),
    NET_F_CTRL_RX: (NET_F_CTRL_VQ,),
    NET_F_CTRL_VLAN: (NET_F_CTRL_VQ,),
    NET_F_GUEST_ANNOUNCE: (NET_F_CTRL_VQ,),
    NET_F_MQ: (NET_F_CTRL_VQ,),
    NET_F_CTRL_MAC_ADDR: (NET_F_CTRL_VQ,),
    NET_F_CTRL_RX_EXTRA: (NET_F_CTRL_VQ,),
}


def mask(*bits: int) -> int:
    """A feature mask with these bit numbers set."""
    return sum(1 << bit for bit in set(bits))


def has(features: int, bit: int) -> bool:
    return bool(features >> bit & 1)


def bits(features: int) -> list[int]:
    """The bit numbers set in a mask of any width, ascending."""
    return [bit for bit in range(features.bit_length()) if features >> bit & 1]


def feature_names(features: int, device_id: int = 1) -> tuple[str, ...]:
    """Names of the set bits, unknown ones as BIT_n."""
    names = NAMES.get(device_id, _RING)
    return tuple(names.get(bit, f"BIT_{bit}") for bit in bits(features))


def status_names(status: int) -> tuple[str, ...]:
    """Names of the set status bits in the order in which a driver sets them."""
    return tuple(name for bit, name in STATUS_BITS.items() if status & bit)


def bit_of(name: str, device_id: int = 1) -> int:
    """The bit of a feature by name, any case, "-" for "_"; ValueError suggests near names."""
    wanted = name.strip().upper().replace("-", "_").removeprefix("VIRTIO_")
    wanted = wanted.removeprefix("NET_F_").removeprefix("BLK_F_").removeprefix("F_")
    short = {"INDIRECT": "INDIRECT_DESC", "PACKED": "RING_PACKED"}
    wanted = short.get(wanted, wanted)
    for bit, known in NAMES[device_id].items():
        if known == wanted:
            return bit
    import difflib

    near = difflib.get_close_matches(wanted, list(NAMES[device_id].values()), n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(n.lower() for n in near)}?" if near else ""
    raise ValueError(f"no feature is called {name.strip()!r}{hint}")


@dataclass(frozen=True, slots=True)
class Missing:
    """A feature accepted without what it needs."""

    bit: int
    needs: tuple[int, ...]


def missing(features: int) -> list[Missing]:
    """The dependencies (5.1.3.1) that a set of accepted features does not meet."""
    return [
        Missing(bit, needs)
        for bit, needs in REQUIRES.items()
        if has(features, bit) and not any(has(features, n) for n in needs)
    ]
