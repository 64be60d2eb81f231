"""TCP and UDP frames made by hand, byte by byte, for tests that want odd ones; no scapy."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

import numpy as np

from capture.frame import Array, records
from capture.store import Block, FrameStore

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_MASK = 0xFFFFFFFF
START = 1_700_000_000_000_000_000


def checksum(data: bytes) -> int:
    """RFC 1071, the plain way."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ether(kind: int, payload: bytes, source: int = 1, target: int = 2) -> bytes:
    return (
        b"\x52\x54\0\0\0" + bytes([target]) + b"\x52\x54\0\0\0" + bytes([source]) + kind.to_bytes(2) + payload
    )


def ip4(source: str, target: str, protocol: int, payload: bytes, *, ttl: int = 64, place: int = 0) -> bytes:
    ends = b"".join(bytes(int(part) for part in end.split(".")) for end in (source, target))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, place, ttl, protocol, 0) + ends
    return head[:10] + checksum(head).to_bytes(2) + head[12:] + payload


def tcp(
    ends: tuple[str, int, str, int],
    flags: int,
    seq: int,
    ack: int,
    payload: bytes = b"",
    *,
    window: int = 8192,
    options: bytes = b"",
) -> bytes:
    """An Ethernet frame with one segment; ends: (source, port, target, port)."""
    source, source_port, target, target_port = ends
    size = 20 + len(options)
    body = struct.pack(
        "!HHIIBBHHH", source_port, target_port, seq & _MASK, ack & _MASK, size << 2, flags, window, 0, 0
    )
    body += options + payload
    both = b"".join(bytes(int(part) for part in end.split(".")) for end in (source, target))
    total = checksum(both + struct.pack("!HH", 6, len(body)) + body)
    return ether(0x800, ip4(source, target, 6, body[:16] + total.to_bytes(2) + body[18:]))


def udp(ends: tuple[str, int, str, int], payload: bytes) -> bytes:
    source, source_port, target, target_port = ends
    body = struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload
    return ether(0x800, ip4(source, target, 17, body))


