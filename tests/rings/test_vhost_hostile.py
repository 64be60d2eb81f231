"""Mutated messages in any order, with wrong descriptors, lengths and sizes, thrown at a device whose rings
run: it refuses with a reason or obeys, serves the next driver as if nothing had been, and keeps nothing.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import struct
from typing import Any

import pytest

from dataplane.vhost import payload as p
from dataplane.vhost.backend import OUR_MISTAKE, Backend
from dataplane.vhost.connection import connect
from dataplane.vhost.message import HEADER, KINDS, NEED_REPLY, VERSION, request
from dataplane.vhost.session import SERVED
from tests.rings.frontend import BYTES, FEATURES, GUEST, USER, ByHand
from tests.rings.staging import wait_until

WHOLE = os.environ.get("RINGSCOPE_FULL") == "1"
MESSAGES = 200_000 if WHOLE else 12_000
FRAME = bytes(12) + b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(50)
ODD = (
    0,
    1,
    2,
    3,
    15,
    16,
    17,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFF,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
)
WIDE = (
    *ODD,
    1 << 32,
    1 << 62,
    1 << 63,
    (1 << 64) - 4096,
    (1 << 64) - 1,
    USER,
    USER + BYTES - 8,
    GUEST,
    FEATURES,
)


class Thrower:
    """Draws messages: most nearly right, so that they get far."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.memory = os.memfd_create("by-hand-hostile")
        os.ftruncate(self.memory, BYTES)
        self.event = os.eventfd(0, os.EFD_NONBLOCK)
        self.blocking = os.eventfd(0)
        self.null = os.open(os.devnull, os.O_RDWR)
        self.fds = (self.memory, self.event, self.blocking, self.null)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)

    def wide(self) -> int:
        return self.draw.choice(WIDE) if self.draw.random() < 0.8 else self.draw.getrandbits(64)

    def ring(self) -> int:
        return (
            self.draw.choice((0, 1, 1, 1, 2, 3, 4, 255))
            if self.draw.random() < 0.9
            else self.draw.choice(ODD)
        )

    def region(self) -> bytes:
        if self.draw.random() < 0.5:
            return p.Region(GUEST, BYTES, USER, 0).pack()
        size = self.draw.choice((0, 4096, BYTES, BYTES + 1, 1 << 40, self.wide()))
        return struct.pack(
            "=QQQQ", self.wide(), size, self.wide(), self.draw.choice((0, 0, 4096, self.wide()))
        )

    def body(self, layout: type[p.Payload]) -> bytes:
        draw = self.draw
        places = (USER, USER + 0x4000, USER + 0x8000, self.wide())
        if layout is p.VringState:
            return struct.pack("=II", self.ring() & 0xFFFFFFFF, draw.choice((0, 1, 16, *ODD)))
        if layout is p.VringAddr:
            return struct.pack("=IIQQQQ", self.ring() & 0xFFFFFFFF, draw.choice((0, 0, 1, 2)),
                               *(draw.choice(places) for _ in range(3)), 0)  # fmt: skip
        if layout is p.VringFd:
            return struct.pack("=Q", self.ring() | draw.choice((0, 0, 0, 256, 512)))
        if layout is p.U64:
            return struct.pack("=Q", draw.choice((FEATURES, 0, 15, self.wide())))
        if layout is p.MemoryTable:
            count = draw.choice((1, 1, 1, 2, 8, 9, 0))
            return struct.pack("=II", count, 0) + b"".join(self.region() for _ in range(count))
        if layout is p.SingleRegion:
            return bytes(8) + self.region()
        if layout is p.Config:
            count = draw.choice((0, 4, 60, 256))
            return struct.pack("=III", draw.choice(ODD), count, 0) + bytes(count)
        return draw.randbytes(getattr(layout, "LAYOUT", HEADER).size)

    def message(self) -> tuple[bytes, list[int]]:
        draw = self.draw
        kind = draw.choice([row for row in KINDS.values() if row.channel == "frontend"])
        body = self.body(kind.payload)
        fds = [draw.choice(self.fds) for _ in range(draw.choice((*kind.fds, *kind.fds, kind.fds[1])))]
        if kind.payload is p.MemoryTable and body[0] and draw.random() < 0.8:
            fds = [self.memory] * min(body[0], 8)
        if kind.payload is p.VringFd and draw.random() < 0.8:
            fds = [] if body[1] & 1 else [self.event]
        number, flags, size = kind.id, VERSION | draw.choice((0, *[NEED_REPLY] * 30)), len(body)
        if draw.random() < 0.02:
            match draw.randrange(6):
                case 0:
                    body = body[: draw.randrange(len(body) + 1)]
                case 1:
                    size = draw.choice(ODD)
                case 2:
                    flags = draw.choice(ODD)
                case 3:
                    fds = [draw.choice(self.fds) for _ in range(draw.choice((1, 2, 9, 32, 33, 253)))]
                case 4:
                    number = draw.choice(ODD)
                case 5:
                    body += bytes(draw.randrange(64))
        return HEADER.pack(number & 0xFFFFFFFF, flags & 0xFFFFFFFF, size & 0xFFFFFFFF) + body, fds


def throw(device: Backend, thrower: Thrower, most: int) -> int:
    """One connection, until the device ends it or so many were sent; how many."""
    sent = 0
    with connect(device.path) as sock:
        sock.settimeout(5)
        sock.sendall(request("SET_PROTOCOL_FEATURES", p.U64(SERVED)).pack())  # or the first refusal ends it
        for data, fds in (thrower.message() for _ in range(most)):
            try:
                socket.send_fds(sock, [data], fds)
                sent += 1
                if thrower.draw.random() < 0.02:
                    sock.setblocking(False)
                    while sock.recv(1 << 16):
                        pass
            except BlockingIOError:
                pass
            except OSError:
                return sent
            sock.settimeout(5)
    return sent


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_messages(tmp_path: Any, seed: int) -> None:
    with Backend(str(tmp_path / "s"), queue_pairs=2) as device:
        device.start()
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        thrower, sent, far = Thrower(seed), 0, 0
        while sent < MESSAGES // 3:
            sent += throw(device, thrower, 400)
            far += any(one.name == "SET_VRING_KICK" for one in device.talk.since()[-100:])
        thrower.close()
        refused = [one.text for one in device.talk.since() if one.refused]
        assert not [one.text for one in device.talk.since() if OUR_MISTAKE in one.text]
        assert refused and all(text and "\n" not in text for text in refused)
        assert far > 10, "most connections end before they come to a ring"
        driver = ByHand(device.path)
        driver.greet()
        tx = driver.ring(1)
        for i in range(20):
            driver.put(tx, FRAME)
            wait_until(lambda i=i: driver.used_idx(tx) == i + 1, "it serves as before")  # type: ignore[misc]
        driver.close()
        wait_until(lambda: bool(device.snapshot(()).notes), "the driver is gone")
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before
        with open("/proc/self/maps") as maps:
            assert "by-hand" not in maps.read()
