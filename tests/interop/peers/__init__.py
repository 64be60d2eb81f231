"""Real peers for tests and benches: DPDK's driver and device, QEMU's disks, and a Linux guest in QEMU.

    with DpdkDevice(sock) as device, DpdkDriver(sock, "packed") as driver:
        device.start("rxonly")
        driver.send_exactly(10_000)
        device.received(10_000)

Each is a context manager; leaving it ends its process. `install.py` fetches what they need.
"""

from __future__ import annotations

import os

import pytest

from .disk import StorageDaemon
from .dpdk import DpdkDevice, DpdkDriver, Forwarded, Stats
from .install import missing_disk, missing_dpdk, missing_qemu
from .process import Peer, PeerError
from .qemu import Captured, Guest, Ran
from .quiet import Clean, await_quiet

__all__ = [
    "Captured",
    "Clean",
    "DpdkDevice",
    "DpdkDriver",
    "Forwarded",
    "Guest",
    "Peer",
    "PeerError",
    "Ran",
    "Stats",
    "StorageDaemon",
    "await_quiet",
    "missing",
    "missing_disk",
    "missing_dpdk",
    "missing_qemu",
    "needs_disk",
    "needs_dpdk",
    "needs_qemu",
]


def missing() -> str:
    """Why not every peer can run here; "" when they can."""
    return "; ".join(filter(None, (missing_dpdk(), missing_disk(), missing_qemu())))


#: Said by `.ci/run`, which runs the tests with these peers by themselves: they poll, and need the processors.
_LATER = "they run later, by themselves" if os.environ.get("RINGSCOPE_PEERS") == "later" else ""


def _needs(missing: str) -> pytest.MarkDecorator:
    why = missing or _LATER
    return pytest.mark.skipif(bool(why), reason=why or "-")


needs_dpdk = _needs(missing_dpdk())
needs_disk = _needs(missing_disk())
needs_qemu = _needs(missing_qemu())
