"""Frames made to hurt whoever reads them: seeded, so that a failure can be had again.

Lifelike frames mutated and cut, towers of tags and tunnels, options and names that point at themselves, and
escape sequences in every text that a frame can carry. Each sequence holds `MARK`, so that its arrival
anywhere is recognised.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from itertools import cycle

from capture.play import load_mix

MARK = 7331

ESCAPES = (
    f"\x1b[{MARK}m".encode(),
    f"\x1b]0;{MARK}\x07".encode(),
    f"\x1b]52;c;{MARK}\x1b\\".encode(),
    f"\x9b{MARK}m".encode("latin1"),
    f"\x9d0;{MARK}\x9c".encode("latin1"),
    f"\x1bP{MARK}q\x1b\\".encode(),
    f"\x1b[{MARK}A\x08\x08\r\n\x0b\x0c\x0e\x7f\x00".encode(),
    f"\u202e{MARK}\u2066\u200f\u2028\ufeff".encode(),
    f"\xc2\x9b{MARK}J\x85".encode("latin1"),
    f"[bold red]{MARK}[/] [@click=app.quit()]x[/]".encode(),
)

Dice = random.Random


def ether(kind: int, payload: bytes) -> bytes:
    return bytes.fromhex("525400000002525400000001") + struct.pack("!H", kind) + payload


def ip4(protocol: int, payload: bytes, options: bytes = b"") -> bytes:
    head = 20 + len(options)
    total = (head + len(payload)) & 0xFFFF
    return struct.pack("!BBHHHBBH4s4s", 0x40 | head // 4, 0, total, 1, 0, 64, protocol, 0,
                       b"\xc0\0\2\1", b"\xc0\0\2\2") + options + payload  # fmt: skip


def ip6(following: int, payload: bytes) -> bytes:
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload) & 0xFFFF, following, 64, b"\xfe\x80" + bytes(14),
                       b"\xff\x02" + bytes(14)) + payload  # fmt: skip


def udp(source: int, target: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", source, target, (8 + len(payload)) & 0xFFFF, 0) + payload


def tcp(source: int, target: int, payload: bytes, options: bytes = b"") -> bytes:
    head = 20 + len(options)
    return (
        struct.pack("!HHIIHHHH", source, target, 1, 2, head // 4 << 12 | 0x18, 512, 0, 0) + options + payload
    )


def _mix(dice: Dice) -> bytes:
    return dice.choice(_frames())


_kept: list[bytes] = []


def _frames() -> list[bytes]:
    if not _kept:
        _kept.extend(frame.data for frame in load_mix() if len(frame.data) <= 1514)
    return _kept


def mutated(dice: Dice) -> bytes:
    data = bytearray(_mix(dice))
    for _ in range(dice.randrange(1, 9)):
        place = (
            dice.randrange(12, len(data)) if dice.random() < 0.3 else dice.randrange(12, min(len(data), 90))
        )
        data[place] = dice.choice((0, 1, 0x7F, 0x80, 0xC0, 0xFF, dice.randrange(256)))
    return bytes(data)


def cut(dice: Dice) -> bytes:
    data = _mix(dice)
    return data[: dice.randrange(min(len(data), 200)) + 1]


def noise(dice: Dice) -> bytes:
    kind = dice.choice(
        (0x800, 0x86DD, 0x806, 0x8100, 0x88A8, 0x88CC, 0x8847, 0x8863, 0x8864, 0x8809, 0x888E, 38, 0)
    )
    return ether(kind, dice.randbytes(dice.randrange(1, 200)))


def tower(dice: Dice) -> bytes:
    """Tags, tunnels and extension headers upon each other."""
    floors = dice.randrange(20, 300)
    match dice.randrange(6):
        case 0:
            return ether(0x8100, b"\0\1\x81\0" * floors)
        case 1:
            packet = b"x"
            for _ in range(min(floors, 70)):
                packet = ip4(4, packet)
            return ether(0x800, packet)
        case 2:
            return ether(0x86DD, ip6(0, b"".join(b"\0\0\1\4\0\0\0\0" for _ in range(floors))))
        case 3:
            packet = ether(0x800, b"")
            for _ in range(min(floors, 28)):
                packet = ether(0x800, ip4(17, udp(1, 4789, b"\x08\0\0\0\0\0\1\0" + packet)))
            return packet
        case 4:
            packet = b"x"
            for _ in range(min(floors, 60)):
                packet = ip4(47, b"\0\0\x08\0" + packet)
            return ether(0x800, packet)
        case _:
            return ether(0x8847, b"\0\0\x10\x40" * floors)


def options(dice: Dice) -> bytes:
    """Options whose lengths are none, or more than there is."""
    kinds, lengths = (0, 1, 2, 5, 7, 8, 68, 131, 148, 255), (0, 1, 2, 3, 255)
    bad = bytes(dice.choice(lengths if n % 2 else kinds) for n in range(40))
    if dice.random() < 0.5:
        return ether(0x800, ip4(6, tcp(80, 1024, b""), bad))
    return ether(0x800, ip4(6, tcp(80, 1024, b"x", bad)))


def bomb(dice: Dice) -> bytes:
    """DNS names that point at themselves, at each other, forward; counts that lie."""
    counts = tuple(dice.choice((0, 1, 3, 300, 65535)) for _ in range(4))
    head = struct.pack("!HHHHHH", 1, dice.choice((0x100, 0x8180)), *counts)
    match dice.randrange(5):
        case 0:
            body = b"\xc0\x0c\0\1\0\1" * 40
        case 1:
            body = b"".join(struct.pack("!H", 0xC000 | 12 + 2 * ((n * 7 + 1) % 200)) for n in range(200))
        case 2:
            body = b"\x3f" + b"a" * 63 + b"".join(b"\x3f" + b"b" * 63 + b"\xc0\x0c" for _ in range(15))
        case 3:
            body = b"\1a\xc0\x0c" * 100 + b"\0"
        case _:
            body = b"\0\0\x10\0\1\0\0\0\0\0\xff" + b"\xff" * dice.randrange(300)
    message = head + body
    port = dice.choice((53, 5353, 5355))
    if port == 53 and dice.random() < 0.3:
        return ether(0x800, ip4(6, tcp(53, 1024, struct.pack("!H", len(message)) + message)))
    return ether(0x800, ip4(17, udp(port, port, message)))


def _escape(dice: Dice) -> bytes:
    return dice.choice(ESCAPES)


def _name(text: bytes) -> bytes:
    return bytes([len(text)]) + text + b"\3com\0"


def text_dns(dice: Dice) -> bytes:
    name = _name(_escape(dice))
    answer = b"\xc0\x0c\0\x10\0\1\0\0\0\x3c" + struct.pack("!H", 41) + b"\x28" + (_escape(dice) * 5)[:40]
    message = struct.pack("!HHHHHH", 1, 0x8180, 1, 1, 0, 0) + name + b"\0\x10\0\1" + answer
    return ether(0x800, ip4(17, udp(dice.choice((53, 5353, 5355, 999)), 4000, message)))


def text_dhcp(dice: Dice) -> bytes:
    boot = bytes([2, 1, 6, 0]) + bytes(24) + bytes(16) + (_escape(dice) * 9)[:64] + (_escape(dice) * 20)[:128]
    said = b"".join(bytes([code, len(text)]) + text for code in (12, 15, 60, 61, 66, 67, 81, 119, 250)
                    for text in (_escape(dice),))  # fmt: skip
    return ether(0x800, ip4(17, udp(67, 68, boot + b"\x63\x82\x53\x63" + said + b"\xff")))


def text_http(dice: Dice) -> bytes:
    lines = [
        b"GET /" + _escape(dice) + b" HTTP/1.1",
        b"Host: " + _escape(dice),
        _escape(dice) + b": x",
        _escape(dice),
    ]
    if dice.random() < 0.5:
        lines[0] = b"HTTP/1.1 200 " + _escape(dice)
    message = b"\r\n".join([*lines, b"", _escape(dice)])
    return ether(0x800, ip4(6, tcp(80, 1024, message)))


def text_ssdp(dice: Dice) -> bytes:
    message = b"NOTIFY * HTTP/1.1\r\nNT: " + _escape(dice) + b"\r\nServer: " + _escape(dice) + b"\r\n\r\n"
    return ether(0x800, ip4(17, udp(1900, 1900, message)))


def text_lldp(dice: Dice) -> bytes:
    units = [(1, b"\7" + _escape(dice)), (2, b"\5" + _escape(dice)), (3, b"\0\x78"), (4, _escape(dice)),
             (5, _escape(dice)), (6, _escape(dice)), (127, b"\0\x12\x0f\1" + _escape(dice)),
             (0, b"")]  # fmt: skip
    return ether(0x88CC, b"".join(struct.pack("!H", kind << 9 | len(text)) + text for kind, text in units))


def text_tls(dice: Dice) -> bytes:
    name = _escape(dice)
    names = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack("!HH", 0, len(names)) + names + struct.pack("!HH", 16, len(name)) + name
    hello = (
        b"\3\3"
        + bytes(32)
        + b"\0"
        + b"\0\2\x13\1"
        + b"\1\0"
        + struct.pack("!H", len(extensions))
        + extensions
    )
    message = b"\1" + len(hello).to_bytes(3) + hello
    return ether(0x800, ip4(6, tcp(1024, 443, b"\x16\3\1" + struct.pack("!H", len(message)) + message)))


def text_raw(dice: Dice) -> bytes:
    port = dice.choice((1, 123, 161, 514, 1985, 4790, 6081))
    return ether(0x86DD, ip6(17, udp(port, port, b"".join(_escape(dice) for _ in range(6)))))


KINDS: tuple[Callable[[Dice], bytes], ...] = (
    mutated, cut, tower, options, bomb, noise, text_dns, text_dhcp, text_http, text_ssdp, text_lldp, text_tls,
    text_raw,
)  # fmt: skip


def frames(count: int, seed: int = 3) -> Iterator[bytes]:
    """`count` frames: some of the mix cut at every length, then one of each kind in turn."""
    dice = random.Random(seed)
    made = 0
    shortest = {len(frame): frame for frame in sorted(_frames(), key=len, reverse=True)}
    for frame in [*shortest.values()][-6:]:
        for length in range(1, len(frame)):
            if made >= count // 4:
                break
            yield frame[:length]
            made += 1
    for kind in cycle(KINDS):
        if made >= count:
            return
        data = kind(dice)
        if dice.random() < 0.15:
            data = data[: dice.randrange(len(data)) + 1]
        yield data[:9000]
        made += 1
