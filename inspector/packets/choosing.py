"""From a field in the tree to the display filter that picks packets with the same value.

The dissection says which filter field stands on the same bits; the value is read from those bits of the
packet. What comes out has been tried on the packet itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import numpy as np

from capture.dfilter import compile_filter
from capture.errors import FilterError
from capture.fields import Field, walk
from capture.fieldtable import FIELDS, Kind
from capture.frame import Frame
from capture.store import FrameStore

#: Whole layers by what the tree calls them, or how that begins: the most telling first.
_LAYERS = {
    "ethernet": "eth",
    "802.3": "eth",
    "802.1ad": "ieee8021ad",
    "802_1ad": "ieee8021ad",
    "802.1q": "vlan",
    "arp": "arp",
    "ipv6": "ipv6",
    "ip": "ip",
    "icmpv6": "icmpv6",
    "icmp": "icmp",
    "tcp": "tcp",
    "udp": "udp",
    "mdns": "mdns",
    "dns": "dns",
    "dhcp": "dhcp",
    "bootp": "dhcp",
    "vxlan": "vxlan",
    "gre": "gre",
    "mpls": "mpls",
}


def field_filter(layers: tuple[Field, ...], field: Field, frame: Frame, store: FrameStore) -> str | None:
    """The filter for the value of `field`, None where no filter field stands for it."""
    return next((text for text in _candidates(layers, field, frame) if _matches(text, frame, store)), None)


def _matches(text: str, frame: Frame, store: FrameStore) -> bool:
    try:
        compiled = compile_filter(text)
    except FilterError:
        return False
    return any(bool(compiled.mask(block).any()) for block in store.pick(np.array([frame.number])))


def _candidates(layers: tuple[Field, ...], field: Field, frame: Frame) -> Iterator[str]:
    layer = next((one for one in layers if any(inner is field for _, inner in walk((one,)))), None)
    if layer is not None and layer.name == "Ring":
        yield from _of_ring(field, frame)
    elif field.filter in FIELDS:
        yield from _of_value(field, frame)
    elif field is layer:
        name = field.name.lower()
        yield from (word for begins, word in _LAYERS.items() if name.startswith(begins))


def _of_ring(field: Field, frame: Frame) -> Iterator[str]:
    queue, position = frame.origin
    values = {
        "queue": f"queue == {queue}",
        "direction": "direction == " + ("to_device", "to_driver")[frame.direction & 1],
        "buffer": f"queue == {queue} and position == {position}",
        "slot": f"queue == {queue} and head == {frame.head}",
        "chain": f"descriptors == {frame.descriptors}",
        "time": f"frame.number == {frame.number}",
    }
    if field.name in values:
        yield values[field.name]


def _of_value(field: Field, frame: Frame) -> Iterator[str]:
    """The value as the bits have it; of names, whose bytes are packed, as the tree has it."""
    name, kind = field.filter, FIELDS[field.filter].kind
    source = frame.net_header if field.kind == "vnet" else frame.data
    octets = source[field.byte_start : field.byte_stop]
    spare = -(field.bit_start + field.bit_length) % 8
    value = int.from_bytes(octets, "big") >> spare & (1 << field.bit_length) - 1
    if kind is Kind.PROTOCOL:
        yield name
    elif kind is Kind.TEXT:
        text = field.text.strip("'\" ").removesuffix(".").replace("\\", "\\\\").replace('"', '\\"')
        yield f'{name} == "{text}"'
    elif kind is Kind.IPV4 and len(octets) == 4:
        yield f"{name} == {ipaddress.IPv4Address(octets)}"
    elif kind is Kind.IPV6 and len(octets) == 16:
        yield f"{name} == {ipaddress.IPv6Address(octets)}"
    elif kind in (Kind.MAC, Kind.BYTES) and 0 < len(octets) <= 64:
        yield f"{name} == {octets.hex(':')}"
    elif kind in (Kind.NUMBER, Kind.FLAG):
        if field.kind == "vnet" and len(octets) > 1:
            value = int.from_bytes(octets, "little")
        yield f"{name} == {value}"
        yield f"{name} == {value * 4}"  # lengths that stand in the header in words of four bytes
