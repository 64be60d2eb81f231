"""`ringscope dissect`: a capture file without a screen, frame by frame and in bounded memory.

Columns and filters are numpy and plain Python; scapy is only asked, in its own process, where the tree is
wanted. Standard input is shown as it comes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from typing import IO

import numpy as np

from capture.dissect import Dissector
from capture.errors import CaptureError
from capture.fields import Tree
from capture.files.opened import Reader
from capture.frame import Array, Frame, frame_of
from capture.pcap import ETHERNET
from capture.store import Block
from inspector.cli import FAILED, OK, complain
from inspector.commands.dissected import document, line, tree_lines
from inspector.commands.filters import capture_filter, display_filter, field_names
from inspector.commands.opening import Refused
from inspector.sanitise import clean

_LINES = 256  #: written at a time
_Show = Callable[[Block, Array], Iterator[str]]  #: the lines of some frames of a block, by their places in it


def dissect(options: argparse.Namespace) -> int:
    """The command; its exit code. Refused where it cannot be done as asked."""
    wanted = (capture_filter(options.filter), display_filter(options.display_filter))
    filters = [chosen for chosen in wanted if chosen is not None]
    names = None if options.fields is None else field_names(options.fields)
    left, passed_over = options.count or math.inf, 0
    name = "standard input" if options.file == "-" else options.file
    with ExitStack() as stack:
        try:
            reader = Reader(stack.enter_context(_opened(options.file)))
        except (CaptureError, OSError) as error:
            raise Refused(f"{name}: {error.strerror if isinstance(error, OSError) else error}") from None
        show = _show(options, names, reader, stack)
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        for block in reader:
            mask = np.ones(len(block.rows), bool)
            if filters:
                foreign = _foreign(reader, block)
                passed_over += int(foreign.sum())
                mask = np.logical_and.reduce([~foreign, *(chosen.mask(block) for chosen in filters)])
            picks = np.flatnonzero(mask)
            picks = picks[: int(min(left, len(picks)))]
            left -= len(picks)
            lines = show(block, picks)
            while some := list(islice(lines, _LINES)):
                sys.stdout.write("\n".join(some) + "\n")
            sys.stdout.flush()
            if left <= 0:
                return OK
        if passed_over:
            complain(f"{name}: {passed_over:,} frames are not Ethernet, so no filter was asked of them")
        for warning in reader.warnings:
            complain(f"{name}: {warning}")
        return FAILED if reader.warnings else OK


def _foreign(reader: Reader, block: Block) -> Array:
    """Which frames of a block are not Ethernet."""
    links = np.array([known.link_type for known in reader.interfaces])
    foreign: Array = links[block.rows["interface"]] != ETHERNET
    return foreign


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise Refused("a capture is nothing to be typed: give a FILE, or pipe one in")
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    with file:
        yield file


def _show(
    options: argparse.Namespace, names: Sequence[str] | None, reader: Reader, stack: ExitStack
) -> _Show:
    """How frames are shown: what the options ask for."""
    if names is not None:
        return _fields(names, reader)
    if not options.tree and not options.json:
        return _lines(reader)
    if not options.tree:
        return _objects(reader, None)
    # in a process of its own: whatever a frame does to a parser costs only its own tree
    dissector = stack.enter_context(closing(Dissector()))
    return _objects(reader, dissector) if options.json else _trees(reader, dissector)


def _lines(reader: Reader) -> _Show:
    """A line a frame; times count from the first frame of the file."""
    start: int | None = None
    arrow = "→".encode(sys.stdout.encoding or "ascii", "ignore")

    def show(block: Block, picks: Array) -> Iterator[str]:
        nonlocal start
        rows = block.rows
        if start is None and len(rows):
            start = int(rows["time"][0])
        links = [known.link_type for known in reader.interfaces]
        wanted = ("number", "time", "captured", "length", "interface")
        columns = [rows[name][picks].tolist() for name in wanted]
        for at, number, time, captured, length, interface in zip(
            block.offsets[picks].tolist(), *columns, strict=True
        ):
            data = bytes(block.data[at : at + captured])
            text = line(number, time - (start or 0), data, length, links[interface])
            yield text if arrow else text.replace("→", "->")

    return show


def _fields(names: Sequence[str], reader: Reader) -> _Show:
    """Values of fields, separated by tabs; of frames that are not Ethernet only those that no header has."""
    from capture.batch import Batch
    from inspector.commands.fieldtext import texts

    of_headers = ["." in name and not name.startswith(("frame.", "vnet.")) for name in names]

    def show(block: Block, picks: Array) -> Iterator[str]:
        batch = Batch(block)
        columns = [texts(batch, name) for name in names]
        foreign = _foreign(reader, block)[picks].tolist()
        for pick, none in zip(picks.tolist(), foreign, strict=True):
            yield "\t".join(
                "" if none and inside else clean(column[pick])
                for column, inside in zip(columns, of_headers, strict=True)
            )

    return show


def _frames(block: Block, picks: Array) -> Iterator[tuple[Frame, Array]]:
    for pick in picks.tolist():
        row = block.rows[pick]
        at = int(block.offsets[pick])
        yield frame_of(row, bytes(block.data[at : at + int(row["captured"])])), block.stages[pick]


def _objects(reader: Reader, dissector: Dissector | None) -> _Show:
    def show(block: Block, picks: Array) -> Iterator[str]:
        for frame, stages in _frames(block, picks):
            interface = reader.interfaces[frame.interface]
            tree = _tree(frame, interface.link_type, dissector) if dissector is not None else None
            yield json.dumps(document(frame, stages, interface, tree))

    return show


def _trees(reader: Reader, dissector: Dissector) -> _Show:
    def show(block: Block, picks: Array) -> Iterator[str]:
        for frame, stages in _frames(block, picks):
            interface = reader.interfaces[frame.interface]
            yield from tree_lines(frame, stages, interface, _tree(frame, interface.link_type, dissector))

    return show


def _tree(frame: Frame, link_type: int, dissector: Dissector) -> Tree:
    if link_type != ETHERNET:
        return Tree(frame.number, (), f"link type {link_type} is not Ethernet")
    return dissector.dissect(frame.number, frame.data, frame.net_header)
