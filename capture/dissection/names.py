"""What a field is called, which display filter names it, and how its number reads.

scapy names fields for people who type packets. A reader of packets wants words, units, and the name that
Wireshark's display filter has for the same bits: `nametable` and `controltable` give them. Where a layer is
in neither its fields keep scapy's names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from capture.dissection import controltable, nametable
from capture.dissection.nametable import TITLES
from capture.fields import printable

Show = Callable[[int], str]


class Name(NamedTuple):
    """A field's words, its display filter ("" if there is none), and its number as text (None: scapy's)."""

    label: str
    filter: str = ""
    show: Show | None = None


class Bits(NamedTuple):
    """A part of a field: `start` bits after its first."""

    start: int
    length: int
    name: Name


def _seconds(value: int) -> str:
    if value == 0xFFFFFFFF:
        return "for ever (0xffffffff)"
    hours, rest = divmod(value, 3600)
    if value < 120:
        return f"{value} s"
    return f"{value} s ({hours} h {rest // 60} min)" if hours else f"{value} s ({rest // 60} min)"


_SHOWS: dict[str, Show] = {
    "dec": str,
    "hex": hex,
    "bytes": lambda value: "1 byte" if value == 1 else f"{value} bytes",
    "words": lambda value: f"{value * 4} bytes",
    "eights": lambda value: f"{value * 8} bytes ({value})",
    "extension": lambda value: f"{value * 8 + 8} bytes ({value})",
    "at8": lambda value: f"{value * 8} bytes ({value})" if value else "0",
    "s": _seconds,
    "ms": lambda value: f"{value} ms" if value else "0 (unspecified)",
    "tens": lambda value: f"{value * 10} us ({value})",
    "tenths": lambda value: f"{value / 10:g} s ({value})",
    "s256": lambda value: f"{value / 256:g} s",
    "power": lambda value: f"{2**value if value < 128 else 2.0 ** (value - 256):g} s ({value})",
    "set": lambda value: "set" if value else "not set",
    "yes": lambda value: "yes" if value else "no",
}


def _lines(table: str) -> list[list[str]]:
    return [line.split(None, 3) for line in table.strip().splitlines()]


_NAMES = {
    (layer, field): Name(label, "" if filter_ == "-" else filter_, _SHOWS.get(how))
    for layer, table in (nametable.FIELDS | controltable.FIELDS).items()
    for field, filter_, how, label in _lines(table)
}
_BITS = {
    key: tuple(
        Bits(int(start), int(length), Name(words, "" if filter_ == "-" else filter_, _SHOWS[how]))
        for start, length, filter_, how, words in (line.split(None, 4) for line in table.strip().splitlines())
    )
    for key, table in (nametable.PARTS | controltable.PARTS).items()
}


_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(1024)
def title_of(kind: str, title: str) -> str:
    """What a layer is called that scapy made of the class `kind` and gives that title."""
    if kind in TITLES:
        return TITLES[kind]
    for start, words in (("LLDPDU", "LLDP"), ("SCTPChunk", "SCTP")):
        if title.startswith(start):
            return printable(f"{words} {_WORDS.sub(' ', title.removeprefix(start)).lower()}", 64)
    return printable(title, 64)


def named(layer: str, field: str) -> Name:
    """What `field` of the class called `layer` is called."""
    return _NAMES.get((layer, field)) or Name(field)


def parts_named(layer: str, field: str) -> tuple[Bits, ...]:
    """The parts of `field` of the class called `layer`."""
    return _BITS.get((layer, field), ())


@lru_cache(4096)
def name_of(classes: tuple[str, ...], field: str) -> Name:
    """What `field` of scapy's class is called; `classes` are its name and those of its bases."""
    for one in classes:
        if found := _NAMES.get((one, field)):
            return found
    return Name(printable(field.replace("_", " ").strip(), 64))


@lru_cache(4096)
def parts_of(classes: tuple[str, ...], field: str) -> tuple[Bits, ...]:
    """The parts of a field, in order; () where it is read as a whole."""
    for one in classes:
        if found := _BITS.get((one, field)):
            return found
    return ()
