"""The row that the layers of a frame write together, and how addresses read.

Every layer overwrites what it knows better: a row is [protocol, source, destination, info, *wrappings]
(tags and tunnels that were entered), and `layer(row, data, at, end)` reads data[at:end]. Reading past the end
raises, which `capture.columns.summary` catches once: no bytes whatever make it fail.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from socket import AF_INET6, inet_ntoa, inet_ntop

Layer = Callable[[list[str], bytes, int, int], None]
WRAPPINGS = 16  #: tags and tunnels that are looked into


class Short(Exception):
    """The bytes end inside a header."""


def enter(row: list[str], wrapping: str) -> None:
    """Go on inside a tag or a tunnel. ValueError when there are too many."""
    if len(row) >= 4 + WRAPPINGS:
        raise ValueError(f"more than {WRAPPINGS} tags and tunnels")
    row.append(wrapping)


@lru_cache(4096)
def mac(raw: bytes) -> str:
    return raw.hex(":")


@lru_cache(4096)
def ip4(raw: bytes) -> str:
    if len(raw) < 4:
        raise Short
    return inet_ntoa(raw)


@lru_cache(4096)
def ip6(raw: bytes) -> str:
    if len(raw) < 16:
        raise Short
    return inet_ntop(AF_INET6, raw)
