"""What the sequence numbers of one TCP connection say: Wireshark's `tcp.analysis` rules (4.0), one segment
at a time. The order of the rules matters and is Wireshark's.
"""

from __future__ import annotations

from capture.tracking.connections import ACK, FIN, RST, SYN, Connection

RETRANSMISSION = 1 << 0
FAST_RETRANSMISSION = 1 << 1
SPURIOUS_RETRANSMISSION = 1 << 2
OUT_OF_ORDER = 1 << 3
LOST_SEGMENT = 1 << 4
ACK_LOST_SEGMENT = 1 << 5
DUPLICATE_ACK = 1 << 6
ZERO_WINDOW = 1 << 7
ZERO_WINDOW_PROBE = 1 << 8
ZERO_WINDOW_PROBE_ACK = 1 << 9
WINDOW_FULL = 1 << 10
WINDOW_UPDATE = 1 << 11
KEEP_ALIVE = 1 << 12
KEEP_ALIVE_ACK = 1 << 13
RESET = 1 << 14
REFUSED = 1 << 15
PORTS_REUSED = 1 << 16

_MASK = 0xFFFFFFFF
_HALF = 1 << 31
_UNACKED = 1024  #: segments of one side that are remembered until they are acknowledged
_CONTROL = SYN | FIN | RST
_FAST_NS = 20_000_000
_NEAR_NS = 3_000_000  #: out of order within this, where the round trip is not known


class _Side:
    """One direction. Sequence numbers are 0 where none was seen, as in Wireshark."""

    __slots__ = ("acked", "acked_at", "continuous", "disordered", "duplicates", "expected", "expected_at",
                 "last", "muted", "scale", "unacked", "window")  # fmt: skip

    def __init__(self) -> None:
        self.expected = 0  # the highest sequence number after a segment
        self.expected_at = 0  # when that came
        self.continuous = 0  # the highest without a hole
        self.acked = 0  # what this side acknowledged last
        self.acked_at = 0
        self.muted = False
        self.window = -1  # as in the header
        self.scale = -1  # -1: not known, -2: not used
        self.duplicates = 0
        self.last = 0  # the notes of its last segment
        self.unacked: dict[int, None] = {}  # sequence << 32 | next, in the order of arrival
        self.disordered = False


class Flow:
    """One pair of ends with its present connection."""

    __slots__ = ("connection", "handshake", "opener", "round_trip", "sides", "syn_at")

    def __init__(self) -> None:
        self.connection = Connection()
        self._restart()

    def _restart(self) -> None:
        self.sides = (_Side(), _Side())
        self.handshake = 0  # 1: a SYN went by, 2: and the SYN with ACK that answers it
        self.opener = 0  # the side that sent the SYN
        self.syn_at = 0
        self.round_trip = 0  # from the SYN to the ACK that ends the handshake; 0 where not known

    def segment(
        self, side: int, time: int, flags: int, seq: int, ack: int, window: int, size: int, scale: int
    ) -> int:
        """The notes on a segment with `size` bytes; scale: its window scale option, -1 where it has none."""
        notes = 0
        plain = not flags & _CONTROL
        if not plain or None in self.connection.first:
            notes = self._opening(side, time, flags, seq, ack)
        forward, back = self.sides[side], self.sides[1 - side]
        expected = forward.expected
        end = seq + size & _MASK
        if size == 1 and seq == expected and back.window == 0:
            notes |= ZERO_WINDOW_PROBE
        else:
            if window == 0 and plain:
                notes |= ZERO_WINDOW
            if expected and expected - seq & _MASK >= _HALF and not flags & RST:
                notes |= LOST_SEGMENT
            if plain:
                if size <= 1:
                    notes |= _almost_empty(forward, back, seq, ack, window, size)
                if size and back.scale != -1:
                    shift = 0 if back.scale == -2 else back.scale
                    if end == back.acked + (max(back.window, 0) << shift) & _MASK:
                        notes |= WINDOW_FULL
        if ack != forward.acked:
            forward.duplicates = 0
        if flags & ACK and back.continuous and back.continuous - ack & _MASK >= _HALF and not back.muted:
            notes |= ACK_LOST_SEGMENT
            back.muted = back.continuous == back.expected
            back.continuous = back.expected
        forward.muted = False
        counts = flags & (SYN | FIN) != 0
        if size or counts:
            if not notes & KEEP_ALIVE:
                threshold = self.round_trip or _NEAR_NS
                notes |= _again(forward, back, time, seq, size, size + counts, threshold)
            end = end + counts & _MASK
            if len(forward.unacked) < _UNACKED:
                if forward.unacked and seq != expected:
                    forward.disordered = True
                forward.unacked[seq << 32 | end] = None
        if not notes & ZERO_WINDOW_PROBE:
            if not expected or forward.expected - end & _MASK >= _HALF:
                forward.expected = end
                forward.expected_at = time
            if seq == forward.continuous or not forward.continuous:
                forward.continuous = forward.expected
        forward.window = window
        if back.unacked and ack != forward.acked:
            _settle(back, ack)
        forward.acked = ack
        forward.acked_at = time
        forward.last = notes
        if flags & SYN:
            _scaling(forward, back, flags, scale)
        elif self.handshake and flags & ACK and not self.round_trip:
            self.round_trip = time - self.syn_at
        return notes

    def _opening(self, side: int, time: int, flags: int, seq: int, ack: int) -> int:
        """Handshake, reset, and whether another connection begins."""
        notes = 0
        connection = self.connection
        known = connection.first[side]
        if connection.segment(side, time, flags, seq, ack):
            notes = PORTS_REUSED
            self._restart()
        elif flags & SYN and known is not None:
            if flags & ACK:
                notes = PORTS_REUSED if known != seq else 0
            else:  # the same SYN again: a reset may have moved what is expected
                self.sides[side].expected = self.sides[side].continuous
        if flags & SYN:
            if not flags & ACK:
                self.handshake, self.opener, self.syn_at = 1, side, time
            elif self.handshake == 1 and side != self.opener:
                self.handshake = 2
        if flags & RST:
            notes |= RESET
            if self.handshake == 1 and side != self.opener:
                notes |= REFUSED
        return notes


