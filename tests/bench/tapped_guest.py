"""What a tap costs a Linux guest in QEMU that sends as fast as it can to DPDK's vhost, in one run.

    python tests/bench/tapped_guest.py [--layout packed] [--rounds 4]

Guests come and go: one whose socket is DPDK's own, one through the relay, one through the relay with
`--notifications`. Through the relay, samples alternate between nobody looking and a viewer that counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dataplane.vhost.relaying import start_relay
from dataplane.vhost.tap import Tap
from tests.interop.peers import DpdkDevice, Guest

_SAMPLE = 1.0  #: seconds
_PKTGEN = """\
insmod /mods/pktgen.ko
echo "add_device eth0" >/proc/net/pktgen/kpktgend_0
for c in "count 0" "pkt_size 60" "delay 0" "dst 10.77.0.1" "dst_mac ff:ff:ff:ff:ff:ff"; do
    echo "$c" >/proc/net/pktgen/eth0
done
(echo start >/proc/net/pktgen/pgctrl) >/dev/null 2>&1 &
"""


def _sample(device: DpdkDevice) -> float:
    before, began = device.stats().rx_packets, time.monotonic()
    time.sleep(_SAMPLE)
    after, ended = device.stats().rx_packets, time.monotonic()
    return (after - before) / (ended - began)


def _guest(folder: str, layout: str, how: str, samples: int) -> dict[str, list[float]]:
    """Packets a second of one guest, by who looks."""
    a, b, viewers = (f"{folder}/{name}" for name in "abv")
    found: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        device = stack.enter_context(DpdkDevice(b))
        device.start("rxonly")
        if how != "direct":
            start_relay(a, b, viewers, notifications=how == "notifications")
        guest = stack.enter_context(Guest(b if how == "direct" else a, layout))  # type: ignore[arg-type]
        guest.boot()
        guest.run(_PKTGEN)
        time.sleep(1.0)
        for _ in range(samples):
            found[how].append(_sample(device))
            if how == "direct":
                continue
            with Tap(viewers, capture=False) as tap:
                tap.start()
                tap.wait_for_rings(5.0)
                time.sleep(0.2)
                found[f"{how}, counted"].append(_sample(device))
        if how != "direct":
            with Tap(viewers, capture=False) as tap:
                tap.start()
                tap.end_relay()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--samples", type=int, default=4)
    options = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    hows = ["direct", "relayed", "notifications"]
    for number in range(options.rounds):
        for how in hows[number % 3 :] + hows[: number % 3]:
            with tempfile.TemporaryDirectory(prefix="rs-") as folder:
                for name, rates in _guest(folder, options.layout, how, options.samples).items():
                    found[name] += rates
                    told = ", ".join(f"{rate / 1e3:.1f}" for rate in rates)
                    print(f"# {number + 1} {name:22} {told} kpps", file=sys.stderr)
    direct = statistics.median(found["direct"])
    for name, rates in found.items():
        middle = statistics.median(rates)
        print(f"{options.layout} {name:22} {middle / 1e3:.1f} kpps, {middle / direct:.3f} of direct")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
