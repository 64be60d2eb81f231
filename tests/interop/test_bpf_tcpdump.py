"""Capture filters against tcpdump: the examples of its manuals give the same frames of the same capture.

The expressions are those of tcpdump(8) and pcap-filter(7). Where they name hosts and networks, addresses
stand in; `gateway NAME` needs a name of both kinds, so what its manual says it is short for stands there.
Each goes both our ways: `Program.mask` over the frames, and the frame log of a pair that plays them.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scapy.all import (
    ARP,
    DNS,
    DNSQR,
    GRE,
    ICMP,
    IP,
    LLC,
    PPP,
    SCTP,
    STP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    Dot3,
    Ether,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrHopByHop,
    PPPoE,
    Raw,
)  # fmt: skip
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS

from capture.bpf import compile_bpf
from capture.frame import records
from capture.play import PlayFrame, load_mix
from capture.store import FrameStore
from dataplane.pair import Pair
from dataplane.pair import PlayFrame as Play

pytestmark = pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")

SUNDOWN, HELIOS, HOT, ACE, SNUP = "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.254"
UCB, LOCAL, FAR = "128.32.0.0/16", "10.1.0.0/16", "128.32.7.9"
SNUP_MAC, HERE, THERE = "02:00:00:00:00:fe", "02:00:00:00:00:01", "02:00:00:00:00:02"
GATEWAY = f"ether host {SNUP_MAC} and not host {SNUP}"

TCPDUMP = [
    f"host {SUNDOWN}",
    f"host {HELIOS} and ( {HOT} or {ACE} )",
    f"ip host {ACE} and not {HELIOS}",
    f"net {UCB}",
    f"{GATEWAY} and (port ftp or ftp-data)",
    f"ip and not net {LOCAL}",
    f"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net {LOCAL}",
    "tcp[tcpflags] & (tcp-rst|tcp-ack) == (tcp-rst|tcp-ack)",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    f"{GATEWAY} and ip[2:2] > 576",
    "ether[0] & 1 = 0 and ip[16] >= 224",
    "icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply",
]
PCAP_FILTER = [
    f"ether proto \\ip and host {HELIOS}",
    f"ip host {HELIOS}",
    f"not host {HELIOS} and {ACE}",
    f"not host {HELIOS} and host {ACE}",
    f"not ( host {HELIOS} or {ACE} )",
    "tcp dst port ftp or ftp-data or domain",
    "tcp dst port ftp or tcp dst port ftp-data or tcp dst port domain",
    f"src {HELIOS}",
    f"dst net {UCB}",
    "src or dst port ftp-data",
    f"net {LOCAL}",
    "port 20",
    "tcp port 21",
    "udp portrange 7000-7009",
    "portrange 6000-6008",
    f"ether src {HERE}",
    f"ether dst {SNUP_MAC}",
    f"arp net {LOCAL}",
    "arp",
    "ip6",
    "rarp",
    "udp",
    "tcp",
    "sctp",
    "icmp",
    "icmp6",
    "ip proto 1",
    "ip6 proto 58",
    "ip proto \\tcp",
    "ip proto 47",
    "proto 17",
    "len <= 60",
    "less 60",
    "len >= 1000",
    "greater 1000",
    "ether broadcast",
    "ether multicast",
    "ip multicast",
    "ip6 multicast",
    "ether proto 0x0806",
    "ether proto \\arp",
    "stp",
    "llc",
    "vlan",
    "vlan 100",
    "vlan 100 && vlan 200",
    "vlan && vlan 300 && ip",
    "mpls 100000 && mpls 1024",
    "mpls && mpls 1024 && host 192.9.200.1",
    "pppoes 0x27 && ip",
    "pppoes",
    "geneve 0xb && ip",
    "geneve",
    "iso",
    "ether[0] & 1 != 0",
    "ip[0] & 0xf != 5",
    "ip[6:2] & 0x1fff = 0",
    "icmp[icmptype] = icmp-echo",
    "icmp6[icmp6type] = icmp6-echo",
    "tcp[13] & 3 != 0",
    "tcp[tcpflags] = tcp-syn",
    "udp[4:2] > 40",
    "ip[8] < 5",
    "len % 7 = 3",
    "ether[12:2] ^ 0x0800 = 0 and ip[9] * 2 = 12",
    "",
]


def crafted() -> list[bytes]:
    """What the examples look for, and next to each of it what they must leave out."""

    def e(**more: str):
        return Ether(**({"src": HERE, "dst": THERE} | more))

    def between(a: str, b: str, **more: object):
        return IP(src=a, dst=b, **more)

    gate = {"dst": SNUP_MAC}
    made = [
        e() / between(SUNDOWN, HELIOS) / UDP(sport=1, dport=2),
        e() / between(HELIOS, HOT) / TCP(sport=4000, dport=80, flags="S"),
        e() / between(ACE, HELIOS) / TCP(sport=80, dport=4000, flags="SA"),
        e() / between(ACE, HOT) / TCP(sport=80, dport=4001, flags="A"),
        e() / between(FAR, ACE) / TCP(sport=80, dport=4001, flags="PA") / b"GET / HTTP/1.0\r\n\r\n",
        e(**gate) / between(HELIOS, FAR) / TCP(sport=5000, dport=21, flags="S"),
        e(**gate) / between(HELIOS, FAR) / TCP(sport=20, dport=5001, flags="A") / b"150 opening\r\n",
        e(**gate) / between(HELIOS, SNUP) / TCP(sport=5000, dport=21, flags="PA") / b"USER x\r\n",
        e(**gate) / between(HELIOS, FAR) / UDP(sport=9, dport=9) / (b"x" * 900),
        e(**gate) / between(HELIOS, FAR) / UDP(sport=9, dport=9) / (b"x" * 9),
        e() / between("192.0.2.1", "198.51.100.7") / UDP(sport=7, dport=7003),
        e() / between(FAR, "198.51.100.7") / TCP(flags="FA", sport=6003),
        e() / between(FAR, HELIOS) / TCP(flags="RA"),
        e() / between(FAR, HELIOS) / TCP(flags="R"),
        e() / between(HELIOS, ACE) / TCP(sport=80, dport=81, flags="A", options=[("Timestamp", (1, 2))]),
        e() / between(HELIOS, ACE, options=b"\x94\x04\0\0") / TCP(sport=80, dport=81, flags="A") / b"data",
        e() / between(HELIOS, "239.1.2.3") / UDP(sport=1, dport=7009),
        e(dst="01:00:5e:01:02:03") / between(HELIOS, "239.1.2.3") / UDP(),
        e(dst="ff:ff:ff:ff:ff:ff") / between(HELIOS, "255.255.255.255") / UDP(sport=68, dport=67),
        e(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=HELIOS, pdst=ACE),
        e() / ARP(op=2, psrc="192.0.2.1", pdst="192.0.2.2"),
        e(dst="ff:ff:ff:ff:ff:ff", type=0x8035) / ARP(op=3),
        *(e() / between(HELIOS, ACE) / ICMP(type=kind) / b"0123456789" for kind in (0, 3, 5, 8, 11, 13)),
        e() / between(HELIOS, ACE, frag=100) / UDP(sport=20, dport=21) / b"a fragment that is not the first",
        e() / between(HELIOS, ACE, flags="MF") / UDP(sport=20, dport=21) / b"the first fragment",
        e() / between(HELIOS, ACE, ttl=3) / UDP(sport=53, dport=53) / DNS(qd=DNSQR(qname="example.org")),
        e() / between(HELIOS, ACE) / TCP(sport=999, dport=53, flags="S"),
        e() / between(HELIOS, ACE) / SCTP(sport=20, dport=6000),
        e() / between(HELIOS, ACE) / GRE() / between(SUNDOWN, HOT) / UDP(),
        e() / IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest(),
        e() / IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoReply(),
        e(dst="33:33:ff:00:00:02") / IPv6(src="fe80::1", dst="ff02::1:ff00:2") / ICMPv6ND_NS(tgt="fe80::2"),
        e() / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=6001, dport=20, flags="S"),
        e() / IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrHopByHop() / UDP(sport=7001, dport=53),
        e() / Dot1Q(vlan=100) / between(HELIOS, ACE) / UDP(sport=1, dport=20),
        e() / Dot1Q(vlan=100) / Dot1Q(vlan=200) / between(HELIOS, ACE) / TCP(flags="S"),
        e() / Dot1AD(vlan=7) / Dot1Q(vlan=300) / between(HELIOS, ACE) / TCP(flags="S"),
        e() / Dot1Q(vlan=7) / Dot1Q(vlan=300) / ARP(),
        e(type=0x8847) / MPLS(label=100000, s=0) / MPLS(label=1024, s=1)
        / between("192.9.200.1", HOT) / UDP(),
        e(type=0x8847) / MPLS(label=5, s=0) / MPLS(label=1024, s=1) / between(HELIOS, "192.9.200.2") / UDP(),
        e() / PPPoE(sessionid=0x27) / PPP(proto=0x21) / between(HELIOS, ACE) / UDP(),
        e() / PPPoE(sessionid=0x28) / PPP(proto=0x57) / IPv6() / UDP(),
        e() / between(HELIOS, ACE) / UDP(sport=1, dport=6081) / GENEVE(vni=0xB) / Ether()
        / between(HOT, ACE) / TCP(),
        e() / between(HELIOS, ACE) / UDP(sport=1, dport=6081) / GENEVE(vni=0xC) / Ether() / ARP(),
        Dot3(src=HERE, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP(),
        Dot3(src=HERE, dst="01:80:c2:00:00:14") / LLC(dsap=0xFE, ssap=0xFE, ctrl=3)
        / Raw(b"\x83" + bytes(20)),
        e(type=0x88B5) / b"an experiment",
        e() / between(HELIOS, ACE) / TCP() / (b"y" * 1300),
    ]  # fmt: skip
    whole = [bytes(packet) for packet in made]
    cut = [whole[4][:size] for size in (14, 20, 33, 34, 40, 54)] + [whole[40][:22], whole[32][:50]]
    return whole + cut


@pytest.fixture(scope="module")
def frames() -> list[PlayFrame]:
    """The crafted frames, in turn from either side, and every frame of the shipped packets."""
    own = [PlayFrame(0, i % 2, data) for i, data in enumerate(crafted())]
    return own + list(load_mix())


@pytest.fixture(scope="module")
def capture(frames: list[PlayFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pcap of them; the seconds of a frame's time are its place in the list."""
    path = tmp_path_factory.mktemp("bpf") / "frames.pcap"
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    for i, frame in enumerate(frames):
        parts.append(struct.pack("<IIII", i, 0, len(frame.data), len(frame.data)) + frame.data)
    path.write_bytes(b"".join(parts))
    return path


