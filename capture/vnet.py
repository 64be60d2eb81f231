"""The virtio-net header (5.1.6) as a scapy layer, little-endian as in every VERSION_1 session.

    VirtioNetHdr(raw) / Ether(frame)

Ten bytes (a legacy header without num_buffers) and twenty (with a hash report) dissect as well.
"""

from __future__ import annotations

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
        words = [str(self.flags) or "no offload"] if self.gso_type == 0 else []
        if self.gso_type:
            words.append(f"{_GSO_NAMES.get(self.gso_type, self.gso_type)} segments of {self.gso_size}")
        if self.flags & 1:
            words.append(f"checksum at {self.csum_start}+{self.csum_offset}")
        if self.fields.get("num_buffers", 0) > 1:
            words.append(f"{self.num_buffers} buffers")
        return ", ".join(words)


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


def layer_for(length: int) -> type[VirtioNetHdr]:
    """The layer that dissects a header of this many bytes."""
    return VirtioNetHdrHash if length >= 20 else VirtioNetHdr
