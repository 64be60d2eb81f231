"""What a tap costs the two that it stands between: DPDK's virtio-user and DPDK's vhost, in one run.

    python tests/bench/tapped.py [--layout packed] [--notifications] [--rounds 9] [--rate 100000] [--json]

One connection through the relay; samples alternate between nobody looking, a viewer that counts, and one that
captures, so that the machine's mood falls on all. The ratio is that of the medians. With a rate the driver's
side is our own, held to it, and what the capture missed is told: where it misses nothing it is lossless.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dataplane.vhost.frontend import Frontend
from dataplane.vhost.relaying import start_relay
from dataplane.vhost.tap import Tap
from tests.interop.peers import Clean, DpdkDevice, DpdkDriver

_SAMPLE = 1.0  #: seconds


class Viewer:
    """Nobody, or somebody who looks through the relay in one way."""

    def __init__(self, viewers: str, how: str) -> None:
        self.tap = None
        if how != "alone":
            self.tap = Tap(viewers, capture=how == "capturing")
            self.tap.start()
            self.tap.wait_for_rings(5.0)
        self.cursor = (0, 0)

    def close(self) -> None:
        if self.tap is not None:
            self.tap.close()


def _flood(
    folder: str, layout: str, rounds: int, hows: list[str], notifications: bool
) -> dict[str, list[float]]:
    """Packets a second from driver to device, in each way of looking."""
    a, b, viewers = (f"{folder}/{name}" for name in "abv")
    found: dict[str, list[float]] = {how: [] for how in hows}
    with DpdkDevice(b) as device:
        device.start("rxonly")
        start_relay(a, b, viewers, notifications=notifications)
        with DpdkDriver(a, layout) as driver:  # type: ignore[arg-type]
            driver.ready()
            device.joined()
            driver.start("txonly")
            for number in range(rounds):
                for how in hows[number % len(hows) :] + hows[: number % len(hows)]:
                    viewer = Viewer(viewers, how)
                    time.sleep(0.2)
                    with Clean(*driver.pollers, *device.pollers) as sample:
                        before, began = device.stats().rx_packets, time.monotonic()
                        time.sleep(_SAMPLE)
                        after, ended = device.stats().rx_packets, time.monotonic()
                    found[how].append((after - before) / (ended - began))
                    told = f"{found[how][-1] / 1e6:.3f} Mpps {sample}"
                    print(f"# {number + 1} {how:10} {told}", file=sys.stderr)
                    viewer.close()
            ending = Tap(viewers, capture=False)
            ending.start()
            ending.end_relay()
            ending.close()
    return found


def _rated(folder: str, layout: str, rate: float, seconds: float, look: int | None) -> dict[str, float]:
    """A driver of ours at a rate, DPDK's vhost behind it: what the capture has of it."""
    a, b, viewers = (f"{folder}/{name}" for name in "abv")
    with DpdkDevice(b) as device:
        device.start("rxonly")
        start_relay(a, b, viewers)
        with Tap(viewers, every=look) as tap:
            tap.start()
            with Frontend(a, layout=layout) as driver:  # type: ignore[arg-type]
                driver.flood(length=64, directions=("to_device",))
                driver.set_rate(rate)
                driver.start()
                tap.wait_for_rings(5.0)
                time.sleep(seconds)
                driver.quiet()
                time.sleep(0.2)
                sent = driver.snapshot(()).queue(1).published
                seen = tap.snapshot(()).queue(1).published
                read = sum(one[0] for i in tap.running if (one := tap._engine.observed(i)))
                missed, exact = tap.missed()
            tap.end_relay()
    return {"asked": rate, "sent": sent, "seen": seen, "read": read, "missed": missed, "proven": exact}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--notifications", action="store_true", help="kicks and calls through the relay")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rate", type=float, default=None)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--look", type=int, default=None, help="nanoseconds between two looks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rs-") as folder:
        if options.rate is not None:
            print(json.dumps(_rated(folder, options.layout, options.rate, options.seconds, options.look)))
            return 0
        hows = ["alone", "counting", "capturing"]
        found = _flood(folder, options.layout, options.rounds, hows, options.notifications)
    alone = statistics.median(found["alone"])
    for how, rates in found.items():
        middle = statistics.median(rates)
        print(f"{options.layout} {how:10} {middle / 1e6:.3f} Mpps, {middle / alone:.3f} of nobody looking")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
