"""Colouring rules of the packet list: a meaning for every protocol, and a sign and a word for every trouble.

Meanings are those of `inspector.theme`. No rule hangs on colour alone: the protocol stands in its column,
a trouble has a sign of its own at the left edge and its words in the info column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from capture.frame import TO_DEVICE

if TYPE_CHECKING:
    from inspector.packets.rows import Packet

SLOW_NS = 1_000_000  #: from available to used; a sent packet that took longer is called slow

#: By the protocol column; what is not named here is plain text.
PROTOCOLS: Mapping[str, str] = {
    "TCP": "in_use",
    "UDP": "text",
    "HTTP": "used",
    "TLS": "used",
    "DNS": "past",
    "MDNS": "past",
    "DHCP": "past",
    "ARP": "available",
    "VLAN": "available",
    "LLC": "available",
    "ICMP": "flux",
    "ICMPv6": "flux",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a packet: the sign at its left, the meaning that colours it, the words for it."""

    sign: str
    meaning: str
    words: str


DAMAGED = Trouble("!", "fault", "")  # its info says how
CUT = Trouble("…", "flux", "")


def protocol_meaning(protocol: str) -> str:
    """The meaning that colours a protocol; fragments have that of what they are fragments of."""
    return PROTOCOLS.get(protocol, "strong")


def trouble(packet: Packet, slow_ns: int) -> Trouble | None:
    """The first rule that a packet falls under, the worst first; None where all is well."""
    info = packet.summary.info
    if "[malformed" in info:
        return DAMAGED
    noted = of_notes(packet.notes) if packet.notes else None
    if noted is not None and noted.meaning == "fault":
        return noted
    if packet.captured < packet.length:
        kept = f"[{packet.captured} of {packet.length} bytes kept]"
        return Trouble(CUT.sign, CUT.meaning, kept)
    if "[truncated" in info:
        return DAMAGED
    if noted is not None:
        return noted
    if packet.direction == TO_DEVICE and packet.latency is not None and packet.latency > slow_ns:
        return Trouble("◷", "available", "[slow]")
    return None


@lru_cache(256)
def of_notes(bits: int) -> Trouble | None:
    """The trouble that expert notes tell of; None where they only inform."""
    from capture.expert import NOTES

    found = [note for bit, note in NOTES.items() if bits & bit and note.severity in _SEVERITIES]
    if not found:
        return None
    worst = min(found, key=lambda note: _SEVERITIES.index(note.severity))
    words = "".join(f"[{note.name}]" for note in found)
    sign = next((sign for word, sign in _SIGNS if word in worst.name), "·")
    return Trouble(sign, "flux" if worst.severity == "note" else "fault", words)


_SEVERITIES = ("error", "warning", "note")  # what only informs is no trouble
_SIGNS = (
    ("retransmission", "↻"),
    ("out of order", "↕"),
    ("window", "∅"),
    ("reset", "×"),
    ("refused", "×"),
    ("duplicate", "="),
    ("missing", "⋮"),
    ("not seen", "⋮"),
    ("checksum", "Σ"),
)
