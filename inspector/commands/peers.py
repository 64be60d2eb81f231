"""The options of the commands that speak vhost-user with other programs: the standard library alone."""

from __future__ import annotations

import argparse

from inspector.commands.options import fault_option, features, number, rate_option, seconds, size

DEVICE = """\
Be the virtio-net device for somebody else's driver, over vhost-user: a QEMU guest, DPDK's virtio-user,
cloud-hypervisor. The screens open once the driver has started its rings, and stay when it is gone."""

DEVICE_EXAMPLES = """\
examples:
  ringscope device --listen /tmp/ring.sock                  answers ARP and ping, echoes UDP and TCP
  ringscope device --listen /tmp/ring.sock --traffic flood  sends as fast as it goes, counts what comes
  ringscope device --listen /tmp/ring.sock --traffic tap:t0 joins the guest to a TAP interface of this host
  ringscope device --connect /tmp/ring.sock                 where the driver's side listens
  ringscope device --listen /tmp/ring.sock --json           without screens: a line of JSON a second

While it waits it prints what to start QEMU, DPDK, libvirt and cloud-hypervisor with."""


PEERS = """\
Unix sockets that listen on this machine and belong to programs that speak vhost-user, with the command that
attaches to each, and what QEMU, DPDK, libvirt and cloud-hypervisor are started with so that they come to us.
Nobody is connected to for this."""

TAP = """\
Stand between somebody's driver and somebody's device, over vhost-user, and look: their rings, their packets,
of a disk each request and what came of it, what they say to each other. The two talk through a small process
of its own, the relay, which only passes on; the screens come and go, and nothing that is looked at is ever
written.

The driver's side connects to --listen, and the relay then to --connect, where the device listens. Leaving
the screens leaves the relay; --attach looks again, --end ends it: both ends then see the other hang up, and
do what they do when that happens (QEMU: the link goes down, and comes back with reconnect=1; DPDK: the link
of the port goes down, and a server waits for the next)."""

TAP_EXAMPLES = """\
examples:
  ringscope tap --listen /tmp/guest.sock --connect /tmp/vhost.sock   between QEMU and its back-end
  ringscope tap --attach /tmp/guest.sock                             look again
  ringscope tap --end /tmp/guest.sock                                hang up
  ringscope tap --listen /tmp/dpdk.sock --connect /tmp/qemu.sock --reverse
                                     where QEMU listens (server=on) and the back-end connects
  ringscope tap --listen A --connect B --no-capture --json           counts only, as JSON
  ringscope tap --listen /tmp/guest.sock --connect /tmp/disk.sock --device-type blk
                                     between QEMU's vhost-user-blk-pci and qemu-storage-daemon

Start the front-end with the socket of --listen instead of the back-end's: that is all the change it takes."""


def add_tap_options(tap: argparse.ArgumentParser) -> None:
    """The options of `ringscope tap`."""
    where = tap.add_mutually_exclusive_group(required=True)
    where.add_argument("--listen", metavar="SOCK", help="the socket that one of the two connects to")
    where.add_argument("--attach", metavar="SOCK", help="look through the relay that listens there")
    where.add_argument("--end", metavar="SOCK", help="end the relay that listens there")
    relay = tap.add_argument_group("the relay")
    relay.add_argument("--connect", metavar="SOCK", help="the socket on which the other listens")
    relay.add_argument(
        "--reverse", action="store_true", help="the device connects to us, and the driver's side listens"
    )
    relay.add_argument(
        "--notifications",
        action="store_true",
        help="kicks and calls pass through the relay: each is counted, and one can be injected",
    )
    looking = tap.add_argument_group("looking")
    looking.add_argument(
        "--device-type",
        choices=("net", "blk"),
        default=None,
        help="what the rings are of; the protocol does not say it, so it is guessed by what the two say",
    )
    looking.add_argument("--no-capture", action="store_true", help="count packets, and read none of them")
    looking.add_argument(
        "--look",
        metavar="US",
        type=number(0, 1e6, "time in microseconds", whole=False),
        default=None,
        help="microseconds between two looks at the rings (50; to count 1500); 0: a processor of its own",
    )
    viewing(tap)


