"""A dissected frame as plain data: fields with their exact bits, and how they travel as JSON.

Free of scapy: the process that dissects and the one that shows have only this module in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["layer", "field", "vnet", "note"]
_KINDS: dict[str, Kind] = {"layer": "layer", "field": "field", "vnet": "vnet", "note": "note"}


@dataclass(frozen=True, slots=True)
class Field:
    """A layer or a field and where it stands.

    Bits are counted from the first bit of the frame; for kind `vnet` (the virtio-net header and its
    fields) from the first bit of that header. `text` is the value for a reader: printable ASCII.
    A `note` is a remark; it has no bits of its own. `filter` is the display filter field that names the
    same bits, "" if none does.
    """

    name: str
    text: str
    bit_start: int
    bit_length: int
    kind: Kind = "field"
    children: tuple[Field, ...] = ()
    filter: str = ""

    @property
    def byte_start(self) -> int:
        return self.bit_start >> 3

    @property
    def byte_stop(self) -> int:
        """One past the last byte that holds one of its bits."""
        return (self.bit_start + self.bit_length + 7) >> 3


@dataclass(frozen=True, slots=True)
class Tree:
    """All layers of one frame, outermost first. `reason` says why scapy did not make it; "" if it did."""

    number: int
    layers: tuple[Field, ...]
    reason: str = ""


def walk(fields: tuple[Field, ...], depth: int = 0) -> Iterator[tuple[int, Field]]:
    """Every field with its depth, in the order in which a tree shows them."""
    for field in fields:
        yield depth, field
        yield from walk(field.children, depth + 1)


def field_at(layers: tuple[Field, ...], bit: int, vnet: bool = False) -> Field | None:
    """The smallest field over one bit of the frame, or of the virtio-net header."""
    best: Field | None = None
    for _, field in walk(layers):
        inside = field.bit_start <= bit < field.bit_start + field.bit_length
        if (
            inside
            and (field.kind == "vnet") == vnet
            and (best is None or field.bit_length <= best.bit_length)
        ):
            best = field
    return best


def to_json(field: Field) -> list[Any]:
    """A field as nested lists."""
    return [field.name, field.text, field.bit_start, field.bit_length, field.kind,
            [to_json(child) for child in field.children], field.filter]  # fmt: skip


def from_json(value: Any, depth: int = 0) -> Field:
    """The field that `to_json` made; ValueError where it has another shape."""
    match value:
        case [str(name), str(text), int(start), int(length), str(kind), list(children), str(filter_)]:
            if start >= 0 and length >= 0 and depth < 100 and kind in _KINDS:
                inner = tuple(from_json(child, depth + 1) for child in children)
                return Field(
                    printable(name), printable(text), start, length, _KINDS[kind], inner, printable(filter_)
                )
    raise ValueError("not a field")


_TABLE = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


def printable(text: str | bytes, limit: int = 4096) -> str:
    """Printable ASCII only, one character for each that is not; cut at `limit`."""
    raw = text.encode("ascii", "replace") if isinstance(text, str) else text
    return raw[:limit].translate(_TABLE).decode("ascii")
