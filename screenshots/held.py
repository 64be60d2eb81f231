"""A source that was looked at once and is held: the rings of a real guest, for pictures of them.

    python screenshots/held.py VIEWERS FILE     looks through a tap's relay for three seconds, and holds that

What is held is what the engine copied, byte for byte, so that today's code draws it. `guest.held` is of a
Linux 6.1 guest in QEMU 7.2, with DPDK 22.11 as its back-end, while it pinged.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import sys
import time
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from dataplane import decode
from dataplane.records import EVENT, FRAME
from dataplane.snapshot import AnyQueue, Identity, Logs, NetConfig, Outside, Snapshot
from dataplane.source import START, Cursor, Events, Frames
from dataplane.vhost.payload import Region
from dataplane.vhost.peer import Peer, RingSetup
from dataplane.vhost.talk import Said

_MOMENTS, _APART = 13, 0.25  #: readings, and seconds between two


class Held:
    """The source; each reading is the next moment, and the last one stays."""

    control = None
    probe = None

    def __init__(self, path: Path) -> None:
        facts = json.loads(zlib.decompress(path.read_bytes()))
        self.identity = Identity(**facts["identity"])
        self._moments: list[dict[str, Any]] = facts["moments"]
        self._at = 0
        self._rows = np.frombuffer(base64.b64decode(facts["frames"]["rows"]), FRAME)
        self._data = base64.b64decode(facts["frames"]["data"])
        self._said = tuple(Said(**one) for one in facts["said"])
        peer = facts["peer"]
        peer["regions"] = tuple(Region(**one) for one in peer["regions"])
        peer["rings"] = tuple(RingSetup(**one) for one in peer["rings"])
        self.peer = Peer(**peer)
        self.talk = self

    def since(self, number: int = 0) -> tuple[Said, ...]:
        return tuple(one for one in self._said if one.number > number)

    def start(self) -> None:
        """Nothing: it is over."""

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        moment = self._moments[self._at]
        self._at = min(self._at + 1, len(self._moments) - 1)
        facts = dict(moment["facts"])
        facts["config"] = NetConfig(**{**facts["config"], "mac": bytes.fromhex(facts["config"]["mac"])})
        facts["logs"] = Logs(**facts["logs"])
        facts["notes"] = tuple(facts["notes"])
        queues: list[AnyQueue] = []
        for data, outside in moment["queues"]:
            queue = decode.queue(base64.b64decode(data), True)
            queues.append(dataclasses.replace(queue, outside=Outside(**outside)))
        return Snapshot(identity=self.identity, queues=tuple(queues), **facts)

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        return Events(np.empty(0, EVENT), since, 0)

    def frames(self, since: Cursor = START) -> Frames:
        if since != START:
            return Frames(self._rows[:0], np.empty(0, np.int64), b"", since, 0)
        ends = np.cumsum(self._rows["captured"], dtype=np.int64)
        return Frames(self._rows, ends - self._rows["captured"], self._data, (1, len(self._rows)), 0)

    def keyframe(self, after: int = 0) -> None:
        return None

    def memory(self, address: int, length: int) -> bytes:
        raise LookupError("the memory is not held")

    def close(self) -> None:
        """Nothing is open."""


def hold(viewers: str, path: Path) -> None:
    """Looks through the relay, and writes what a `Held` needs."""
    from dataplane.vhost.tap import Tap

    with Tap(viewers) as tap:
        tap.start()
        tap.wait_for_rings(10)
        moments = []
        for _ in range(_MOMENTS):
            time.sleep(_APART)
            moments.append(_moment(tap))
        read = tap.frames()
        data = b"".join(
            bytes(read.data[at : at + int(row["captured"])])
            for row, at in zip(read.rows, read.offsets.tolist(), strict=True)
        )
        peer = dataclasses.asdict(tap.peer) | {"where": "through the relay 4711"}
        facts = {
            "identity": dataclasses.asdict(tap.identity),
            "moments": moments,
            "frames": {
                "rows": base64.b64encode(read.rows.tobytes()).decode(),
                "data": base64.b64encode(data).decode(),
            },
            "said": [dataclasses.asdict(one) for one in tap.talk.since()],
            "peer": peer,
        }
    path.write_bytes(zlib.compress(json.dumps(facts).encode(), 9))


def _moment(tap: Any) -> dict[str, Any]:
    snapshot = tap.snapshot()
    facts = {
        name: getattr(snapshot, name)
        for name in ("state", "status", "config_generation", "queue_pairs", "number", "time", "trouble")
    }
    facts["config"] = dataclasses.asdict(snapshot.config) | {"mac": snapshot.config.mac.hex()}
    facts["logs"] = dataclasses.asdict(snapshot.logs)
    facts["notes"] = list(snapshot.notes)
    queues = [
        [base64.b64encode(tap.queue_bytes(queue.index, True)).decode(), dataclasses.asdict(queue.outside)]
        for queue in snapshot.queues
    ]
    return {"facts": facts, "queues": queues}


if __name__ == "__main__":
    hold(sys.argv[1], Path(sys.argv[2]))
