"""The virtio-net header (5.1.6) as a scapy layer, little-endian as in every VERSION_1 session.

    from capture.vnet import VirtioNetHdr
    VirtioNetHdr(raw)                                             # header, Ethernet, ...
    VirtioNetHdr(flags="NEEDS_CSUM", csum_start=34, csum_offset=16) / Ether() / IP() / TCP()

Twelve bytes; `VirtioNetHdrLegacy` has ten (no num_buffers), `VirtioNetHdrHash` twenty (with a hash report).
`layer_for` chooses by length.
"""

from __future__ import annotations

import struct

from scapy.fields import (
    ByteEnumField,
    FlagsField,
    LEShortEnumField,
    LEShortField,
    XLEIntField,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, bind_layers

GSO_TYPES = {0: "NONE", 1: "TCPV4", 3: "UDP", 4: "TCPV6", 5: "UDP_L4"}
HASH_REPORTS = {0: "NONE", 1: "IPv4", 2: "TCPv4", 3: "UDPv4", 4: "IPv6", 5: "TCPv6", 6: "UDPv6", 7: "IPv6_EX",
                8: "TCPv6_EX", 9: "UDPv6_EX"}  # fmt: skip
_ECN = 0x80
_NEEDS_CSUM, _DATA_VALID, _RSC_INFO = 1, 2, 4
_GSO_WORDS = {1: "TCP super-frame", 3: "UDP super-frame, to be fragmented", 4: "TCP super-frame",
              5: "UDP super-frame"}  # fmt: skip
_GSO_NAMES = GSO_TYPES | {kind | _ECN: f"{name}+ECN" for kind, name in GSO_TYPES.items()}


class VirtioNetHdr(Packet):  # type: ignore[misc]  # scapy is untyped
    """struct virtio_net_hdr with num_buffers: the 12 bytes in front of every frame of a VERSION_1 device."""

    name = "virtio-net"
    fields_desc = [  # noqa: RUF012  # as scapy declares it
        FlagsField("flags", 0, 8, ["NEEDS_CSUM", "DATA_VALID", "RSC_INFO"]),
        ByteEnumField("gso_type", 0, _GSO_NAMES),
        LEShortField("hdr_len", 0),
        LEShortField("gso_size", 0),
        LEShortField("csum_start", 0),
        LEShortField("csum_offset", 0),
        LEShortField("num_buffers", 0),
    ]

    def mysummary(self) -> str:
        return offload(bytes(self.original or b""), len(self.payload.original or b""))


class VirtioNetHdrLegacy(VirtioNetHdr):
    """The same without num_buffers: 10 bytes, as a legacy device without VIRTIO_NET_F_MRG_RXBUF has it."""

    fields_desc = VirtioNetHdr.fields_desc[:-1]


class VirtioNetHdrHash(VirtioNetHdr):
    """The same with VIRTIO_NET_F_HASH_REPORT: 20 bytes."""

    fields_desc = [  # noqa: RUF012  # as scapy declares it
        *VirtioNetHdr.fields_desc,
        XLEIntField("hash_value", 0),
        LEShortEnumField("hash_report", 0, HASH_REPORTS),
        LEShortField("padding_reserved", 0),
    ]


bind_layers(VirtioNetHdr, Ether)
bind_layers(VirtioNetHdrHash, Ether)
bind_layers(VirtioNetHdrLegacy, Ether)


def layer_for(length: int) -> type[VirtioNetHdr]:
    """The layer that dissects a header of this many bytes."""
    if length < 12:
        return VirtioNetHdrLegacy
    return VirtioNetHdrHash if length >= 20 else VirtioNetHdr


def offload(header: bytes, length: int) -> str:
    """What the header says of a frame of `length` bytes, in words; "" where it has no ten bytes."""
    if len(header) < 10:
        return ""
    flags, kind, head, size, start, offset = struct.unpack_from("<BBHHHH", header)
    words = []
    if kind:
        words.append(_GSO_WORDS.get(kind & ~_ECN, f"super-frame of type {kind}"))
        count = -(-(length - head) // size) if size and length > head else 0
        words.append(f"{count or ''} segment{'s'[: count != 1]} of {size} bytes".lstrip())
        if kind & _ECN:
            words.append("congestion marked")
    if flags & _RSC_INFO:
        words.append(f"{start} coalesced segments, {offset} duplicate acknowledgments")
    elif flags & _NEEDS_CSUM:
        words.append(f"checksum partial (left to the device, at {start}+{offset})")
    if flags & _DATA_VALID:
        words.append("checksums verified")
    if len(header) >= 12 and (buffers := int.from_bytes(header[10:12], "little")) > 1:
        words.append(f"{buffers} buffers")
    return ", ".join(words) or "no offload"
