"""The lines of a followed stream: as text, as hexadecimal, as ASCII; for one side or for both."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, NamedTuple

from capture.streams import Stream, as_hex
from inspector.packets.search import Pattern
from inspector.sanitise import clean

Form = Literal["text", "hex", "ascii"]
FORMS: tuple[Form, ...] = ("text", "hex", "ascii")
_DOTS = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes that one side sent without a break, or a gap of `missing` bytes."""

    side: int
    data: bytes
    missing: int
    starts: tuple[int, ...]  #: where the bytes of each frame begin
    numbers: tuple[int, ...]  #: of those frames
    offset: int  #: bytes that the side had sent before

    def number_at(self, at: int) -> int:
        """The frame that brought byte `at`."""
        return self.numbers[max(bisect_right(self.starts, at) - 1, 0)]


class StreamLine(NamedTuple):
    """One line: of which run, from which of its bytes on; `first` of its run."""

    run: int
    at: int
    text: str
    first: bool


def runs(stream: Stream, side: int | None = None) -> list[Run]:
    """What was said in turn; of one side only where `side` says so."""
    found: list[Run] = []
    sent = [0, 0]
    parts: list[bytes] = []
    starts: list[int] = []
    numbers: list[int] = []
    who = -1

    def close() -> None:
        if parts:
            data = b"".join(parts)
            found.append(Run(who, data, 0, tuple(starts), tuple(numbers), sent[who]))
            sent[who] += len(data)
        parts.clear()
        starts.clear()
        numbers.clear()

    for segment in stream.segments:
        if side is not None and segment.side != side:
            continue
        if segment.side != who or segment.missing:
            close()
            who = segment.side
        if segment.missing:
            gap = Run(who, b"", segment.missing, (0,), (segment.number,), sent[who])
            found.append(gap)
            sent[who] += segment.missing
        elif segment.data:
            starts.append(sum(map(len, parts)) if not starts else starts[-1] + len(parts[-1]))
            numbers.append(segment.number)
            parts.append(segment.data)
    close()
    return found


def lines(said: list[Run], form: Form, width: int) -> list[StreamLine]:
    """Everything in lines of at most `width` cells, all of it printable."""
    made: list[StreamLine] = []
    for index, run in enumerate(said):
        if run.missing:
            made.append(StreamLine(index, 0, f"[{run.missing:,} bytes are missing here]", True))
            continue
        begun = len(made)
        if form == "hex" and width >= _HEX:
            for at, text in enumerate(as_hex(run.data, run.offset)):
                made.append(StreamLine(index, at * 16, text, not at))
        elif form == "hex":
            for at in range(0, len(run.data), 8):
                row = run.data[at : at + 8]
                text = f"{run.offset + at:08x}  {row.hex(' '):<23}  {row.translate(_DOTS).decode('ascii')}"
                made.append(StreamLine(index, at, text, not at))
        else:
            at = 0
            for raw in run.data.split(b"\n"):
                if at < len(run.data):
                    for text in _broken(raw, form, width):
                        made.append(StreamLine(index, at, text, len(made) == begun))
                at += len(raw) + 1
    return made


def _broken(raw: bytes, form: Form, width: int) -> list[str]:
    raw = raw.removesuffix(b"\r")
    if form == "ascii":
        text = raw.translate(_DOTS).decode("ascii")
    else:
        text = clean(raw.decode("utf-8", "backslashreplace").replace("\t", "    "))
    return [text[at : at + width] for at in range(0, len(text), width)] or [""]


def suits(stream: Stream) -> Form:
    """The form in which a stream is best read at first."""
    some = b"".join(segment.data[:512] for segment in stream.segments[:16])
    letters = sum(1 for code in some if 0x20 <= code < 0x7F or code in b"\t\r\n")
    return "text" if letters >= 0.85 * len(some) else "hex"


def find(said: list[Run], pattern: Pattern, run: int, at: int, step: int) -> tuple[int, int, bool] | None:
    """(run, byte, wrapped) of the next match after byte `at` of a run; None where there is none."""
    count = len(said)
    for turn in range(count + 1):
        index = (run + step * turn) % count
        data = said[index].data
        if step > 0:
            found = pattern.in_bytes(data, at + 1 if not turn else 0)
        else:
            found = pattern.last_in_bytes(data, at if not turn else len(data))
        if found is not None:
            wrapped = turn > 0 and (index <= run if step > 0 else index >= run)
            return index, found[0], wrapped
    return None


_HEX = 78  #: cells of a row of sixteen bytes
