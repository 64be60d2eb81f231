"""Our device and our driver beside DPDK's, each with DPDK at the other end, alternated in one run.

    python -m tests.bench.versus_vhost --json

Three pairs: DPDK's driver with DPDK's device, with our device, and our driver with DPDK's device. Like for
like: one ring of 256 a direction, bursts of 32, 64-byte frames, the same features, both ends polling on a
processor each, frames counted by whoever receives them. Every round starts each pair anew and takes samples
in both directions; only clean ones count (tests/interop/peers/quiet.py). A ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any, Literal, Protocol

from dataplane.network import Network
from dataplane.records import Path
from dataplane.vhost.backend import Backend
from dataplane.vhost.frontend import Frontend
from tests.bench.measure import ENGINE_THREADS, TASKS, TRIES, report, threads
from tests.interop.ours import counted
from tests.interop.peers import Clean, DpdkDevice, DpdkDriver, await_quiet, missing_dpdk
from tests.interop.peers.dpdk import Layout, Testpmd
from tests.interop.peers.process import cpus

Way = Literal["to_device", "to_driver"]
Who = Literal["DPDK alone", "our device", "our driver"]
WAYS: tuple[Way, Way] = ("to_device", "to_driver")
WHO: tuple[Who, ...] = ("DPDK alone", "our device", "our driver")
LAYOUTS: tuple[Layout, ...] = ("split", "packed")
SETTLE = 0.3  #: seconds of traffic before the first sample


@dataclass(frozen=True, slots=True)
class Config:
    """Features that both ends use; the same for all three pairs."""

    mrg: bool
    in_order: bool
    chains: Path  #: how our driver maps frames to descriptors

    @property
    def ours(self) -> str:
        """For our driver: what DPDK's takes with the same wishes."""
        left_out = [
            "event_idx",
            "csum",
            "guest_csum",
            "guest_tso4",
            "guest_tso6",
            "host_tso4",
            "host_tso6",
            "mq",
        ]
        words = [f"-{name}" for name in left_out]
        words += ["+in_order" if self.in_order else "-in_order", "+mrg_rxbuf" if self.mrg else "-mrg_rxbuf"]
        return ",".join(words)


CONFIGS = {"mergeable": Config(True, False, Path.AUTO), "in_order": Config(False, True, Path.FIXED)}


class End(Protocol):
    """One end of a ring: it sends or only receives, and says how many frames have come to it."""

    def begin(self, sends: bool) -> None: ...
    def rest(self) -> None: ...
    @property
    def received(self) -> int: ...
    @property
    def pollers(self) -> list[File]: ...


class Theirs:
    """A testpmd."""

    def __init__(self, peer: Testpmd) -> None:
        self._peer = peer
        self.pollers = peer.pollers

    def begin(self, sends: bool) -> None:
        self._peer.start("txonly" if sends else "rxonly")

    def rest(self) -> None:
        self._peer.stop()

    @property
    def received(self) -> int:
        return self._peer.stats().rx_packets


class Ours:
    """A source with one side of ours, whose thread gets a processor of its own."""

    def __init__(self, source: Network, length: int, cpu: int) -> None:
        self._source, self._length = source, length
        (side,) = source.OURS
        self._way: Way = WAYS[side]
        end = time.monotonic() + 5
        while not (found := threads().get(ENGINE_THREADS[side])):
            if time.monotonic() > end:
                raise SystemExit("versus_vhost: our side did not start")
            time.sleep(0.01)
        os.sched_setaffinity(found[0], {cpu})
        self.pollers = [TASKS / str(found[0])]

    def begin(self, sends: bool) -> None:
        if sends:
            self._source.flood(length=self._length, directions=(self._way,))
        self._source.log_frames(False)

    def rest(self) -> None:
        self._source.quiet()

    @property
    def received(self) -> int:
        return counted(self._source).received


@contextmanager
def joined(sock: File, who: Who, layout: Layout, config: Config, length: int) -> Iterator[tuple[End, End]]:
    """(driver, device), each polling: the device's on the first processor, the driver's on the last."""
    first, last = cpus()[0], cpus()[-1]

    def their_driver() -> DpdkDriver:
        return DpdkDriver(
            sock, layout, mrg_rxbuf=config.mrg, in_order=config.in_order, packet_size=length, cpu=last
        )

    if who == "our device":
        with Backend(str(sock), polls=True, trace="off") as ours:
            ours.start()
            with their_driver() as driver:
                driver.ready()
                yield Theirs(driver), Ours(ours, length, first)
        return
    with DpdkDevice(sock, packet_size=length, cpu=first) as device:
        if who == "DPDK alone":
            with their_driver() as driver:
                device.joined()
                yield Theirs(driver), Theirs(device)
            return
        mine = Frontend(
            str(sock), layout=layout, features=config.ours, driver="poll", chains=config.chains, trace="off"
        )
        with mine:
            mine.start()
            device.joined()
            yield Ours(mine, length, last), Theirs(device)


