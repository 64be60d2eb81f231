"""The options of `ringscope driver`: the standard library alone."""

from __future__ import annotations

import argparse

from inspector.commands.options import fault_option, features_of_any, number, rate_option
from inspector.commands.peers import viewing

ORDERS = ("sequential", "random", "none")  #: in which a disk is read

DRIVER = """\
Be the virtio-net driver for somebody else's device, over vhost-user: DPDK's vhost, OVS-DPDK. With
--device-type blk the virtio-blk driver, for qemu-storage-daemon and others that serve a disk: it reads, and
never writes. The screens open once the device has taken the rings, and stay when it is gone."""

DRIVER_EXAMPLES = """\
examples:
  ringscope driver --connect /tmp/ring.sock                  lifelike traffic into DPDK's vhost
  ringscope driver --connect /tmp/ring.sock --layout packed --traffic flood
  ringscope driver --connect /tmp/ring.sock --traffic tap:t0 joins a TAP interface of this host to it
  ringscope driver --listen /tmp/ring.sock --json            where the device connects to us
  ringscope driver --connect /tmp/disk.sock --device-type blk --rate 500
                                     reads a disk from its first sector on, 500 requests a second

A device to try it on: dpdk-testpmd --no-pci --vdev net_vhost0,iface=/tmp/ring.sock -- -i
A disk to try it on: qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=FILE
  --export type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=/tmp/disk.sock,writable=off"""


def add_driver_options(driver: argparse.ArgumentParser) -> None:
    """The options of `ringscope driver`."""
    where = driver.add_mutually_exclusive_group(required=True)
    where.add_argument("--connect", metavar="SOCK", help="the socket on which the device listens")
    where.add_argument("--listen", metavar="SOCK", help="the socket that the device connects to")
    driver.add_argument(
        "--device-type", choices=("net", "blk"), default="net", help="what the device is: a network or a disk"
    )
    ours = driver.add_argument_group("the driver")
    ours.add_argument("--layout", choices=("split", "packed"), default="split", help="of the rings")
    ours.add_argument(
        "--queue-size",
        metavar="N",
        type=number(1, 32768, "queue size"),
        default=256,
        help="descriptors per queue: a power of two (split), any number (packed), up to 32768",
    )
    ours.add_argument(
        "--queue-pairs", metavar="N", type=number(1, 16, "count of queue pairs"), default=1, help="to use"
    )
    ours.add_argument(
        "--features",
        metavar="+A,-B",
        type=features_of_any,
        default=None,
        help="changes to the features taken where they are offered, such as +in_order,-mrg_rxbuf",
    )
    ours.add_argument(
        "--driver", choices=("auto", "poll", "interrupt"), default="auto", help="how the driver waits"
    )
    ours.add_argument(
        "--path",
        choices=("auto", "fixed", "indirect", "chain", "direct"),
        default="auto",
        help="how the driver turns a packet into descriptors",
    )
    ours.add_argument(
        "--mtu", metavar="N", type=number(68, 65521, "MTU"), default=1500, help="of its buffers"
    )
    fault_option(ours, "what it does wrong", "lose_kick:queue=tx0,after=100")
    traffic = driver.add_argument_group("what it sends")
    traffic.add_argument(
        "--traffic",
        metavar="mix|flood|none|tap:IF|FILE",
        default=None,
        help="lifelike, as fast as it goes, nothing, a TAP interface, or a pcap or pcapng file; of a disk"
        " sequential, random or none",
    )
    rate_option(traffic)
    disk = driver.add_argument_group("what it reads, of a disk")
    disk.add_argument(
        "--queues",
        metavar="N",
        type=number(1, 16, "count of queues"),
        default=None,
        help="request queues (1)",
    )
    disk.add_argument(
        "--depth",
        metavar="N",
        type=number(1, 256, "count of requests"),
        default=None,
        help="requests outstanding on each queue, at most (8)",
    )
    disk.add_argument(
        "--length",
        metavar="BYTES",
        type=number(512, 1 << 20, "length of a request"),
        default=None,
        help="of each request, in whole sectors of 512 bytes (4096)",
    )
    viewing(driver)


def driver_contradiction(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options of `ringscope driver`, in one line."""
    size = options.queue_size
    if options.layout == "split" and size & (size - 1):
        return (
            f"--queue-size: a split queue has a power of two of descriptors, not {size}: or --layout packed"
        )
    problem = _of_a_disk(options) if options.device_type == "blk" else _of_a_network(options)
    if problem is not None:
        return problem
    return "--seconds goes with --json" if options.seconds is not None and not options.json else None


def _of_a_network(options: argparse.Namespace) -> str | None:
    for name in ("queues", "depth", "length"):
        if getattr(options, name) is not None:
            return f"--{name} is of a disk: with --device-type blk"
    traffic = options.traffic or "mix"
    if traffic in ORDERS[:2]:
        return f"--traffic {traffic} is of a disk: with --device-type blk"
    if options.rate is not None and (traffic == "none" or traffic.startswith("tap:")):
        return "--rate is for what is sent by itself: --traffic mix, flood or a file"
    return None


def _of_a_disk(options: argparse.Namespace) -> str | None:
    traffic = options.traffic or ORDERS[0]
    if traffic not in ORDERS:
        return f"--traffic {traffic} is no way to read a disk: give {', '.join(ORDERS)}"
    if options.rate is not None and traffic == "none":
        return "--rate is for what is read: --traffic sequential or random"
    if options.filter:
        return "--filter chooses packets, and the requests of a block device are none"
    if options.faults:
        return "--fault is for the network driver: the one of disks has none"
    if options.length is not None and options.length % 512:
        return f"--length: {options.length} bytes are not whole sectors of 512"
    if options.queue_pairs != 1:
        return "--queue-pairs is of a network device: of a disk --queues"
    return None