def told_by_tcpdump(capture: Path, text: str) -> list[int]:
    """The places of the frames that tcpdump lets pass."""
    made = subprocess.run(
        ["tcpdump", "-n", "-r", str(capture), "-w", "-", *([text] if text else [])], capture_output=True
    )
    assert made.returncode == 0, made.stderr.decode()
    found, at = [], 24
    while at < len(made.stdout):
        second, _, size, _ = struct.unpack_from("<IIII", made.stdout, at)
        found.append(second)
        at += 16 + size
    return found


@pytest.fixture(scope="module")
def store(frames: list[PlayFrame]) -> FrameStore:
    rows = records(len(frames))
    rows["length"] = rows["captured"] = [len(frame.data) for frame in frames]
    kept = FrameStore()
    kept.append(
        rows, b"".join(frame.data for frame in frames), np.cumsum(rows["captured"]) - rows["captured"]
    )
    return kept


@pytest.mark.parametrize("text", [*TCPDUMP, *PCAP_FILTER])
def test_the_mask_is_what_tcpdump_says(text: str, capture: Path, store: FrameStore) -> None:
    program = compile_bpf(text)
    masks = [program.mask(block) for block in store.blocks(1, store.last + 1)]
    assert np.flatnonzero(np.concatenate(masks)).tolist() == told_by_tcpdump(capture, text)