@dataclass
class Tape:
    """Frames with their times, to be made a store or a file of."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    now: int = START

    def put(self, frame: bytes, after_us: int = 100) -> int:
        """Add a frame; its number."""
        self.now += after_us * 1000
        self.frames.append((self.now, frame))
        return len(self.frames)

    def rows(self) -> tuple[Array, bytes, Array]:
        rows = records(len(self.frames))
        rows["time"] = [time for time, _ in self.frames]
        rows["length"] = rows["captured"] = [len(frame) for _, frame in self.frames]
        sizes = rows["captured"].astype(np.int64)
        return rows, b"".join(frame for _, frame in self.frames), np.cumsum(sizes) - sizes

    def store(self) -> FrameStore:
        store = FrameStore()
        store.append(*self.rows())
        return store

    def blocks(self) -> list[Block]:
        return list(self.store().blocks(1, 1 << 62))

    def pcap(self) -> bytes:
        """As a pcap file with nanoseconds."""
        parts = [struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
        for time, frame in self.frames:
            head = (time // 1_000_000_000, time % 1_000_000_000, len(frame), len(frame))
            parts.append(struct.pack("<IIII", *head) + frame)
        return b"".join(parts)


def chaos(dice: random.Random, conversations: int, segments: int) -> Tape:
    """TCP that does what it should not: numbers near each other, near the wrap, little windows, any flag."""
    tape = Tape()
    talks = []
    for number in range(conversations):
        ends = (f"10.0.{number >> 8}.{number & 255}", 1000 + number, "10.9.9.9", 80)
        base = [dice.choice((1, 1000, _MASK - 3, _MASK - 40, 1 << 31)) for _ in range(2)]
        talks.append((ends, base, [list(base), list(base)]))
    for _ in range(conversations * segments):
        ends, base, (sent, seen) = dice.choice(talks)
        side = dice.randrange(2)
        way = ends if side == 0 else (ends[2], ends[3], ends[0], ends[1])
        shape = dice.random()
        size = dice.choice((0, 0, 0, 1, 2, 3, 10))
        flags, options = ACK, b""
        seq = sent[side] + dice.choice((0, 0, 0, 0, 0, 0, -1, -2, -3, -10, 1, 2, 3, 10))
        ack = sent[1 - side] + dice.choice((0, 0, 0, 0, 0, -1, -3, -10, 1, 5))
        if dice.random() < 0.35:
            ack = seen[side]
        if shape < 0.04:
            flags, size = SYN, 0
            seq = dice.choice((base[side], base[side], seq))
            ack = 0
        elif shape < 0.07:
            flags, size = SYN | ACK, 0
            seq = dice.choice((base[side], base[side], seq))
        elif shape < 0.09:
            flags |= FIN
        elif shape < 0.10:
            flags = dice.choice((RST, RST | ACK))
        if flags & SYN and dice.random() < 0.5:
            options = bytes((3, 3, dice.randrange(3), 0))
        window = dice.choice((0, 10, 10, 10, 20, 64))
        after = dice.choice((10, 10, 500, 2500, 4000, 30_000))
        tape.put(tcp(way, flags, seq, ack, dice.randbytes(size), window=window, options=options), after)
        end = seq + size + (flags & (SYN | FIN) != 0)
        if end > sent[side] or flags & SYN:
            sent[side] = end
        seen[side] = ack
    return tape


def lossy(dice: random.Random, conversations: int, rounds: int) -> tuple[Tape, list[tuple[bytes, bytes]]]:
    """Both ends say something, over a network that loses, repeats, cuts anew and overtakes.

    All that an end sent arrives in the end, but the capture misses some of it. Returns what each end said.
    """
    tape = Tape()
    said = []
    for number in range(conversations):
        ends = (f"10.1.{number >> 8}.{number & 255}", 2000 + number, "10.9.9.9", 443)
        back = (ends[2], ends[3], ends[0], ends[1])
        first = [dice.choice((1, 5000, _MASK - 5, _MASK - 300, (1 << 31) - 20)) for _ in range(2)]
        tape.put(tcp(ends, SYN, first[0], 0))
        tape.put(tcp(back, SYN | ACK, first[1], first[0] + 1))
        tape.put(tcp(ends, ACK, first[0] + 1, first[1] + 1))
        text = [bytearray(), bytearray()]
        for _ in range(rounds):
            side = dice.randrange(2)
            way = ends if side == 0 else back
            begin = len(text[side])
            text[side] += dice.randbytes(dice.randrange(1, 60))
            pieces = []
            at = begin
            while at < len(text[side]):
                size = dice.randrange(1, 20)
                pieces.append((at, min(at + size, len(text[side]))))
                at += size
            if dice.random() < 0.3:
                dice.shuffle(pieces)
            if dice.random() < 0.3:
                start = dice.randrange(len(text[side]))
                pieces.append((start, min(start + dice.randrange(1, 40), len(text[side]))))
            if dice.random() < 0.15:
                del pieces[dice.randrange(len(pieces))]
            for start, stop in pieces:
                seq = first[side] + 1 + start
                acked = first[1 - side] + 1 + len(text[1 - side])
                data = bytes(text[side][start:stop])
                tape.put(tcp(way, PSH | ACK, seq, acked, data), dice.choice((20, 300, 9000)))
            answer = back if side == 0 else ends
            seq = first[1 - side] + 1 + len(text[1 - side])
            tape.put(tcp(answer, ACK, seq, first[side] + 1 + len(text[side])), dice.choice((50, 400)))
        tape.put(tcp(ends, FIN | ACK, first[0] + 1 + len(text[0]), first[1] + 1 + len(text[1])))
        tape.put(tcp(back, FIN | ACK, first[1] + 1 + len(text[1]), first[0] + 2 + len(text[0])))
        said.append((bytes(text[0]), bytes(text[1])))
    return tape, said
