"""When one TCP connection ends and another begins on the same addresses and ports.

The rule is Wireshark's (4.0): a SYN opens a new connection if its side was seen with another first sequence
number. Everything that tells streams apart asks here.
"""

from __future__ import annotations

FIN, SYN, RST, ACK = 1, 2, 4, 16


class Connection:
    """What must be remembered of one pair of ends to see the next connection begin."""

    __slots__ = ("first", "serial")

    def __init__(self) -> None:
        self.serial = 0  #: connections before this one
        self.first: list[int | None] = [None, None]  #: the first sequence number of each side

    def segment(self, side: int, flags: int, seq: int, ack: int) -> bool:
        """Take a segment of `side` (0 or 1) into account; whether a new connection begins with it."""
        first = self.first
        begins = False
        if flags & SYN and not flags & ACK and first[side] is not None:
            begins = first[side] != seq
            if begins:
                self.serial += 1
                first[0] = first[1] = None
        if first[side] is None or flags & SYN:
            first[side] = seq if flags & SYN else seq - 1 & 0xFFFFFFFF
        if flags & ACK and first[1 - side] is None:
            first[1 - side] = ack - 1 & 0xFFFFFFFF
        return begins
