"""Where the fields of a frame stand that scapy has dissected: to the bit, in the original bytes.

scapy can only say what it would send. So every field's own parser runs once more over the bytes its layer
was made from, and what it takes away is the field's place: compressed names, odd options, wrong checksums
and cut frames keep their exact bytes. Fields of a layer follow each other without overlap, inside the layer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS
from scapy.layers.igmp import IGMP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1AD, Dot1Q, Ether
from scapy.layers.llmnr import _LLMNR
from scapy.packet import NoPayload, Packet, Padding, Raw, split_bottom_up

from capture.dissection import headers, upper
from capture.dissection.checksums import verified
from capture.dissection.names import name_of, parts_of
from capture.dissection.options import dhcp_options, tcp_options
from capture.dissection.words import summary, title, value_text
from capture.fields import Field, Kind, printable
from capture.vnet import VirtioNetHdr, layer_for, offload

DEPTH = 32  #: layers, and packets within fields within packets
_LIST_MAX = 256  #: packets shown of one list

for _port in (53, 5353):  # `capture.dissection.upper` reads these
    for _below in (UDP, TCP):
        split_bottom_up(_below, DNS, sport=_port)
        split_bottom_up(_below, DNS, dport=_port)
for _ports in ({"sport": 5355}, {"dport": 5355}, {"sport": 5355, "dport": 5355}):
    split_bottom_up(UDP, _LLMNR, **_ports)


def dissect(data: bytes, net_header: bytes = b"") -> tuple[Field, ...]:
    """All layers of an Ethernet frame, the virtio-net header first if there is one."""
    layers: list[Field] = []
    if net_header:
        head = _packet(layer_for(len(net_header)), net_header)
        head.remove_payload()
        made = _layers(head, net_header, 0, 0, "vnet")
        layers += [replace(made[0], text=offload(net_header, len(data)) or made[0].text), *made[1:]]
    if data:
        packet: Packet
        try:
            packet = Ether(data)
        except Exception:  # scapy raises whatever its parsers do, some from deep inside
            packet = _head_only(data)
        layers += _layers(packet, data, 0, 0, "layer")
    return verified(tuple(layers), data, net_header)


def _packet(kind: type[Packet], data: bytes) -> Packet:
    """`data` as scapy reads it; as bytes where its parser raises, whatever it raises."""
    try:
        return kind(data)
    except Exception:
        return Raw(data)


def _head_only(data: bytes) -> Packet:
    """A frame of which scapy is asked for the first header alone."""
    if len(data) < 14:
        return Raw(data)
    packet = Ether(data[:14])
    if len(data) > 14:
        packet.add_payload(Raw(data[14:]))
    return packet


def _layers(packet: Packet, data: bytes, base: int, depth: int, kind: Kind) -> list[Field]:
    """The layers from `packet` on, which was made from `data`; `base` is where that begins."""
    made: list[Field] = []
    at = 0
    layer = packet
    below: Packet | None = None
    while not isinstance(layer, NoPayload) and at <= len(data):
        rest = data[at:]
        if len(made) + depth >= DEPTH:
            made.append(Field("more", f"more than {DEPTH} layers", (base + at) * 8, len(rest) * 8, "note"))
            break
        if isinstance(layer, IP) and layer.version == 6:  # its type says IPv4, its first bits do not
            if len(rest) < 40:
                made += headers.part("IPv6", rest, base + at)
                break
            layer = _packet(IPv6, rest)
        if isinstance(layer, Raw) and below is not None:
            own = _own(below, bytes(layer.original or rest), base + at, len(made) + depth)
            if own:
                made += map(_whole, own)
                at = own[-1].byte_stop - base
                layer = layer.payload
                continue
        fields = _fields(layer, rest, base + at, depth, "vnet" if kind == "vnet" else "field")
        why = _contradiction(layer)
        size = (
            min(40 if isinstance(layer, IPv6) else 20, len(rest))
            if why
            else _header_size(layer, rest, fields, base + at)
        )
        first, last = (base + at) * 8, (base + at + size) * 8
        text = f"{size} bytes" if isinstance(layer, Raw | Padding) else summary(layer)
        made.append(Field(title(layer), text, first, last - first, kind, _tidy(fields, first, last, kind)))
        at += size
        if why:
            made.append(Field("malformed", f"{why}; read no further", last, (len(data) - at) * 8, "note"))
            break
        below, layer = layer, layer.payload
    return made


def _own(below: Packet, data: bytes, base: int, depth: int) -> list[Field] | None:
    """What scapy left as bytes and can be read: payloads of ours, and headers that it gave up."""
    if isinstance(below, TCP | UDP):
        return upper.read(type(below).__name__[:3], (below.sport or 0, below.dport or 0), data, base)
    if isinstance(below, Ether | Dot1Q | Dot1AD) and below.type in (0x806, 0x8035):
        return headers.part("ARP", data, base)
    if isinstance(below, IP) and not below.frag and below.proto in _TRANSPORTS and len(data) < 20:
        return headers.part(_TRANSPORTS[below.proto], data, base)
    following = getattr(below, "nh", None)
    if 103 in (following, isinstance(below, IP) and below.proto) and data[:1] == b"\x21" and len(data) >= 8:
        return _pim_register(data, base, depth)
    if following == 143 and len(data) >= 14:
        return _layers(_packet(Ether, data), data, base, depth, "layer")
    if following == 58 and isinstance(below, IPv6) and len(data) < 8:
        return headers.part("ICMPv6", data, base)
    return None


def _pim_register(data: bytes, base: int, depth: int) -> list[Field]:
    """A multicast packet on its way to the rendezvous point (RFC 7761, 4.9.3)."""
    names = (("version", 4), ("type", 4), ("reserved", 8), ("checksum", 16), ("flags", 32))
    parts, bit = [], 0
    for name, length in names:
        text = hex(number(data, bit, length)) if length > 8 else str(number(data, bit, length))
        parts.append(Field(name, text, base * 8 + bit, length))
        bit += length
    made = [Field("PIM Register", "", base * 8, 64, "layer", tuple(parts))]
    if len(data) > 8:
        inner = data[8:]
        made += _layers(
            _packet(IPv6 if inner[0] >> 4 == 6 else IP, inner), inner, base + 8, depth + 1, "layer"
        )
    return made


_TRANSPORTS = {6: "TCP", 17: "UDP"}


def _contradiction(layer: Packet) -> str:
    """Why nothing behind this header can be believed: scapy would read on from somewhere."""
    if isinstance(layer, IP) and (layer.ihl or 0) < 5:
        return f"IP header of {(layer.ihl or 0) * 4} bytes"
    if isinstance(layer, IPv6) and layer.version != 6:
        return f"IP version {layer.version}"
    if isinstance(layer, TCP) and (layer.dataofs or 0) < 5:
        return f"TCP header of {(layer.dataofs or 0) * 4} bytes"
    return ""


def _header_size(layer: Packet, rest: bytes, fields: list[Field], base: int) -> int:
    """How many of `rest` the layer itself takes, its payload not counted."""
    if layer.raw_packet_cache is not None:
        size = len(layer.raw_packet_cache)
    else:  # layers that edit their fields after dissection keep no cache
        size = max((field.byte_stop - base for field in fields), default=0)
    if isinstance(layer.payload, NoPayload):
        return min(size, len(rest))
    below = layer.payload.original or b""
    if below and rest[size : size + len(below)] != below and (found := rest.rfind(below)) >= 0:
        size = found
    return min(size, len(rest))


def _fields(layer: Packet, data: bytes, base: int, depth: int, kind: Kind) -> list[Field]:
    made: list[Field] = []
    left: Any = data
    for desc in layer.fields_desc:
        before = _bits(left)
        if desc.name not in layer.fields and before <= 0:
            break  # the bytes ended here
        try:
            left, value = desc.getfield(layer, left)
        except Exception:  # what scapy could not parse it left to the payload
            break
        used = before - _bits(left)
        if used <= 0:
            continue
        start = len(data) * 8 - before
        value = layer.fields.setdefault(desc.name, value)  # DNS drops rdlen, and rdata cannot do without
        here, stop = start >> 3, start + used + 7 >> 3
        children: tuple[Field, ...] = ()
        if desc.name == "options" and isinstance(layer, TCP):
            children = tcp_options(data[here:stop], base + here)
        elif isinstance(layer, DHCP):
            children = dhcp_options(data[here:stop], base + here)
        elif packets := [item for item in _listed(value) if isinstance(item, Packet)]:
            children = _inside(packets, data[here:stop], data[here:], base + here, depth + 1)
        name = name_of(_classes(layer), desc.name)
        named = printable(", ".join(child.name for child in children), 80) if children else ""
        packet = isinstance(value, Packet) and not children
        text = named or (f"{used >> 3} bytes" if packet else value_text(layer, desc, value, name))
        if not children:
            children = _parts(layer, desc.name, data, base * 8, start, used, kind)
        made.append(Field(name.label, text, base * 8 + start, used, kind, children, name.filter))
    return _corrected(layer, made)


def _corrected(layer: Packet, fields: list[Field]) -> list[Field]:
    """Names that depend on values, and bits that scapy cuts elsewhere than the protocol does."""
    if isinstance(layer, TCP) and len(fields) > 6 and fields[6].name == "flags":
        reserved, flags = fields[5:7]
        text = (
            f"{flags.text.rpartition(' (')[0]} ({int(layer.reserved or 0) << 9 | int(layer.flags or 0):#05x})"
        )
        whole = replace(
            flags,
            text=text,
            bit_start=reserved.bit_start,
            bit_length=reserved.bit_length + flags.bit_length,
            filter="tcp.flags",
        )
        fields[5:7] = [replace(whole, children=(reserved, *flags.children))]
    elif isinstance(layer, Dot1Q | Dot1AD) and len(fields) == 4 and 0 <= (layer.type or 0) < 0x600:
        fields[3] = replace(fields[3], name="length", text=f"{layer.type} bytes", filter="vlan.len")
    elif isinstance(layer, ARP):
        known = (
            "hw_mac" * (layer.hwtype == 1 and layer.hwlen == 6),
            "proto_ipv4" * (layer.ptype == 0x800 and layer.plen == 4),
        )
        fields[5:] = [
            field if field.filter.endswith(tuple(filter(None, known)))
            else replace(field, text=field.text.replace(" ", ":"), filter=field.filter.rpartition("_")[0])
            for field in fields[5:]
        ]  # fmt: skip
    elif isinstance(layer, BOOTP):
        fields = [_bootp(layer, field) for field in fields]
    elif isinstance(layer, VirtioNetHdr) and len(fields) > 5 and int(layer.flags) & 4:
        fields[4] = replace(fields[4], name="coalesced segments", filter="")
        fields[5] = replace(fields[5], name="duplicate acknowledgments", filter="")
    elif isinstance(layer, ICMP) and layer.code != 4:
        fields = [replace(field, filter="") if field.filter == "icmp.mtu" else field for field in fields]
    elif (isinstance(layer, IGMP) and layer.type in (0x13, 0x14)) or (
        isinstance(layer, LLC) and layer.dsap == layer.ssap == 0xFF
    ):  # what these bytes are called is another protocol's: DVMRP, PIM, IPX
        fields = [replace(field, filter="") for field in fields]
    elif isinstance(layer, LLC) and (layer.ctrl or 0) & 3 != 3:
        fields[2:] = [replace(field, filter="") for field in fields[2:]]
    elif isinstance(layer, SNAP) and layer.OUI not in (0, 0xF8):
        fields = [replace(field, filter="") if field.filter == "llc.type" else field for field in fields]
    return fields


def _bootp(layer: Packet, field: Field) -> Field:
    """Its texts are padded with zeros to their places, and so is the hardware address."""
    if field.filter in ("dhcp.server", "dhcp.file") and not (layer.sname, layer.file)[
        field.filter == "dhcp.file"
    ].strip(b"\0"):
        return replace(field, text="none")
    if field.name == "client hardware address" and layer.hlen == 6 and field.bit_length == 128:
        text = printable(layer.chaddr[:6].hex(":"))
        first = field.bit_start
        parts = (
            Field("address", text, first, 48, filter="dhcp.hw.mac_addr" if layer.htype == 1 else ""),
            Field("padding", "10 bytes", first + 48, 80, filter="dhcp.hw.addr_padding"),
        )
        return replace(field, text=text, children=parts)
    return field


@lru_cache(1024)
def _class_names(kind: Any) -> tuple[str, ...]:
    """A class and its bases, the nearest first; the base that options of neighbour discovery share last."""
    names = [one.__name__ for one in kind.__mro__]
    return tuple(sorted(names, key="_ICMPv6NDGuessPayload".__eq__))


def _classes(layer: Packet) -> tuple[str, ...]:
    kind: Any = type(layer)
    return _class_names(kind)


def _parts(
    layer: Packet, field: str, data: bytes, base: int, start: int, length: int, kind: Kind
) -> tuple[Field, ...]:
    """The bits of a field that have names of their own."""
    made: list[Field] = []
    wanted = parts_of(_classes(layer), field)
    if not wanted:
        return ()
    for bits in wanted:
        if bits.start + bits.length > length:
            break
        first = start + bits.start
        value = number(data, first, bits.length)
        text = bits.name.show(value) if bits.name.show else str(value)
        made.append(Field(bits.name.label, text, base + first, bits.length, kind, (), bits.name.filter))
    return _tidy(made, base + start, base + start + length, kind)


def number(data: bytes, bit: int, length: int) -> int:
    """`length` bits from `bit` on, the most significant first."""
    first, last = bit >> 3, bit + length + 7 >> 3
    return int.from_bytes(data[first:last]) >> (last * 8 - bit - length) & (1 << length) - 1


def _inside(packets: list[Packet], field: bytes, tail: bytes, base: int, depth: int) -> tuple[Field, ...]:
    """Packets that are part of a field, one after the other; `tail` is what follows its first byte.

    `original` of a packet is its own bytes or all that was left when it was parsed.
    """
    made: list[Field] = []
    at = 0
    for packet in packets[:_LIST_MAX]:
        original = packet.original or packet.raw_packet_cache or b""
        if not original:
            continue
        if not tail.startswith(original, at):
            at = tail.find(original, at)
            if at < 0:
                break
        layers = _layers(packet, original, base + at, depth, "layer")
        made += layers
        at = max(at, layers[-1].byte_stop - base) if layers else at
    first, last = base * 8, (base + len(field)) * 8
    if len(packets) > _LIST_MAX:
        end = made[-1].bit_start + made[-1].bit_length if made else first
        made.append(Field("more", f"{len(packets) - _LIST_MAX} more", end, max(last - end, 0), "note"))
    return _tidy(made, first, last, "layer")


def _tidy(fields: list[Field], first: int, last: int, kind: Kind) -> tuple[Field, ...]:
    """Fields cut to [first, last) and without overlap; what no field covers shows as one of its own."""
    made: list[Field] = []
    at = first
    for field in fields:
        start = max(field.bit_start, at)
        stop = min(field.bit_start + field.bit_length, last)
        if stop <= start:
            continue
        if start > at:
            made.append(_gap(at, start, kind))
        if (start, stop) == (field.bit_start, field.bit_start + field.bit_length):
            made.append(field)
        else:
            inner = _tidy(list(field.children), start, stop, kind)
            made.append(replace(field, bit_start=start, bit_length=stop - start, children=inner))
        at = stop
    if made and at < last:
        made.append(_gap(at, last, kind))
    return tuple(made)


def _whole(field: Field) -> Field:
    """The field with every gap between its children shown, and theirs."""
    first = field.bit_start
    inner = [_whole(child) for child in field.children]
    return replace(field, children=_tidy(inner, first, first + field.bit_length, field.kind))


def _gap(start: int, stop: int, kind: Kind) -> Field:
    bits = stop - start
    text = f"{bits // 8} bytes" if bits % 8 == 0 else f"{bits} bits"
    return Field("not dissected", text, start, bits, "vnet" if kind == "vnet" else "field")


def _bits(left: Any) -> int:
    """Bits in scapy's idea of what is left: bytes, or (bytes, bits already taken)."""
    return 8 * len(left[0]) - int(left[1]) if isinstance(left, tuple) else 8 * len(left)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