def _almost_empty(forward: _Side, back: _Side, seq: int, ack: int, window: int, size: int) -> int:
    """Notes that only a segment of no byte or one can have."""
    notes = 0
    expected = forward.expected
    if seq == expected - 1 & _MASK:
        notes = KEEP_ALIVE
    if size or seq != expected:
        return notes
    same = ack == forward.acked
    if window:
        if not same:
            return notes
        if window != forward.window:
            return notes | WINDOW_UPDATE
        if back.last & KEEP_ALIVE:
            return notes | KEEP_ALIVE_ACK
        forward.duplicates += 1
        return notes | DUPLICATE_ACK
    taken = ack == forward.acked + 1 & _MASK
    if forward.window == 0 and (same or taken) and back.last & ZERO_WINDOW_PROBE:
        if taken:  # the byte of the probe was accepted after all
            back.expected = back.continuous = ack
        notes |= ZERO_WINDOW_PROBE_ACK
    return notes


def _again(forward: _Side, back: _Side, time: int, seq: int, size: int, span: int, threshold: int) -> int:
    """Whether the segment was there before, and why; span: its size with the SYN or FIN."""
    if size and back.acked and back.acked - seq - size & _MASK < _HALF:
        return SPURIOUS_RETRANSMISSION | RETRANSMISSION
    expected = forward.expected
    if not expected or seq - expected & _MASK < _HALF:
        return 0
    if size > 1 and seq == expected - 1 & _MASK:
        return 0  # the byte before was a probe of a zero window
    if back.duplicates >= 2 and back.acked == seq and time - back.acked_at < _FAST_NS:
        return FAST_RETRANSMISSION | RETRANSMISSION
    if time - forward.expected_at < threshold and expected != seq + span & _MASK:
        if seq << 32 | seq + size & _MASK in forward.unacked:
            return RETRANSMISSION
        return OUT_OF_ORDER
    return RETRANSMISSION


def _settle(side: _Side, ack: int) -> None:
    """Forget the segments of a side that are acknowledged."""
    kept: dict[int, None] = {}
    done = []
    for packed in side.unacked:
        if ack - packed & _MASK < _HALF:
            done.append(packed)
        elif ack - (packed >> 32) & _MASK < _HALF:
            done.append(packed)
            kept[ack << 32 | packed & _MASK] = None
        elif not side.disordered:
            break
    for packed in done:
        del side.unacked[packed]
    if kept:  # what is left of a segment stands before those after it
        side.unacked = kept | side.unacked
    if not side.unacked:
        side.disordered = False


def _scaling(forward: _Side, back: _Side, flags: int, scale: int) -> None:
    """What a SYN says about the scaling of windows (RFC 7323); both sides must offer it."""
    if scale >= 0:
        forward.scale = scale
    if forward.scale == -1:
        forward.scale = back.scale = -2
    elif flags & ACK and back.scale == -2:
        forward.scale = -2
