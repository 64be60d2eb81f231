"""How many frames a second cross a ring: like DPDK's txonly to rxonly over one virtio pair.

    python tests/bench/engine.py --layout packed --json

Ring of 256, bursts of at most 32, 64-byte frames behind a 12-byte header, in_order=1, mrg_rxbuf=0, the fixed
mapping, both sides polling on a processor each, trace and frame log off. The sender writes every payload,
the receiver copies it into a buffer of its own and sums one frame in a hundred; frames are counted there.
`--one-core` lets one thread play both sides, in one direction unless told otherwise.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

from measure import TRIES, Sample, Stopwatch, figure, pin, plain, report, sides

from dataplane.pair import Pair
from dataplane.records import Path

FEATURES = "+in_order,-mrg_rxbuf,-event_idx,-guest_tso4,-guest_tso6,-guest_ecn"


def make(layout: Any, size: int, directions: tuple[str, ...], queue_size: int = 256) -> Pair:
    """A pair that floods as soon as it is started, with nothing written down."""
    pair = Pair(
        layout=layout, queue_size=queue_size, features=FEATURES, path=Path.FIXED, driver="poll", device="poll"
    )
    pair.flood(length=size, directions=directions)
    pair.trace("off")
    pair.log_frames(False)
    return pair


def received(pair: Pair) -> int:
    """Frames counted by their receivers: the device's on tx0 and the driver's on rx0."""
    queues = pair.snapshot(whole=()).queues
    device, driver = queues[1].device, queues[0].driver
    assert device is not None and driver is not None
    return device.frames + driver.frames


def sound(pair: Pair) -> None:
    """Nothing was lost, repeated or altered, and no side gave up."""
    snapshot = pair.snapshot(whole=())
    broken = [
        queue.name
        for queue in snapshot.queues
        for side in (queue.driver, queue.device)
        if side and side.broken
    ]
    if snapshot.notes or broken:
        raise SystemExit(f"engine: {'; '.join(snapshot.notes) or 'broken: ' + ', '.join(broken)}")


def two_threads(pair: Pair, seconds: float, reps: int) -> list[Sample]:
    pair.start()
    watched = sides()
    pin(watched)
    time.sleep(min(seconds, 0.5))
    samples: list[Sample] = []
    while sum(sample.clean for sample in samples) < reps and len(samples) < reps * TRIES:
        before = received(pair)
        watch = Stopwatch(watched)
        time.sleep(seconds)
        samples.append(watch.sample(received(pair) - before))
    sound(pair)
    return samples


def one_core(pair: Pair, seconds: float, reps: int) -> list[Sample]:
    pair.run_inline(min(seconds, 0.5))
    samples: list[Sample] = []
    while sum(sample.clean for sample in samples) < reps and len(samples) < reps * TRIES:
        before = received(pair)
        watch = Stopwatch([threading.get_native_id()])
        pair.run_inline(seconds)
        samples.append(watch.sample(received(pair) - before))
    sound(pair)
    return samples


def run(
    layout: str, size: int, seconds: float, reps: int, alone: bool, directions: str | None = None
) -> dict[str, Any]:
    """Everything about one configuration, in Mpps."""
    chosen = directions or "to_device"
    ways = ("to_device", "to_driver") if chosen == "both" else (chosen,)
    with make(layout, size, ways) as pair:
        samples = (one_core if alone else two_threads)(pair, seconds, reps)
    samples = [Sample(sample.value / 1e6, sample.run, sample.steal) for sample in samples]
    return {
        "benchmark": "engine", "layout": layout, "size": size, "one_core": alone, "directions": chosen,
        "unit": "Mpps", **plain(figure(samples, reps)), "all": [plain(sample) for sample in samples],
    }  # fmt: skip


def line(result: dict[str, Any]) -> str:
    where = "one core" if result["one_core"] else "two threads"
    return (
        f"{result['layout']:6} {where}, {result['directions']}, {result['size']} bytes: "
        f"{result['least']:.2f} / {result['median']:.2f} / {result['most']:.2f} Mpps "
        f"({result['clean']} of {result['samples']} samples clean){'  DIRTY' if result['dirty'] else ''}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--size", type=int, default=64, metavar="BYTES", help="of a frame, 64 to 65535")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of one sample")
    parser.add_argument("--reps", type=int, default=5, metavar="N", help="clean samples wanted")
    parser.add_argument("--directions", choices=("to_device", "to_driver", "both"))
    parser.add_argument("--one-core", action="store_true", help="one thread plays both sides")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not 64 <= options.size <= 65535 or options.seconds <= 0 or options.reps < 1:
        parser.error("frames have 64 to 65535 bytes, samples a length, and there is at least one")
    result = run(
        options.layout, options.size, options.seconds, options.reps, options.one_core, options.directions
    )
    report(result, line(result), options.json)


if __name__ == "__main__":
    main()
