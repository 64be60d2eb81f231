"""The two filter languages that a bar can be typed in: what is shown, and what is kept from now on.

Both are loaded with the first key, so that the screen does not wait for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inspector.packets.filterbar import Candidate, Language

#: Words of pcap-filter(7) that start or join what people type, with what each takes.
_BPF = {
    "tcp": "TCP, or `tcp port 80`",
    "udp": "UDP, or `udp port 53`",
    "icmp": "ICMP",
    "icmp6": "ICMPv6",
    "arp": "ARP",
    "ip": "IPv4, or `ip host 10.0.0.1`",
    "ip6": "IPv6",
    "vlan": "a VLAN tag, or `vlan 10`; what follows is read behind the tag",
    "host": "an address at either end: `host 10.0.0.1`",
    "net": "a network at either end: `net 10.0.0.0/24`",
    "port": "a TCP or UDP port at either end",
    "portrange": "`portrange 6000-6008`",
    "src": "only the source: `src host`, `src net`, `src port`",
    "dst": "only the destination",
    "ether": "by link address: `ether host 52:54:00:12:34:56`",
    "broadcast": "to everyone on the link",
    "multicast": "to a group",
    "less": "at most so many bytes: `less 128`",
    "greater": "at least so many bytes",
    "proto": "by number: `ip proto 47`",
    "and": "both",
    "or": "either",
    "not": "everything else",
}


def _check_display(text: str) -> tuple[str, ...]:
    from capture.dfilter import compile_filter

    return compile_filter(text).remarks


def _complete_display(text: str, cursor: int) -> Sequence[Candidate]:
    from capture.dfilter import complete
    from capture.fieldtable import FIELDS

    found = complete(text, cursor)
    return [
        Candidate(name, FIELDS[name].about if name in FIELDS else "", found.start, found.stop)
        for name in found.candidates
    ]


def _check_capture(text: str) -> tuple[str, ...]:
    from capture.bpf import compile_bpf

    if text.strip():
        compile_bpf(text)
    return ()


def _complete_capture(text: str, cursor: int) -> Sequence[Candidate]:
    begun = re.search(r"[a-z0-9]*$", text[:cursor])
    word = begun.group() if begun else ""
    if not word and text.strip():
        return []
    return [
        Candidate(name, about, cursor - len(word), cursor)
        for name, about in _BPF.items()
        if name.startswith(word) and name != word
    ]


DISPLAY = Language("display", "filter", "enter shows only what matches", _check_display, _complete_display)
CAPTURE = Language(
    "capture",
    "capture filter",
    "enter keeps only what matches, from now on; what is kept already stays",
    _check_capture,
    _complete_capture,
)
