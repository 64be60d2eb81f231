"""Where the fields of a frame stand that scapy has dissected: to the bit, in the original bytes.

scapy can only say what it would send. So every field's own parser runs once more over the bytes its layer
was made from, and what it takes away is the field's place: compressed names, odd options, wrong checksums
and cut frames keep their exact bytes. Fields of a layer follow each other without overlap, inside the layer.
"""

from __future__ import annotations

from typing import Any

from scapy.fields import FlagValue
from scapy.layers.dhcp import DHCP
from scapy.layers.inet import IP, TCP, TCPOptions
from scapy.layers.l2 import Ether
from scapy.packet import NoPayload, Packet, Padding, Raw

from capture.fields import Field, Kind, printable
from capture.vnet import layer_for

DEPTH = 32  #: layers, and packets within fields within packets
_LIST_MAX = 256  #: packets shown of one list
_TEXT_MAX = 256


def dissect(data: bytes, net_header: bytes = b"") -> tuple[Field, ...]:
    """All layers of an Ethernet frame, the virtio-net header first if there is one."""
    layers: list[Field] = []
    if net_header:
        head = layer_for(len(net_header))(net_header)
        head.remove_payload()
        layers += _layers(head, net_header, 0, 0, "vnet")
    if data:
        packet: Packet
        try:
            packet = Ether(data)
        except Exception:  # scapy raises whatever its parsers do, for the first layer only
            packet = Raw(data)
        layers += _layers(packet, data, 0, 0, "layer")
    return tuple(layers)


def _layers(packet: Packet, data: bytes, base: int, depth: int, kind: Kind) -> list[Field]:
    """The layers from `packet` on, which was made from `data`; `base` is where that begins."""
    made: list[Field] = []
    at = 0
    layer = packet
    while not isinstance(layer, NoPayload) and at <= len(data):
        rest = data[at:]
        if len(made) + depth >= DEPTH:
            made.append(Field("more", f"more than {DEPTH} layers", (base + at) * 8, len(rest) * 8, "note"))
            break
        fields = _fields(layer, rest, base + at, depth, "vnet" if kind == "vnet" else "field")
        why = _contradiction(layer)
        size = min(20, len(rest)) if why else _header_size(layer, rest, fields, base + at)
        first, last = (base + at) * 8, (base + at + size) * 8
        text = f"{size} bytes" if isinstance(layer, Raw | Padding) else _summary(layer)
        made.append(Field(_title(layer), text, first, last - first, kind, _tidy(fields, first, last, kind)))
        at += size
        layer = layer.payload
        if why:
            made.append(Field("malformed", f"{why}; read no further", last, (len(data) - at) * 8, "note"))
            break
    return made


def _contradiction(layer: Packet) -> str:
    """Why nothing behind this header can be believed: scapy would read on from somewhere."""
    if isinstance(layer, IP) and (layer.ihl or 0) < 5:
        return f"IP header of {(layer.ihl or 0) * 4} bytes"
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
            children = _tcp_options(data[here:stop], base + here)
        elif isinstance(layer, DHCP):
            children = _dhcp_options(layer, desc, data[here:stop], base + here)
        elif packets := [item for item in _listed(value) if isinstance(item, Packet)]:
            children = _inside(packets, data[here:stop], data[here:], base + here, depth + 1)
        named = printable(", ".join(child.name for child in children), 80)
        text = named or _value(layer, desc, value)
        made.append(Field(printable(desc.name, 64), text, base * 8 + start, used, kind, children))
    return made


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
        whole = (start, stop) == (field.bit_start, field.bit_start + field.bit_length)
        inner = field.children if whole else _tidy(list(field.children), start, stop, kind)
        made.append(Field(field.name, field.text, start, stop - start, field.kind, inner))
        at = stop
    if made and at < last:
        made.append(_gap(at, last, kind))
    return tuple(made)


def _gap(start: int, stop: int, kind: Kind) -> Field:
    bits = stop - start
    text = f"{bits // 8} bytes" if bits % 8 == 0 else f"{bits} bits"
    return Field("not dissected", text, start, bits, "vnet" if kind == "vnet" else "field")


def _tcp_options(data: bytes, base: int) -> tuple[Field, ...]:
    made, at = [], 0
    while at < len(data):
        kind = data[at]
        size = 1 if kind < 2 else max(2, data[at + 1] if at + 1 < len(data) else 2)
        size = min(size, len(data) - at)
        name = str(TCPOptions[0].get(kind, (f"kind {kind}",))[0])
        body = data[at + 2 : at + size]
        text = str(int.from_bytes(body)) if kind in (2, 3) and body else body.hex(" ")
        if kind == 8 and len(body) == 8:
            text = f"{int.from_bytes(body[:4])} echo {int.from_bytes(body[4:])}"
        made.append(Field(name, text, (base + at) * 8, size * 8))
        at += size
        if kind == 0 and at < len(data):
            made.append(Field("padding", data[at:].hex(" "), (base + at) * 8, (len(data) - at) * 8))
            break
    return tuple(made)


def _dhcp_options(layer: Packet, desc: Any, data: bytes, base: int) -> tuple[Field, ...]:
    made, at = [], 0
    while at < len(data):
        size = 1 if data[at] in (0, 255) else 2 + data[at + 1] if at + 1 < len(data) else 1
        option = data[at : at + size]
        try:
            (parsed,) = desc.m2i(layer, option)
        except Exception:  # one option that scapy cannot parse hides none of the others
            parsed = (f"option {data[at]}", option[2:].hex(" "))
        name, *values = parsed if isinstance(parsed, tuple) else (parsed,)
        text = printable(", ".join(map(_plain, values)), _TEXT_MAX)
        made.append(Field(printable(str(name), 64), text, (base + at) * 8, len(option) * 8))
        at += size
        if option[:1] == b"\xff":
            break
    return tuple(made)


def _plain(value: Any) -> str:
    """Bytes as the text that they are, or in hexadecimal; anything else as Python shows it."""
    if not isinstance(value, bytes):
        return str(value)
    return value.decode() if value.isascii() and value.decode().isprintable() else value.hex(" ")


def _bits(left: Any) -> int:
    """Bits in scapy's idea of what is left: bytes, or (bytes, bits already taken)."""
    return 8 * len(left[0]) - int(left[1]) if isinstance(left, tuple) else 8 * len(left)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _title(layer: Packet) -> str:
    return printable(str(layer.name), 64)


def _summary(layer: Packet) -> str:
    try:
        text = layer.mysummary()
    except Exception:  # a summary is made from fields that a cut frame does not have
        return ""
    if isinstance(text, tuple):
        text = text[0]
    return printable(str(text), _TEXT_MAX)


def _value(layer: Packet, desc: Any, value: Any) -> str:
    if isinstance(value, bytes) and isinstance(layer, Raw | Padding):
        return printable(value, _TEXT_MAX)
    try:
        text = desc.i2repr(layer, value)
    except Exception:  # shown as Python shows it
        text = repr(value)
    if isinstance(value, bytes) and text == repr(value):
        text = _plain(value)
    elif isinstance(value, list) and value and all(isinstance(item, bytes) for item in value):
        text = ", ".join(map(_plain, value))
    text = printable(text if isinstance(text, str) else repr(text), _TEXT_MAX)
    if isinstance(value, FlagValue):
        return f"{text or 'none'} ({hex(int(value))})"
    if isinstance(value, int) and text and not text[0].isdigit() and text != str(value):
        text += f" ({hex(value) if type(desc).__name__.startswith('X') else value})"
    return text
