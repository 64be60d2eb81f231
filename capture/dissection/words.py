"""What a layer and a field of scapy say, in words: titles, one line of a layer, and values as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from scapy.fields import FlagValue
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Padding, Raw

from capture.dissection.names import Name, title_of
from capture.dissection.options import text_or_hex
from capture.fields import printable

_TEXT_MAX = 256


def title(layer: Packet) -> str:
    return title_of(type(layer).__name__, str(layer.name))


def summary(layer: Packet) -> str:
    known = _SUMMARIES.get(type(layer).__name__)
    try:
        if known:  # the most frequent ones, without scapy's templates
            return known(layer)
        text = layer.mysummary()
    except Exception:  # a summary is made from fields that a cut frame does not have
        return ""
    if isinstance(text, tuple):
        text = text[0]
    known_as = str(layer.name)
    words = printable(plain(str(text)), _TEXT_MAX)
    return words.removeprefix(known_as).lstrip(" :,") if words.startswith(known_as) else words


def _fragment(layer: Any) -> str:
    """Which bytes of a packet a fragment has, and whether there are more."""
    if isinstance(layer, IP):
        place, more, size = (layer.frag or 0) * 8, bool(layer.flags.MF), (layer.len or 0) - layer.ihl * 4
    else:
        below = layer.underlayer
        while isinstance(below, Packet) and not isinstance(below, IPv6):
            below = below.underlayer
        place, more, size = layer.offset * 8, bool(layer.m), 0
        if below is not None:
            end = len(below.original) - len(layer.original) - 40 + 8
            size = (below.plen or 0) - end
    if not place and not more:
        return ""
    bytes_ = f"bytes {place} to {place + size - 1}" if size > 0 else f"from byte {place}"
    return f"fragment, {bytes_}, {'more follow' if more else 'the last'}, "


def value_text(layer: Packet, desc: Any, value: Any, name: Name) -> str:
    if isinstance(value, bytes) and isinstance(layer, Raw | Padding):
        return printable(value, _TEXT_MAX)
    if name.show is not None and isinstance(value, int):
        return name.show(int(value))
    if isinstance(value, bytes):
        return printable(text_or_hex(value), _TEXT_MAX)
    if isinstance(value, list) and value and all(isinstance(item, bytes) for item in value):
        return printable(", ".join(map(text_or_hex, value)), _TEXT_MAX)
    try:
        text = desc.i2repr(layer, value)
    except Exception:  # shown as Python shows it
        text = repr(value)
    text = printable(plain(text if isinstance(text, str) else repr(text)), _TEXT_MAX)
    if isinstance(value, FlagValue):
        return f"{text or 'none'} ({hex(int(value))})"
    if (
        isinstance(value, int)
        and text
        and text not in (str(value), hex(value))
        and not _NUMBERED.search(text)
    ):
        text += f" ({hex(value) if type(desc).__name__.startswith('X') else value})"
    return text


_SUMMARIES: dict[str, Callable[[Any], str]] = {
    "Ether": lambda layer: f"{layer.src} > {layer.dst}",
    "IP": lambda layer: f"{_fragment(layer)}{layer.src} > {layer.dst}",
    "IPv6ExtHdrFragment": lambda layer: _fragment(layer).rstrip(", "),
    "IPv6": lambda layer: f"{layer.src} > {layer.dst}",
    "TCP": lambda layer: f"{layer.sport} > {layer.dport} {str(layer.flags) or 'no flags'}",
    "UDP": lambda layer: f"{layer.sport} > {layer.dport}",
}

_BYTES = re.compile(r"""\bb(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""")
_NUMBERED = re.compile(r"^-?\d+(\.\d+)?$|\((?:0x[0-9a-f]+|\d+)\)$")


def plain(text: str) -> str:
    """Text of scapy's without the marks that Python puts round bytes and strings."""
    text = _BYTES.sub(lambda found: found[1] or found[2] or "", text)
    return text[1:-1] if len(text) > 1 and text[0] + text[-1] in ("''", "[]") else text