@dataclass
class Taken:
    """Samples of one pair in one direction, in Mpps."""

    clean: list[float] = field(default_factory=list)
    dirty: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the clean ones; of all where there is none."""
        return statistics.median(self.clean or self.dirty)


def measure(ends: tuple[End, End], way: Way, options: argparse.Namespace, taken: Taken) -> None:
    """So many clean samples of one direction, as far as they come."""
    receiver, sender = ends if way == "to_driver" else (ends[1], ends[0])
    receiver.begin(False)
    sender.begin(True)
    time.sleep(SETTLE)
    clean = tries = 0
    while clean < options.reps and tries < options.reps * TRIES:
        tries += 1
        with Clean(*receiver.pollers, *sender.pollers) as sample:
            before, began = receiver.received, time.monotonic()
            time.sleep(options.seconds)
            came, seconds = receiver.received - before, time.monotonic() - began
        (taken.clean if sample.clean else taken.dirty).append(came / seconds / 1e6)
        clean += sample.clean
    sender.rest()
    receiver.rest()


def compare(layout: Layout, name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a direction."""
    found = {(who, way): Taken() for who in WHO for way in WAYS}
    for number in range(options.rounds):
        for who in WHO:
            if not await_quiet(options.patience):
                print("# others use the machine", file=sys.stderr, flush=True)
            with (
                tempfile.TemporaryDirectory(prefix="rs-") as folder,
                joined(File(folder) / "s", who, layout, CONFIGS[name], options.size) as ends,
            ):
                for way in options.way or WAYS:
                    measure(ends, way, options, found[who, way])
            said = ", ".join(f"{way} {found[who, way].median:.2f}" for way in options.way or WAYS)
            print(f"# {number + 1}: {layout} {name}, {who}: {said}", file=sys.stderr, flush=True)
    return [
        {
            "layout": layout, "config": name, "way": way,
            "mpps": {who: found[who, way].median for who in WHO},
            "ratio": {who: found[who, way].median / found[WHO[0], way].median for who in WHO[1:]},
            "clean": {who: len(found[who, way].clean) for who in WHO},
            "all": {who: vars(found[who, way]) for who in WHO},
        }
        for way in options.way or WAYS
    ]  # fmt: skip


def line(row: dict[str, Any]) -> str:
    mpps, ratio = row["mpps"], row["ratio"]
    words = [f"{who} {mpps[who]:.2f} Mpps ({ratio[who]:.2f} times)" for who in WHO[1:]]
    dirty = "" if all(row["clean"].values()) else "  DIRTY"
    return (
        f"{row['layout']:6} {row['config']:9} {row['way']}: DPDK alone {mpps[WHO[0]]:.2f} Mpps, "
        f"{', '.join(words)}; clean samples {'/'.join(map(str, row['clean'].values()))}{dirty}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layout", choices=LAYOUTS, action="append", help="default: both")
    parser.add_argument("--config", choices=list(CONFIGS), action="append", help="default: all")
    parser.add_argument("--way", choices=WAYS, action="append", help="default: both")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument(
        "--reps", type=int, default=8, metavar="N", help="clean samples a round and direction"
    )
    parser.add_argument("--seconds", type=float, default=0.2, metavar="S", help="of one sample")
    parser.add_argument(
        "--patience",
        type=float,
        default=30.0,
        metavar="S",
        help="to wait for a quiet machine before each pair",
    )
    parser.add_argument("--size", type=int, default=64, metavar="BYTES")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if why := missing_dpdk():
        parser.error(why)
    if options.rounds < 1 or options.reps < 1 or options.seconds <= 0:
        parser.error("at least one round of at least one sample of some length")
    rows = [
        row
        for layout in options.layout or LAYOUTS
        for name in options.config or CONFIGS
        for row in compare(layout, name, options)
    ]
    report(
        {"benchmark": "versus_vhost", "unit": "Mpps", "results": rows},
        "\n".join(map(line, rows)),
        options.json,
    )


if __name__ == "__main__":
    main()
