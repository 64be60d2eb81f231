"""Columns that take more than reading a number at its place: payloads, TCP options, DNS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from capture.batch.column import Column
from capture.batch.walk import Layers, heads, join, word
from capture.frame import Array

if TYPE_CHECKING:
    from capture.batch import Batch

_OPTIONS = 40  #: bytes of TCP options, at most
_RECORDS = 64  #: questions and records of a DNS message that are looked at
_LABELS = 128  #: parts of a DNS name
_STEPS = 1024  #: parts of all names of a message


def _columns(layers: Layers, at: Array, end: Array) -> Column:
    """Bytes from `at` to `end`, where there are any."""
    some = end > at
    return Column(layers.frames[some], at[some], end[some])


def _ip_version(batch: Batch) -> Column:
    layers = join([batch.walk.layers("ip"), batch.walk.layers("ipv6")])
    return Column(layers.frames, (batch.walk.data[layers.at] >> 4).astype(np.int64))


def _ip_header(batch: Batch) -> Column:
    layers = batch.walk.layers("ip_header")
    return Column(layers.frames, (batch.walk.data[layers.at] & 15).astype(np.int64) * 4)


def _ip_length(batch: Batch) -> Column:
    layers = batch.walk.layers("ip_length")
    layers = layers.take(layers.end - layers.at >= 4)
    length = word(heads(batch.walk.data, layers.at + 2, 2), 0)
    return Column(layers.frames, np.where(length == 0, layers.stop - layers.at, length))


def _tcp_size(batch: Batch, layers: Layers) -> Array:
    """The bytes of each TCP header, as it says."""
    return np.asarray((batch.walk.data[layers.at + 12] >> 4).astype(np.int64) * 4)


def _tcp_header(batch: Batch) -> Column:
    layers = batch.walk.layers("tcp_header")
    return Column(layers.frames, _tcp_size(batch, layers))


def _sound_tcp(batch: Batch) -> tuple[Layers, Array]:
    layers = batch.walk.layers("tcp_body")
    return layers, _tcp_size(batch, layers)


def _tcp_length(batch: Batch) -> Column:
    layers = batch.walk.layers("tcp_header", quoted=False)
    length = layers.stop - layers.at - _tcp_size(batch, layers)
    known = length >= 0
    return Column(layers.frames[known], length[known])


def _tcp_payload(batch: Batch) -> Column:
    layers, size = _sound_tcp(batch)
    return _columns(layers, layers.at + size, layers.end)


def _tcp_options(batch: Batch) -> Column:
    layers, size = _sound_tcp(batch)
    return _columns(layers, layers.at + 20, np.minimum(layers.at + size, layers.end))


def _udp_payload(batch: Batch) -> Column:
    layers = batch.walk.layers("udp_body")
    return _columns(layers, layers.at + 8, layers.end)


def _option(kind: int, length: int) -> Callable[[Batch], Column]:
    """The whole of every TCP option of that kind and length."""

    def column(batch: Batch) -> Column:
        options = batch.column("tcp.options")
        data = batch.walk.data
        frames, at, stop = options.frames, options.values, options.stops
        assert stop is not None
        found: list[tuple[Array, Array]] = []
        for _ in range(_OPTIONS):
            going = at < stop
            frames, at, stop = frames[going], at[going], stop[going]
            if not len(at):
                break
            kinds = data[at]
            sized = (kinds > 1) & (at + 1 < stop)
            size = np.where(kinds == 1, 1, 1 << 20)
            size[sized] = data[at[sized] + 1]
            size[sized & (size < 2)] = 1 << 20
            hit = (kinds == kind) & (size == length) & (at + length <= stop)
            found.append((frames[hit], at[hit]))
            at = at + size
        if not found:
            return Column(frames[:0], at[:0], at[:0])
        starts = np.concatenate([part[1] for part in found])
        return Column(np.concatenate([part[0] for part in found]), starts, starts + length)

    return column


def _inside(whole: Callable[[Batch], Column], offset: int, size: int) -> Callable[[Batch], Column]:
    """A number within those bytes."""

    def column(batch: Batch) -> Column:
        found = whole(batch)
        return Column(found.frames, word(heads(batch.walk.data, found.values + offset, size), 0, size))

    return column


Answers = dict[str, list[tuple[int, object]]]


def answers(batch: Batch) -> Answers:
    """What the DNS messages of the block say, read one by one: (frame, value) by field."""
    found: Answers = {}
    layers = batch.walk.layers("dns_message")
    view = batch.block.data
    for frame, at, end in zip(layers.frames.tolist(), layers.at.tolist(), layers.end.tolist(), strict=True):
        for name, value in _message(bytes(view[at:end])):
            found.setdefault(name, []).append((frame, value))
    return found


def _message(b: bytes) -> Iterator[tuple[str, object]]:
    """(field, value) for all that a message holds, as far as it can be read."""
    if len(b) < 12:
        return
    counts = [b[at] << 8 | b[at + 1] for at in (4, 6, 8, 10)]
    at, left, budget = 12, _RECORDS, [_STEPS]
    for _ in range(min(counts[0], left)):
        name, at = _name(b, at, budget)
        if name is None:
            return
        yield "dns.qry.name", name
        if at + 2 > len(b):
            return
        yield "dns.qry.type", b[at] << 8 | b[at + 1]
        if at + 4 > len(b):
            return
        yield "dns.qry.class", b[at + 2] << 8 | b[at + 3]
        at += 4
    for _ in range(min(sum(counts[1:]), left)):
        name, at = _name(b, at, budget)
        if name is None:
            return
        if at + 10 > len(b):
            return
        yield "dns.resp.name", name
        kind, size = b[at] << 8 | b[at + 1], b[at + 8] << 8 | b[at + 9]
        yield "dns.resp.type", kind
        if kind != 41:
            yield "dns.resp.ttl", int.from_bytes(b[at + 4 : at + 8])
        at += 10
        if at + size > len(b):
            return
        if kind == 1 and size == 4:
            yield "dns.a", int.from_bytes(b[at : at + 4])
        elif kind == 28 and size == 16:
            yield "dns.aaaa", b[at : at + 16]
        elif kind == 5:
            alias, _ = _name(b, at, budget)
            if alias is not None:
                yield "dns.cname", alias
        at += size


def _name(b: bytes, at: int, budget: list[int]) -> tuple[str | None, int]:
    """The name at `at` and where it ends (RFC 1035, 4.1.4); None where there is no sound one.

    budget: how many parts may still be read of this message; it is counted down.
    """
    labels: list[str] = []
    after, lowest, total = 0, at, 0
    for _ in range(_LABELS):
        budget[0] -= 1
        if at >= len(b) or budget[0] < 0:
            break
        size = b[at]
        if size == 0:
            return ".".join(labels) or "<Root>", after or at + 1
        if size >= 0xC0:
            if at + 1 >= len(b):
                break
            target = (size & 0x3F) << 8 | b[at + 1]
            if target >= lowest:
                return "<Name contains a pointer that loops>", after or at + 2
            after = after or at + 2
            at = lowest = target
        elif size < 0x40 and at + 1 + size <= len(b):
            total += size + 1
            if total > 255:
                break
            labels.append(b[at + 1 : at + 1 + size].decode("utf-8", "replace"))
            at += 1 + size
        else:
            break
    return None, 0


def _said(name: str, dtype: str) -> Callable[[Batch], Column]:
    """A column of what DNS messages say."""

    def column(batch: Batch) -> Column:
        found = batch.answers.get(name, [])
        frames = np.array([frame for frame, _ in found], np.int64)
        values = np.empty(len(found), dtype)
        values[:] = [value for _, value in found]
        return Column(frames, values)

    return column


_mss, _wscale, _stamp = _option(2, 4), _option(3, 3), _option(8, 10)

_FIXED = {"eth": 14, "vlan": 4, "ieee8021ad": 4, "mpls": 4, "llc": 3, "ipv6": 40, "udp": 8, "vxlan": 8}


def headers(batch: Batch, name: str) -> Column:
    """The header of every layer of a protocol, which is what slices count in; the whole of those without."""
    layers, data = batch.walk.layers(name), batch.walk.data

    def byte(offset: int) -> Array:
        known = layers.at + offset < layers.end
        made = np.zeros(len(known), np.int64)
        made[known] = data[layers.at[known] + offset]
        return made

    size: Array | int
    if name in _FIXED:
        size = _FIXED[name]
    elif name == "ip":
        size = (byte(0) & 15) * 4
    elif name == "tcp":
        size = (byte(12) >> 4) * 4
        size = np.where(size < 20, layers.end - layers.at, size)
    elif name == "arp":
        size = 8 + 2 * (byte(4) + byte(5))
    elif name == "gre":
        flags = byte(0) >> 4
        size = 4 + 4 * ((flags & 12 != 0) + (flags >> 1 & 1) + (flags & 1))
    elif name == "geneve":
        size = 8 + (byte(0) & 63) * 4
    elif name == "ah":
        size = 8 + byte(1) * 4
    elif name in ("hopopts", "routing", "dstopts"):
        size = 8 + byte(1) * 8
    elif name == "fraghdr":
        size = 8
    else:
        size = layers.end - layers.at
    return Column(layers.frames, layers.at, np.minimum(layers.at + size, layers.end))


#: How each of these fields is had from a batch.
COLUMNS: dict[str, Callable[[Batch], Column]] = {
    "ip.version": _ip_version,
    "ip.hdr_len": _ip_header,
    "ip.len": _ip_length,
    "tcp.hdr_len": _tcp_header,
    "tcp.len": _tcp_length,
    "tcp.payload": _tcp_payload,
    "tcp.options": _tcp_options,
    "tcp.options.sack_perm": _option(4, 2),
    "tcp.options.mss_val": _inside(_mss, 2, 2),
    "tcp.options.wscale.shift": _inside(_wscale, 2, 1),
    "tcp.options.timestamp.tsval": _inside(_stamp, 2, 4),
    "tcp.options.timestamp.tsecr": _inside(_stamp, 6, 4),
    "udp.payload": _udp_payload,
    "dns.qry.name": _said("dns.qry.name", "O"),
    "dns.qry.type": _said("dns.qry.type", "i8"),
    "dns.qry.class": _said("dns.qry.class", "i8"),
    "dns.resp.name": _said("dns.resp.name", "O"),
    "dns.resp.type": _said("dns.resp.type", "i8"),
    "dns.resp.ttl": _said("dns.resp.ttl", "i8"),
    "dns.a": _said("dns.a", "i8"),
    "dns.aaaa": _said("dns.aaaa", "S16"),
    "dns.cname": _said("dns.cname", "O"),
}
