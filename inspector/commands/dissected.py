"""Frames of a file as text: a line like tshark's, a tree of all fields, an object of JSON.

JSON keys come in the order written here, always all of them; times are integer nanoseconds since the Unix
epoch, waits integer nanoseconds, null where not known:

    number time length captured interface protocol source destination info
    ring: null, or {queue direction head position descriptors buffers indirect fixed
                    available used collected latency pickup kick call}
    vnet: null, or {flags gso_type hdr_len gso_size csum_start csum_offset num_buffers}
    layers (with --tree): [{name text kind filter bits[start, length] bytes[start, stop] children[]}]
    reason (with --tree): why scapy did not make the layers, "" where it did

`filter` is the name of a field in a display filter, "" where it has none. Bits and bytes count from the first
of the frame; those of kind `vnet` from the first of the net header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from capture.columns import Summary, summary
from capture.fields import Field, Tree
from capture.frame import (
    CALL_QUIET,
    CALL_SENT,
    DIRECTION_NAMES,
    FIXED,
    INDIRECT,
    KICK_QUIET,
    KICK_SENT,
    LATE,
    Frame,
)
from capture.pcap import ETHERNET
from capture.pcapng import Interface
from inspector.numbers import duration
from inspector.sanitise import clean

Json = dict[str, Any]
_VNET = ("flags", "gso_type", "hdr_len", "gso_size", "csum_start", "csum_offset", "num_buffers")
_KICKS = {KICK_SENT: "sent", KICK_QUIET: "quiet"}
_CALLS = {CALL_SENT: "sent", CALL_QUIET: "quiet"}


def columns(data: bytes, link_type: int) -> Summary:
    """What a line says of a frame; of one that is not Ethernet only what that is."""
    if link_type == ETHERNET:
        return summary(data)
    return Summary(f"link type {link_type}", "", "", f"{len(data)} bytes, not Ethernet: not dissected")


def line(number: int, since: int, data: bytes, length: int, link_type: int) -> str:
    """One frame on one line. since: nanoseconds after the first of the file."""
    protocol, source, destination, info = columns(data, link_type)
    sign, since = ("-", -since) if since < 0 else ("", since)
    when = f"{sign}{since // 1_000_000_000}.{since % 1_000_000_000:09d}"
    ends = f"{source:>15} → {destination:<15}" if source or destination else " " * 33
    text = f"{number:5} {when:>13} {ends} {protocol:<8} {length:5} {info}"
    plain = text.replace("→", ">")  # the one sign of ours that is not ASCII
    return text if plain.isascii() and plain.isprintable() else clean(text)


def document(frame: Frame, stages: Any, interface: Interface, tree: Tree | None) -> Json:
    """One frame as plain data; its shape is in this module's docstring."""
    protocol, source, destination, info = columns(frame.data, interface.link_type)
    made: Json = {
        "number": frame.number,
        "time": frame.time,
        "length": frame.length,
        "captured": len(frame.data),
        "interface": clean(interface.name),
        "protocol": protocol,
        "source": source,
        "destination": destination,
        "info": info,
        "ring": _ring(frame, stages) if frame.descriptors else None,
        "vnet": _vnet(frame.net_header),
    }
    if tree is not None:
        made["layers"] = [_layer(layer) for layer in tree.layers]
        made["reason"] = clean(tree.reason)
    return made


def _ring(frame: Frame, stages: Any) -> Json:
    available, used, collected = (int(stages[name]) for name in ("available", "used", "collected"))
    notices = int(stages["notices"])
    return {
        "queue": frame.origin[0],
        "direction": DIRECTION_NAMES[frame.direction] if frame.direction < len(DIRECTION_NAMES) else None,
        "head": frame.head,
        "position": frame.origin[1],
        "descriptors": frame.descriptors,
        "buffers": frame.buffers,
        "indirect": bool(frame.flags & INDIRECT),
        "fixed": bool(frame.flags & FIXED),
        "late": bool(frame.flags & LATE),
        "available": available or None,
        "used": used or None,
        "collected": collected or None,
        "latency": used - available if used and available else None,
        "pickup": collected - used if collected and used else None,
        "kick": next((word for bit, word in _KICKS.items() if notices & bit), None),
        "call": next((word for bit, word in _CALLS.items() if notices & bit), None),
    }


def _vnet(header: bytes) -> Json | None:
    if len(header) < 10:
        return None
    values = struct.unpack("<BBHHHHH", header[:12].ljust(12, b"\0"))
    return dict(zip(_VNET, values, strict=True)) | ({} if len(header) >= 12 else {"num_buffers": None})


def _layer(field: Field) -> Json:
    return {
        "name": clean(field.name),
        "text": clean(field.text),
        "kind": field.kind,
        "filter": field.filter,
        "bits": [field.bit_start, field.bit_length],
        "bytes": [field.byte_start, field.byte_stop],
        "children": [_layer(child) for child in field.children],
    }


def tree_lines(frame: Frame, stages: Any, interface: Interface, tree: Tree) -> Iterator[str]:
    """One frame with all its layers, a field a line, four spaces a level, an empty line at the end."""
    cut = f", {len(frame.data)} captured" if len(frame.data) != frame.length else ""
    name = f", interface {clean(interface.name)}" if interface.name else ""
    yield f"Frame {frame.number}: {frame.length} bytes{cut}{name}"
    moment = datetime.fromtimestamp(frame.time // 1_000_000_000, UTC)
    yield f"    time: {moment:%Y-%m-%d %H:%M:%S}.{frame.time % 1_000_000_000:09d} UTC"
    if frame.descriptors:
        ring = _ring(frame, stages)
        yield f"Ring: queue {ring['queue']}, {ring['direction'] or 'direction not told'}, head {ring['head']}"
        more = f" and {frame.buffers - 1} more" if frame.buffers > 1 else ""
        yield f"    buffer: {ring['position']}{more}"
        kind = " indirect" if ring["indirect"] else " fixed" if ring["fixed"] else ""
        yield f"    chain: {frame.descriptors}{kind} descriptor{'s' if frame.descriptors != 1 else ''}"
        for key, words in (("latency", "available to used"), ("pickup", "used to collected")):
            if ring[key] is not None:
                yield f"    {key}: {duration(ring[key])} from {words}"
        for key in ("kick", "call"):
            if ring[key] is not None:
                yield f"    {key}: {'sent' if ring[key] == 'sent' else 'not wanted, not sent'}"
    yield from _branch(tree.layers, 0)
    if tree.reason:
        yield f"({'headers only' if tree.layers else 'not dissected'}: {clean(tree.reason)})"
    yield ""


def _branch(fields: Sequence[Field], depth: int) -> Iterator[str]:
    for field in fields:
        text = f": {clean(field.text)}" if field.text else ""
        yield "    " * depth + clean(field.name) + text
        yield from _branch(field.children, depth + 1)
