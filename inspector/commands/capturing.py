"""`ringscope capture`: the packets that cross the rings, into files or a pipe, at whatever rate they come.

Parsing loads nothing but the standard library; what the command needs is loaded when it runs.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.commands.options import number, seconds, size

if TYPE_CHECKING:
    from capture.bpf import Program
    from capture.dfilter import Filter
    from capture.files.around import Around
    from capture.files.whole import WholeBlocks
    from capture.store import Block
    from dataplane.snapshot import Snapshot
    from dataplane.source import RingSource
    from inspector.commands.straight import Behind, Losses, Output, Straight
    from inspector.commands.watching import Signalled

_BEAT = 0.02  #: seconds between two readings
_SETTLE = 0.05  #: seconds that a frame waits for what became of its buffer
_FOR_STAGES = 0.2  #: of the time, for finding out what became of buffers
_HELD = 64  #: readings that wait for that at most
_BUDGET = 256 << 20
_TIMES = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZES = {"k": 1 << 10, "kb": 1 << 10, "mb": 1 << 20, "M": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def duration(text: str) -> float:
    """The type of a length of time with its unit: `500ms`, `5s`, `2min`, `1h`; seconds without one."""
    found = _AMOUNT.fullmatch(text)
    unit = (found[2] or "s") if found else ""
    if found is None or unit not in _TIMES:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write 500ms, 5s, 2min or 1h")
    return float(found[1]) * _TIMES[unit]


def rotation(text: str) -> tuple[int, float]:
    """The type of `--rotate`: bytes and seconds after which a new file begins, 0 where not given."""
    limits = [0.0, 0.0]
    for part in text.split(","):
        found = _AMOUNT.fullmatch(part.strip())
        unit = found[2] if found else ""
        known = _SIZES.get(unit) or _SIZES.get(unit.lower() if unit != "m" else "")
        if found is None or (unit not in _TIMES and known is None):
            raise argparse.ArgumentTypeError(
                f"{part!r} is no size and no time; write 64MB, 60s, 5min or both"
            )
        which, amount = (1, _TIMES[unit]) if unit in _TIMES else (0, known or 0)
        if limits[which]:
            raise argparse.ArgumentTypeError(
                f"{text!r} gives two {('sizes', 'times')[which]}: say one of them"
            )
        limits[which] = float(found[1]) * amount
        if limits[which] < (1.0 if which else 4096):
            raise argparse.ArgumentTypeError(f"{part!r} is too small for a file: at least 4KB, or 1s")
    return int(limits[0]), limits[1]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `ringscope capture` that are not those of the pair."""
    to = parser.add_argument_group("where to")
    to.add_argument(
        "-w",
        "--write",
        metavar="FILE",
        required=True,
        help="a pcapng file, pcap if its name ends so; - for output",
    )
    to.add_argument(
        "--rotate", metavar="SIZE|TIME", type=rotation, default=None, help="a new file after 64MB or 60s"
    )
    to.add_argument(
        "--keep",
        metavar="N",
        type=number(1, 1 << 20, "count of files"),
        default=None,
        help="of rotated files the newest N",
    )
    what = parser.add_argument_group("what")
    what.add_argument(
        "-f", "--filter", metavar="BPF", default=None, help="capture filter, tcpdump's language"
    )
    what.add_argument(
        "-Y",
        "--display-filter",
        metavar="FILTER",
        default=None,
        help="write what matches, such as 'vlan.id == 5'",
    )
    what.add_argument(
        "-s",
        "--snap",
        metavar="BYTES",
        type=number(1, 262_144, "number of bytes"),
        default=None,
        help="bytes kept of a packet",
    )
    how = parser.add_argument_group("how long")
    how.add_argument(
        "--seconds", metavar="S", type=seconds, default=None, help="how long; without it until ctrl+c"
    )
    how.add_argument(
        "-c",
        "--count",
        metavar="N",
        type=number(1, math.inf, "count"),
        default=None,
        help="end after this many packets",
    )
    how.add_argument(
        "--until",
        metavar="FILTER",
        default=None,
        help="wait for a packet that matches (or bpf:EXPR), and write the moments around it",
    )
    how.add_argument("--before", metavar="TIME", type=duration, default=None, help="of --until; 5s")
    how.add_argument("--after", metavar="TIME", type=duration, default=None, help="of --until; 5s")
    how.add_argument(
        "--budget",
        metavar="SIZE",
        type=size,
        default=_BUDGET,
        help="memory for packets not written yet, and for --before; 256M",
    )


