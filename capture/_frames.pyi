"""Frames by the batch, in C: into the blocks of capture files and out of them, and through capture filters.

Every argument but numbers is a contiguous buffer of whole items: rows of `capture.frame.RECORD` and `STAGES`,
offsets as int64, `captured` and `lengths` as uint32. Frame i is data[offsets[i] : offsets[i] + captured].
ValueError where sizes do not fit together or a frame lies outside its data; nothing outside the buffers is
read or written, whatever they hold. The GIL is released while frames are gone through.
"""

from typing import Any

from numpy.typing import NDArray

Buffer = bytes | bytearray | memoryview | NDArray[Any]

def pcapng_blocks(
    rows: Buffer,
    data: Buffer,
    offsets: Buffer,
    stages: Buffer | None,
    start: int,
    tallies: Buffer,
    out: Buffer,
    state: Buffer,
    /,
) -> int:
    """Formats frames from `start` on as enhanced packet blocks behind out[:state[0]], as many as fit.

    state: two uint64, bytes used of `out` and the frames among them; tallies: `files.whole.TALLY`, one for
    each interface described. Both are brought up to date, also where ValueError tells of a bad row. Returns
    the first frame that did not fit.
    """

def pcap_records(
    rows: Buffer,
    data: Buffer,
    offsets: Buffer,
    stages: Buffer | None,
    start: int,
    tallies: Buffer,
    out: Buffer,
    state: Buffer,
    /,
) -> int:
    """The same as records of a pcap file with nanoseconds; stages are not used."""

def pcapng_frames(
    file: Buffer,
    size: int,
    at: int,
    swapped: bool,
    interfaces: Buffer,
    rows: Buffer,
    offsets: Buffer,
    stages: Buffer,
    out: Buffer,
    state: Buffer,
    /,
) -> int:
    """Takes the enhanced packet blocks that stand one behind the other from file[at] on, before file[size].

    interfaces: `files.opened.INTERFACE` of this section. state: two uint64, the frames and the bytes that
    are in rows, offsets, stages and `out` already. Returns where the first byte stands that was not taken:
    another block, a damaged or incomplete one, or one without room.
    """

def pcap_frames(
    file: Buffer,
    size: int,
    at: int,
    swapped: bool,
    unit: int,
    rows: Buffer,
    offsets: Buffer,
    stages: Buffer,
    out: Buffer,
    state: Buffer,
    /,
) -> int:
    """The same for the records of a pcap file; `unit` is nanoseconds in one of its fraction of a second."""

def facts(comment: Buffer, row: Buffer, stages: Buffer, /) -> None:
    """Reads ring facts from a comment as the writer words them into one row and its stages.

    Times are relative to the time of the row. What the comment does not say stays as it is.
    """

def words(row: Buffer, stages: Buffer | None, /) -> str:
    """The ring facts of one row as the writer puts them into a comment: "head=12 descriptors=2 ..."."""

def bpf_mask(
    instructions: Buffer, data: Buffer, offsets: Buffer, captured: Buffer, lengths: Buffer, out: Buffer, /
) -> None:
    """out[i] = 1 where the filter program matches frame i, else 0; one byte each.

    instructions: 8 bytes each, struct bpf_insn in the machine's order. ValueError for an unsound program.
    """

def gather(data: Buffer, offsets: Buffer, captured: Buffer, out: Buffer, /) -> int:
    """Copies frames end to end into `out`; the bytes that they take."""
