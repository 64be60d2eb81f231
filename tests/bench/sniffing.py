"""How many packets a second scapy's own sniff takes from a RingSocket, beside what scapy alone can dissect.

python tests/bench/sniffing.py [--seconds S] [--json]
"""

from __future__ import annotations

import argparse
import json
import time

from scapy.layers.l2 import Ether
from scapy.sendrecv import sniff

from capture import RingSocket
from capture.play import load_mix
from dataplane.pair import Pair, PlayFrame


def measure(seconds: float, rate: float, filter_: str | None) -> dict[str, float | str | None]:
    """Sniff from a pair that makes `rate` frames a second; CPU is that of the whole process."""
    with Pair() as pair:
        pair.play(PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in load_mix())
        pair.control.set_rate(rate)
        pair.start()
        socket = RingSocket(pair, from_now=True)
        taken = [0]

        def count(_: object) -> None:
            taken[0] += 1

        began, cpu = time.monotonic(), time.process_time()
        sniff(opened_socket=socket, filter=filter_, prn=count, store=False, timeout=seconds)
        spent = time.monotonic() - began
        made = {
            "rate": rate,
            "filter": filter_,
            "packets_per_s": round(taken[0] / spent, 1),
            "cpu": round((time.process_time() - cpu) / spent, 3),
            "lost": socket.lost,
        }
        socket.close()
        return made


def alone(seconds: float) -> float:
    """Dissections a second of the same frames without any socket."""
    frames = [frame.data for frame in load_mix()]
    began, done = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for data in frames:
            Ether(data)
        done += len(frames)
    return round(done / (time.monotonic() - began), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cases = [(200.0, None), (100_000.0, None), (100_000.0, "udp port 53"), (100_000.0, "port 9")]
    results = {
        "dissections_per_s_alone": alone(options.seconds),
        "sniffs": [measure(options.seconds, rate, text) for rate, text in cases],
    }
    if options.json:
        print(json.dumps(results))
        return
    print(f"scapy alone: {results['dissections_per_s_alone']} packets/s")
    for one in results["sniffs"]:  # type: ignore[attr-defined]
        print(one)


if __name__ == "__main__":
    main()
