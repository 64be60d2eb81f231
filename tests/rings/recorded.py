"""Small recordings for tests: a pair that is stepped by a seed, with a recorder at it."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataplane.pair import Layout, Pair, PlayFrame
from dataplane.recorded.blocks import BLOCK, HEAD
from dataplane.recorded.recorder import Recorder
from dataplane.records import TO_DEVICE, TO_DRIVER, Side
from dataplane.snapshot import Snapshot
from dataplane.source import Unit
from inspector.headless import document

FRAMES = tuple(
    PlayFrame(0, way, bytes([i] * 6 + [9] * 6 + [8, 0]) + bytes(46 + 7 * i))
    for i, way in enumerate((TO_DEVICE, TO_DRIVER, TO_DEVICE, TO_DEVICE, TO_DRIVER, TO_DRIVER))
)


def stepped(
    path: Path,
    layout: Layout = "split",
    *,
    steps: int = 60,
    queue_size: int = 4,
    seed: int = 1,
    features: str = "",
) -> dict[int, Snapshot]:
    """Record a frozen pair that is stepped; the snapshots taken on the way, by their number."""
    chance = random.Random(seed)
    seen: dict[int, Snapshot] = {}
    units: tuple[Unit, ...] = ("store", "operation", "turn")
    with Pair(layout=layout, queue_size=queue_size, features=features, frozen=True, trace="stores") as pair:
        pair.play(FRAMES)
        with Recorder(pair, path) as recorder:
            pair.start()
            for _ in range(steps):
                pair.step(Side(chance.randrange(2)), chance.choice(units), chance.randrange(1, 4))
                now = pair.snapshot()
                seen[now.number] = now
        assert not recorder.failed
    return seen


def facts(snapshot: Snapshot) -> dict[str, Any]:
    """What two pictures of one moment have in common, however they were made."""
    made = document(snapshot)
    for name in ("state", "time", "logs", "notes", "kind"):
        del made[name]
    for queue in made["queues"]:
        for name in ("time", "duration"):
            del queue[name]
    return made


@dataclass(frozen=True, slots=True)
class Part:
    """A block of a file: where it is, and what it is."""

    tag: bytes
    at: int
    content: bytes

    @property
    def end(self) -> int:
        return self.at + BLOCK.size + len(self.content) + -len(self.content) % 8


def parts(data: bytes) -> Iterator[Part]:
    """The blocks of a sound file, read without any code of ours but the sizes."""
    at = HEAD.size
    while at < len(data):
        tag, _, length, _, _ = BLOCK.unpack_from(data, at)
        yield (part := Part(tag, at, data[at + BLOCK.size :][:length]))
        at = part.end


def sealed(blocks: list[tuple[bytes, bytes]]) -> bytes:
    """A file of blocks, each a tag and a content, with every checksum right."""
    made = [HEAD.pack(b"\x89RINGREC\r\n\x1a\n", 1, 0)]
    for ordinal, (tag, content) in enumerate(blocks):
        header = struct.pack("<4sIQI", tag, ordinal, len(content), zlib.crc32(content))
        made += [header, struct.pack("<I", zlib.crc32(header)), content, bytes(-len(content) % 8)]
    return b"".join(made)