def tap_contradiction(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options of `ringscope tap`, in one line."""
    if options.listen is not None and options.connect is None:
        return "--listen needs --connect SOCK: where the other of the two listens"
    if options.listen is None and (options.connect or options.reverse or options.notifications):
        return "--connect, --reverse and --notifications are for a relay that is started: with --listen"
    if options.listen is not None and options.listen == options.connect:
        return "--listen and --connect are one socket: give the front-end one of its own"
    if options.device_type == "blk" and options.filter:
        return "--filter chooses packets, and the requests of a block device are none"
    if options.no_capture and options.filter:
        return "--filter chooses packets, and --no-capture reads none"
    return "--seconds goes with --json" if options.seconds is not None and not options.json else None


def add_device_options(device: argparse.ArgumentParser) -> None:
    """The options of `ringscope device`."""
    where = device.add_mutually_exclusive_group(required=True)
    where.add_argument("--listen", metavar="SOCK", help="the socket that the driver connects to")
    where.add_argument("--connect", metavar="SOCK", help="the socket on which the driver listens")
    ours = device.add_argument_group("the device")
    ours.add_argument(
        "--queue-pairs", metavar="N", type=number(1, 16, "count of queue pairs"), default=1, help="at most"
    )
    ours.add_argument(
        "--features",
        metavar="+A,-B",
        type=features,
        default=None,
        help="changes to the features offered, such as -ring_packed,-event_idx",
    )
    ours.add_argument(
        "--device", choices=("poll", "interrupt"), default=None, help="how it waits (under a flood it polls)"
    )
    ours.add_argument("--mtu", metavar="N", type=number(68, 65521, "MTU"), default=1500, help="of the device")
    fault_option(ours, "what it does wrong", "lose_call:queue=rx0,after=100")
    traffic = device.add_argument_group("what is behind it")
    traffic.add_argument(
        "--traffic",
        metavar="answer|sink|flood|tap:IF|FILE",
        default="answer",
        help="a host that answers and echoes, nothing, frames as fast as they go, a TAP interface, or a"
        " pcap or pcapng file that is sent again and again",
    )
    traffic.add_argument("--ip", metavar="A", default=None, help="the only address that answers (all do)")
    rate_option(traffic)
    viewing(device)


def viewing(parser: argparse.ArgumentParser) -> None:
    """What both have in common: how it is looked at."""
    parser.add_argument(
        "-f", "--filter", metavar="BPF", help="keep only packets that match, as tcpdump would"
    )
    parser.add_argument(
        "--budget", metavar="SIZE", type=size, default=256 << 20, help="memory for the packets kept (256M)"
    )
    parser.add_argument(
        "--history", metavar="SIZE", type=size, default=64 << 20, help="memory for the past (64M)"
    )
    parser.add_argument("--json", action="store_true", help="no screens: one line of JSON for every reading")
    parser.add_argument("--every", metavar="S", type=seconds, default=1.0, help="of --json: seconds between")
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=seconds,
        default=None,
        help="of --json: how long, once a driver is there",
    )
    parser.add_argument(
        "--trace",
        choices=("off", "operations"),
        default="operations",
        help="what is written down of the rings",
    )


def device_contradiction(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options of `ringscope device`, in one line."""
    if options.ip is not None and options.traffic != "answer":
        return "--ip is the address that answers: it goes with --traffic answer"
    if options.rate is not None and (options.traffic in ("answer", "sink") or options.traffic[:4] == "tap:"):
        return "--rate is for what is sent by itself: --traffic flood or a file"
    if options.seconds is not None and not options.json:
        return "--seconds goes with --json"
    return None