def contradiction(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options, in one line."""
    if not options.write:
        return "-w: an empty name is no file; give -w FILE, or -w - for output"
    if options.keep is not None and options.rotate is None:
        return "--keep is for --rotate: say after what size or time a new file begins"
    if options.rotate is not None and options.write == "-":
        return "--rotate needs files: give -w FILE"
    if options.rotate is not None and options.until is not None:
        return "--rotate and --until exclude each other: the moments around a trigger are one file"
    if options.until is None and (options.before is not None or options.after is not None):
        return "--before and --after need --until: what to wait for"
    if options.until is not None and options.count is not None:
        return "--count and --until exclude each other: --before and --after say how much is written"
    return None


def capture(options: argparse.Namespace, source: RingSource, start: Callable[[], None] | None = None) -> int:
    """Do it; the exit code. Refused where it cannot be done as asked.

    `start` sets the source going: it is called when the log is on and the output stands, so that the very
    first frame is captured.
    """
    from inspector.cli import FAILED, OK, PIPE, complain
    from inspector.commands.filters import capture_filter, display_filter
    from inspector.commands.opening import Refused
    from inspector.commands.straight import Behind, Straight
    from inspector.commands.watching import until_signalled

    if problem := contradiction(options):
        raise Refused(problem)
    program = capture_filter(options.filter)
    shown = display_filter(options.display_filter)
    trigger = _trigger(options.until) if options.until is not None else None
    around = _around(options, trigger) if trigger else None
    asks = any(getattr(one, "needs_stages", False) for one in (shown, trigger))
    output = _output(options, source.snapshot(()))  # a pipe may wait for its reader here: signals end that
    failed: OSError | None = None
    with until_signalled() as stop:
        straight = Straight(source, program, options.snap or 0)
        behind = Behind(output, options.budget)
        course = _Course(behind, shown, around, options.count, asks)
        try:
            if start is not None:
                start()
            _flow(straight, course, stop, options.seconds)
            behind.close()
        except OSError as error:
            failed = error
        finally:
            behind.abandon()
    if isinstance(failed, BrokenPipeError):
        complain(f"the reader went away after {output.frames:,} frames")
        return PIPE
    _report(straight, course, output, source, failed is not None)
    if failed is not None:
        complain(f"cannot write {options.write}: {failed.strerror or failed}")
        return FAILED
    if around is not None and around.came is None:
        if options.write != "-" and os.path.isfile(options.write):
            os.unlink(options.write)
        complain(f"--until {options.until}: it never came; nothing was written")
        return FAILED
    if around is not None and around.short:
        complain(f"--budget was too small for the first {around.short / 1e9:.3f} s of the time before")
    return OK


class _Course:
    """What happens to frames on their way: stages, display filter, trigger, count."""

    def __init__(
        self, behind: Behind, shown: Filter | None, around: Around | None, count: int | None, asks: bool
    ) -> None:
        self._behind = behind
        self._shown = shown
        self._around = around
        self._left = count
        self._asks = asks
        self._came_at = 0.0
        self.hidden = 0  #: frames that the display filter did not match
        self.outside = 0  #: frames that were not around the trigger
        self.over = False

    def take(self, block: Block, losses: Losses) -> None:
        from capture.store import Block

        if self._around is None:
            parts: Iterator[Block] = iter((block,))
        else:
            parts = self._around.take(block)
            self.outside += len(block.rows)
        for part in parts:
            if self._around is not None:
                self.outside -= len(part.rows)
            if self._shown is not None:
                part = self._matching(part)
            if self._left is not None:
                n = min(self._left, len(part.rows))
                part = Block(part.rows[:n], part.data, part.offsets[:n], part.stages[:n])
                self._left -= n
                self.over = not self._left
            self._behind.put(part, losses)
            losses = ()
        if losses:
            self._behind.put(Block(block.rows[:0], block.data, block.offsets[:0], block.stages[:0]), losses)

    def beat(self) -> None:
        """Between two readings."""
        self._behind.flush()
        around = self._around
        if around is None or around.came is None:
            return
        if not self._came_at:
            self._came_at = time.monotonic()
        self.over = around.over or time.monotonic() > self._came_at + around.after / 1e9 + 2 * _SETTLE

    @property
    def came(self) -> int | None:
        """The time of the frame that was waited for."""
        return self._around.came if self._around is not None else None

    def may_look(self, share: _Share) -> bool:
        """Whether there is time to find out what became of buffers; what a filter asks for always has it."""
        return self._asks or (share.left and not self._behind.pressed)

    @property
    def waits(self) -> bool:
        """Whether the trigger has still to come, if there is one."""
        return self._around is None or self._around.came is None

    def _matching(self, block: Block) -> Block:
        from capture.files.around import chosen

        assert self._shown is not None
        wanted = self._shown.mask(block)
        self.hidden += len(block.rows) - int(wanted.sum())
        return block if wanted.all() else chosen(block, wanted)


def _flow(straight: Straight, course: _Course, stop: Signalled, seconds: float | None) -> None:
    """Frames from the log to their course until it is over, `seconds` are, or `stop` is set."""
    held: deque[tuple[float, Block, Losses]] = deque()
    share = _Share()
    now = time.monotonic()
    end = now + seconds if seconds else float("inf")
    last = False
    while not course.over:
        if not last and (stop.is_set() or (now >= end and course.waits)):
            straight.stop()
            last = True
        while (got := straight.pull()) is not None:
            held.append((time.monotonic(), *got))
            if len(held) > _HELD:
                _settle(straight, course, held, 0, share)
            if course.over or (not last and (stop.is_set() or (now >= end and course.waits))):
                break
            now = time.monotonic()
        else:
            if course.may_look(share):
                with share:
                    straight.listen()
            _settle(straight, course, held, now if not last else float("inf"), share)
            if last:
                return
        course.beat()
        now = time.monotonic()
        if not last and not course.over:
            stop.wait(min(_BEAT, max(end - now, 0)) if course.waits else _BEAT)
            now = time.monotonic()


def _settle(
    straight: Straight,
    course: _Course,
    held: deque[tuple[float, Block, Losses]],
    now: float,
    share: _Share,
) -> None:
    """Send on the frames that have waited for what became of their buffers, and those that are too many."""
    while held and (len(held) > _HELD or held[0][0] + _SETTLE <= now) and not course.over:
        _, block, losses = held.popleft()
        if course.may_look(share):
            with share:
                straight.fill(block)
        course.take(block, losses)


class _Share:
    """Keeps what is done inside it below a share of the time: the frames come first."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._spent = 0.0
        self._began = 0.0

    @property
    def left(self) -> bool:
        """Whether there is time for more."""
        now = time.monotonic()
        if now - self._since > 1:  # what was long ago counts less and less
            self._since, self._spent = now - (now - self._since) / 2, self._spent / 2
        return self._spent <= _FOR_STAGES * (now - self._since) + _BEAT

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._spent += time.monotonic() - self._began


def _around(options: argparse.Namespace, trigger: Program | Filter) -> Around:
    from capture.files.around import Around

    def nanoseconds(given: float | None) -> int:
        return int((5.0 if given is None else given) * 1e9)

    return Around(
        trigger.mask,
        before=nanoseconds(options.before),
        after=nanoseconds(options.after),
        budget_bytes=options.budget,
    )


def _trigger(text: str) -> Program | Filter:
    from inspector.commands.filters import capture_filter, display_filter
    from inspector.commands.opening import Refused

    condition: Program | Filter | None
    if text.startswith("bpf:"):
        condition = capture_filter(text.removeprefix("bpf:"), "--until bpf")
    else:
        try:
            condition = display_filter(text, "--until")
        except Refused as error:
            if re.fullmatch(r"[A-Za-z][\w-]*", text):
                raise Refused(
                    f"{error}; --until takes a display filter or bpf:EXPR, and no names of findings"
                ) from None
            raise
    if condition is None or not text.removeprefix("bpf:").strip():
        raise Refused("--until: an empty filter matches every packet; say what to wait for")
    return condition


def _output(options: argparse.Namespace, snapshot: Snapshot) -> Output:
    """What is written to. Refused where it cannot be made."""
    from capture.files.rolling import RollingWriter
    from capture.pcap import PcapWriter
    from capture.pcapng import Writer
    from inspector.commands.opening import Refused
    from inspector.sections import interfaces, section_comment

    described = interfaces(snapshot, snap=options.snap or 0, capture_filter=options.filter or "")
    comment = section_comment(snapshot)

    def create(path: Path) -> WholeBlocks:
        if path.suffix == ".pcap":
            return PcapWriter.create(path, len(described), snap=options.snap or 0)
        return Writer.create(path, described, comment)

    if options.write == "-":
        if sys.stdout.isatty():
            raise Refused("a capture is no text for a terminal: give -w FILE, or send -w - into a pipe")
        return Writer(sys.stdout.buffer, described, comment=comment)
    try:
        if options.rotate is None:
            return create(Path(options.write))
        limit, after = options.rotate
        return RollingWriter(options.write, create, size=limit, seconds=after, keep=options.keep or 0)
    except OSError as error:
        raise Refused(f"cannot write {options.write}: {error.strerror}") from None


def _report(straight: Straight, course: _Course, output: Output, source: RingSource, failed: bool) -> None:
    """The count of everything on standard error: what was logged is written, or lost, or said here."""
    logs = source.snapshot(()).logs
    parts = [f"{output.frames:,} frames written, {straight.lost:,} lost"]
    left = straight.taken - straight.unmatched - course.hidden - course.outside - output.frames
    for count, what in (
        (left if failed else 0, "taken and not written"),
        (logs.frames_filtered + straight.unmatched, "not matching the capture filter"),
        (course.hidden, "not matching the display filter"),
        (course.outside, "not around the trigger"),
        (straight.passed_over, "passed before every one was logged"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    if course.came is not None:
        clock = time.strftime("%H:%M:%S", time.localtime(course.came // 1_000_000_000))
        parts.append(f"the trigger came at {clock}.{course.came // 1_000_000 % 1000:03d}")
    print(", ".join(parts), file=sys.stderr)
