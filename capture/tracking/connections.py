"""When one TCP connection ends and another begins on the same addresses and ports.

The rule is Wireshark's: a SYN opens a new connection if its side was seen with another first sequence number
(4.0), or if the connection had ended (newer ones), here a tenth of a second before at least: traffic that is
played again and again has the same numbers in every round. The same SYN once more is a retransmission else.
Everything that tells streams apart asks here.
"""

from __future__ import annotations

FIN, SYN, RST, ACK = 1, 2, 4, 16

PAUSE = 100_000_000  #: ns after its end from which the same SYN is another connection's


class Connection:
    """What must be remembered of one pair of ends to see the next connection begin."""

    __slots__ = ("ended", "first", "serial")

    def __init__(self) -> None:
        self.ended: int | None = None  #: when the last FIN or reset went by, ns since the epoch
        self.serial = 0  #: connections before this one
        self.first: list[int | None] = [None, None]  #: the first sequence number of each side

    def segment(self, side: int, time: int, flags: int, seq: int, ack: int) -> bool:
        """Take a segment of `side` (0 or 1) into account; whether a new connection begins with it."""
        first = self.first
        begins = False
        if flags & SYN and not flags & ACK and first[side] is not None:
            begins = first[side] != seq or (self.ended is not None and time - self.ended >= PAUSE)
            if begins:
                self.serial += 1
                self.ended = None
                first[0] = first[1] = None
        if flags & (FIN | RST):
            self.ended = time
        if first[side] is None or flags & SYN:
            first[side] = seq if flags & SYN else seq - 1 & 0xFFFFFFFF
        if flags & ACK and first[1 - side] is None:
            first[1 - side] = ack - 1 & 0xFFFFFFFF
        return begins
