"""Who is at the other end of a vhost-user connection, and what was agreed on: one moment of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from dataplane.vhost.payload import Region
from dataplane.vhost.talk import Said


@dataclass(frozen=True, slots=True)
class RingSetup:
    """One ring as it was set up. Addresses are of the front-end's process."""

    index: int
    size: int  #: 0: not given
    base: int  #: where it was told to begin
    state: str  #: "not set up", "stopped", "started"
    enabled: bool
    kick: bool  #: whether there is an eventfd for it
    call: bool
    err: bool
    desc: int
    avail: int
    used: int
    kicks: int | None = None  #: that stand in its eventfd, not taken yet; None: not to be known
    calls: int | None = None


class Saying(Protocol):
    """Where it is kept what was said."""

    def since(self, number: int = 0) -> tuple[Said, ...]: ...


@runtime_checkable
class Spoken(Protocol):
    """A source whose rings were set up in a conversation."""

    @property
    def peer(self) -> Peer: ...
    @property
    def talk(self) -> Saying: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """`where` is the socket, and how we come to it; `why` what ended the last connection."""

    connected: bool
    where: str
    why: str = ""
    features: int = 0
    protocol_features: int = 0
    regions: tuple[Region, ...] = field(default=())
    rings: tuple[RingSetup, ...] = field(default=())