def test_the_examples_tell_frames_apart(capture: Path, frames: list[PlayFrame]) -> None:
    """Each expression of the manuals lets some frames pass and not all: else it would prove nothing."""
    for text in [*TCPDUMP, *PCAP_FILTER[:-1]]:
        assert 0 < len(told_by_tcpdump(capture, text)) < len(frames), text


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("text", [*TCPDUMP, *PCAP_FILTER[::5]])
def test_the_frame_log_keeps_what_tcpdump_says(
    text: str, layout: str, capture: Path, frames: list[PlayFrame]
) -> None:
    wanted = Counter((frames[i].direction, frames[i].data) for i in told_by_tcpdump(capture, text))
    with Pair(layout=layout) as pair:  # type: ignore[arg-type]
        pair.play((Play(0, f.direction, f.data, f.net_header) for f in frames), loop=False)
        pair.log_frames(True, program=compile_bpf(text).instructions)
        pair.start()
        until = time.monotonic() + 20
        logs = pair.snapshot(()).logs
        while logs.frames + logs.frames_filtered < len(frames) and time.monotonic() < until:
            time.sleep(0.005)
            logs = pair.snapshot(()).logs
        got = pair.frames()
    assert (logs.frames, logs.frames_filtered) == (wanted.total(), len(frames) - wanted.total())
    assert len(got.rows) == logs.frames and got.lost == 0
    places = zip(
        got.rows["direction"].tolist(), got.offsets.tolist(), got.rows["captured"].tolist(), strict=True
    )
    assert Counter((way, bytes(got.data[at : at + size])) for way, at, size in places) == wanted
