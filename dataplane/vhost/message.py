"""vhost-user: every message as one row, and what a row allows.

Who may send it, what it carries, how many file descriptors come with it, whether it is answered, and which
protocol feature it needs: whatever is checked about a message is checked from its row. Both channels are
here: the main one, on which the front-end asks, and the one of SET_BACKEND_REQ_FD, on which the back-end
does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from dataplane.vhost import payload as p

Channel = Literal["frontend", "backend"]  #: who asks
Answer = Literal["none", "always", "ack"]

HEADER = struct.Struct("=III")
VERSION = 1
REPLY, NEED_REPLY = 1 << 2, 1 << 3
BODY_MAX = 4096  #: bytes behind the header: more than any message needs
FDS_MAX = 32  #: file descriptors of one message

PROTOCOL_FEATURES = (
    "MQ", "LOG_SHMFD", "RARP", "REPLY_ACK", "MTU", "BACKEND_REQ", "CROSS_ENDIAN", "CRYPTO_SESSION",
    "PAGEFAULT", "CONFIG", "BACKEND_SEND_FD", "HOST_NOTIFIER", "INFLIGHT_SHMFD", "RESET_DEVICE",
    "INBAND_NOTIFICATIONS", "CONFIGURE_MEM_SLOTS", "STATUS", "XEN_MMAP", "SHARED_OBJECT", "DEVICE_STATE",
    "GET_VRING_BASE_INFLIGHT", "SHMEM",
)  # fmt: skip
#: Bit numbers by name.
PROTOCOL: Mapping[str, int] = MappingProxyType({name: bit for bit, name in enumerate(PROTOCOL_FEATURES)})
F_LOG_ALL, F_PROTOCOL_FEATURES = 26, 30  #: virtio feature bits that belong to vhost-user


def protocol_names(bits: int) -> list[str]:
    """Names of protocol features; of those without a name their bit."""
    known = len(PROTOCOL_FEATURES)
    return [
        PROTOCOL_FEATURES[bit] if bit < known else f"bit {bit}"
        for bit in range(bits.bit_length())
        if bits >> bit & 1
    ]


class Refused(ValueError):
    """A message that cannot be had, with one line that says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One message. `fds` are the fewest and the most that come with a request, `reply_fds` with its
    answer."""

    id: int
    name: str
    channel: Channel
    payload: type[p.Payload]
    answer: Answer = "ack"
    fds: tuple[int, int] = (0, 0)
    reply: type[p.Payload] = p.U64
    reply_fds: tuple[int, int] = (0, 0)
    gate: str = ""  #: a protocol feature
    served: bool = True  #: whether a device of ours takes it


def _front(number: int, name: str, payload: type[p.Payload], answer: Answer = "ack", **more: object) -> Kind:
    return Kind(number, name, "frontend", payload, answer, **more)  # type: ignore[arg-type]


def _back(number: int, name: str, payload: type[p.Payload], answer: Answer = "ack", **more: object) -> Kind:
    return Kind(number, name, "backend", payload, answer, **more)  # type: ignore[arg-type]


_FD, _MAYBE = (1, 1), (0, 1)
_ROWS = (
    _front(1, "GET_FEATURES", p.Empty, "always"),
    _front(2, "SET_FEATURES", p.U64),
    _front(3, "SET_OWNER", p.Empty),
    _front(4, "RESET_OWNER", p.Empty),
    _front(5, "SET_MEM_TABLE", p.MemoryTable, fds=(1, p.REGIONS_MAX)),
    _front(6, "SET_LOG_BASE", p.Log, "always", fds=_FD, reply=p.Raw, gate="LOG_SHMFD"),
    _front(7, "SET_LOG_FD", p.Raw, fds=_MAYBE, served=False),
    _front(8, "SET_VRING_NUM", p.VringState),
    _front(9, "SET_VRING_ADDR", p.VringAddr),
    _front(10, "SET_VRING_BASE", p.VringState),
    _front(11, "GET_VRING_BASE", p.VringState, "always", reply=p.VringState),
    _front(12, "SET_VRING_KICK", p.VringFd, fds=_MAYBE),
    _front(13, "SET_VRING_CALL", p.VringFd, fds=_MAYBE),
    _front(14, "SET_VRING_ERR", p.VringFd, fds=_MAYBE),
    _front(15, "GET_PROTOCOL_FEATURES", p.Empty, "always"),
    _front(16, "SET_PROTOCOL_FEATURES", p.U64),
    _front(17, "GET_QUEUE_NUM", p.Empty, "always", gate="MQ"),
    _front(18, "SET_VRING_ENABLE", p.VringState),
    _front(19, "SEND_RARP", p.U64, gate="RARP"),
    _front(20, "NET_SET_MTU", p.U64, gate="MTU"),
    _front(21, "SET_BACKEND_REQ_FD", p.Empty, fds=_FD, gate="BACKEND_REQ"),
    _front(22, "IOTLB_MSG", p.Iotlb, served=False),
    _front(23, "SET_VRING_ENDIAN", p.VringState, gate="CROSS_ENDIAN", served=False),
    _front(24, "GET_CONFIG", p.Config, "always", reply=p.Config, gate="CONFIG"),
    _front(25, "SET_CONFIG", p.Config, gate="CONFIG"),
    _front(26, "CREATE_CRYPTO_SESSION", p.Raw, "always", reply=p.Raw, gate="CRYPTO_SESSION", served=False),
    _front(27, "CLOSE_CRYPTO_SESSION", p.U64, gate="CRYPTO_SESSION", served=False),
    _front(28, "POSTCOPY_ADVISE", p.Empty, "always", reply=p.Empty, reply_fds=_FD,
           gate="PAGEFAULT", served=False),
    _front(29, "POSTCOPY_LISTEN", p.Empty, gate="PAGEFAULT", served=False),
    _front(30, "POSTCOPY_END", p.Empty, "always", gate="PAGEFAULT", served=False),
    _front(31, "GET_INFLIGHT_FD", p.Inflight, "always", reply=p.Inflight, reply_fds=_FD,
           gate="INFLIGHT_SHMFD"),
    _front(32, "SET_INFLIGHT_FD", p.Inflight, fds=_FD, gate="INFLIGHT_SHMFD"),
    _front(33, "GPU_SET_SOCKET", p.Empty, fds=_FD, served=False),
    _front(34, "RESET_DEVICE", p.Empty, gate="RESET_DEVICE"),
    _front(35, "VRING_KICK", p.VringState, gate="INBAND_NOTIFICATIONS", served=False),
    _front(36, "GET_MAX_MEM_SLOTS", p.Empty, "always", gate="CONFIGURE_MEM_SLOTS"),
    _front(37, "ADD_MEM_REG", p.SingleRegion, fds=_FD, gate="CONFIGURE_MEM_SLOTS"),
    _front(38, "REM_MEM_REG", p.SingleRegion, fds=_MAYBE, gate="CONFIGURE_MEM_SLOTS"),
    _front(39, "SET_STATUS", p.U64, gate="STATUS"),
    _front(40, "GET_STATUS", p.Empty, "always", gate="STATUS"),
    _front(41, "GET_SHARED_OBJECT", p.Raw, "always", reply=p.Raw, reply_fds=_MAYBE,
           gate="SHARED_OBJECT", served=False),
    _front(42, "SET_DEVICE_STATE_FD", p.Transfer, "always", fds=_FD, reply_fds=_MAYBE,
           gate="DEVICE_STATE", served=False),
    _front(43, "CHECK_DEVICE_STATE", p.Empty, "always", gate="DEVICE_STATE", served=False),
    _front(44, "GET_SHMEM_CONFIG", p.Raw, "always", reply=p.Raw, gate="SHMEM", served=False),
    _back(1, "IOTLB_MSG", p.Iotlb),
    _back(2, "CONFIG_CHANGE_MSG", p.Empty, gate="CONFIG"),
    _back(3, "VRING_HOST_NOTIFIER_MSG", p.Area, fds=_MAYBE, gate="HOST_NOTIFIER"),
    _back(4, "VRING_CALL", p.VringState, gate="INBAND_NOTIFICATIONS"),
    _back(5, "VRING_ERR", p.VringState, gate="INBAND_NOTIFICATIONS"),
    _back(6, "SHARED_OBJECT_ADD", p.Raw, gate="SHARED_OBJECT"),
    _back(7, "SHARED_OBJECT_REMOVE", p.Raw, gate="SHARED_OBJECT"),
    _back(8, "SHARED_OBJECT_LOOKUP", p.Raw, answer="always", reply=p.Raw, reply_fds=_MAYBE,
          gate="SHARED_OBJECT"),
    _back(9, "SHMEM_MAP", p.Raw, fds=_FD, gate="SHMEM"),
    _back(10, "SHMEM_UNMAP", p.Raw, gate="SHMEM"),
)  # fmt: skip
KINDS: Mapping[tuple[Channel, int], Kind] = MappingProxyType({(row.channel, row.id): row for row in _ROWS})
NAMES: Mapping[str, Kind] = MappingProxyType(
    {row.name: row for row in reversed(_ROWS)}  # of the two IOTLB_MSG the front-end's
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it stands on the wire. Its file descriptors are its own until they are taken."""

    request: int
    flags: int = VERSION
    body: bytes = b""
    fds: tuple[int, ...] = ()
    channel: Channel = "frontend"
    _left: list[int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_left", list(self.fds))

    @property
    def kind(self) -> Kind | None:
        return KINDS.get((self.channel, self.request))

    @property
    def name(self) -> str:
        return self.kind.name if self.kind is not None else f"message {self.request}"

    @property
    def is_reply(self) -> bool:
        return bool(self.flags & REPLY)

    @property
    def needs_reply(self) -> bool:
        return bool(self.flags & NEED_REPLY)

    def payload(self) -> p.Payload:
        """What it carries; Refused where that cannot be."""
        kind = self.kind
        if kind is None:
            raise Refused(f"there is no {self.name}")
        layout = kind.payload
        if self.is_reply:
            layout = kind.reply if kind.answer == "always" else p.U64
        try:
            return layout.parse(self.body)
        except ValueError as error:
            raise Refused(f"{self.name}: {error}") from None

    def replies_to(self, asked: Message) -> p.Payload:
        """What it answers a request with; Refused, and closed, where it is no answer to that."""
        try:
            kind = asked.kind
            if not self.is_reply or self.needs_reply or self.request != asked.request or kind is None:
                raise Refused(f"{asked.name} was answered by {self.name}, which is no reply to it")
            fewest, most = kind.reply_fds if kind.answer == "always" else (0, 0)
            if not fewest <= len(self.fds) <= most:
                raise Refused(f"the reply to {asked.name} comes with {len(self.fds)} file descriptors")
            return self.payload()
        except Refused:
            self.close()
            raise

    def pack(self) -> bytes:
        return HEADER.pack(self.request, self.flags, len(self.body)) + self.body

    def take(self) -> tuple[int, ...]:
        """Its file descriptors: whoever asks closes them."""
        left, self._left[:] = tuple(self._left), []
        return left

    def close(self) -> None:
        """Closes what was not taken."""
        for fd in self.take():
            os.close(fd)

    def answer(self, carried: p.Payload, fds: tuple[int, ...] = ()) -> Message:
        """The reply to this request."""
        return Message(self.request, VERSION | REPLY, carried.pack(), fds, self.channel)


def request(name: str, carried: p.Payload | None = None, fds: tuple[int, ...] = (), **more: bool) -> Message:
    """A request by name; `need_reply` asks for an acknowledgement."""
    flags = VERSION | (NEED_REPLY if more.get("need_reply") else 0)
    kind = NAMES[name]
    return Message(kind.id, flags, carried.pack() if carried is not None else b"", fds, kind.channel)


@dataclass(frozen=True, slots=True)
class Policy:
    """What one side takes of the other, given what they agreed on. `protocol_features` None: not asked
    yet."""

    channel: Channel
    protocol_features: int = 0
    served_only: bool = True  #: refuse what a device of ours does not serve

    def agreed(self, protocol_features: int) -> Policy:
        return replace(self, protocol_features=protocol_features)

    def check(self, message: Message) -> p.Payload:
        """The payload of a request; Refused with one line where it may not come, or not like this."""
        kind = message.kind
        if kind is None or message.channel != self.channel:
            raise Refused(
                f"there is no request {message.request} of the {self.channel.replace('end', '-end')}"
            )
        if message.is_reply:
            raise Refused(f"{kind.name} comes as a reply, and nothing was asked")
        if kind.gate and not self.protocol_features >> PROTOCOL[kind.gate] & 1:
            raise Refused(f"{kind.name} needs protocol feature {kind.gate}, which was not agreed on")
        if self.served_only and not kind.served:
            raise Refused(f"{kind.name} is not served here")
        carried = message.payload()
        fewest, most = kind.fds
        if isinstance(carried, p.MemoryTable):
            fewest = most = len(carried.regions)
        elif isinstance(carried, p.VringFd):
            fewest = most = int(carried.has_fd)
        if not fewest <= len(message.fds) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise Refused(f"{kind.name} comes with {len(message.fds)} file descriptors, not {wanted}")
        return carried


def describe(message: Message, count: int | None = None) -> str:
    """One line for people: the message, what it carries, and how many file descriptors (`count`)."""
    count = len(message.fds) if count is None else count
    try:
        carried = str(message.payload())
    except Refused as error:
        carried = str(error).removeprefix(f"{message.name}: ")
    fds = f" [{count} fd{'s' * (count > 1)}]" if count else ""
    return f"{message.name}{' reply' * message.is_reply} {carried}".rstrip() + fds
