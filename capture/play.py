"""Frames to play: from the shipped capture or from a file, in time order and with a direction each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import IO, NamedTuple

from capture.errors import CaptureError
from capture.files.window import Window
from capture.frame import TO_DEVICE, TO_DRIVER
from capture.pcap import ETHERNET, MAGICS, Packet, read_pcap
from capture.pcapng import SECTION, read_pcapng

MIX = "mix.pcapng"


class PlayFrame(NamedTuple):
    """One frame: when (from the first), which way, its bytes, and the net header to send it with."""

    offset_ns: int
    direction: int
    data: bytes
    net_header: bytes = b""


def read(file: IO[bytes]) -> Iterator[Packet]:
    """The frames of a pcap or pcapng file, whichever it is, open at its first byte."""
    window = Window(file)
    window.have(4)
    magic = window.bytes[:4]
    if magic == SECTION:
        return read_pcapng(window)
    if magic in MAGICS:
        return read_pcap(window)
    if not magic:
        raise CaptureError("it is empty: no capture, not even one without frames")
    raise CaptureError("neither a pcap nor a pcapng file; give a capture as tcpdump -w or Wireshark write it")


def read_play(
    path: str | Path, limit_bytes: int = 1 << 30, warn: Callable[[str], None] | None = None
) -> list[PlayFrame]:
    """The Ethernet frames of a capture file. OSError or CaptureError (one line, with the path) otherwise.

    Where the file does not tell directions, frames from the source address of the first frame go to the
    device and all others to the driver. A comment with `vnet=HEX` gives the net header. With `warn` a damaged
    file gives the frames before the damage, and `warn` one line.
    """
    with open(path, "rb") as file:
        damage: list[str] = []
        try:
            packets = read(file)
            frames = arrange(_sound(packets, damage) if warn else packets, limit_bytes)
        except CaptureError as why:
            raise CaptureError(f"{path}: {damage[0] if damage else why}") from None
    if warn and damage:
        warn(f"{path}: {damage[0]}; the {len(frames):,} frames before it are played")
    return frames


def _sound(packets: Iterator[Packet], damage: list[str]) -> Iterator[Packet]:
    """Packets up to the first damage, which is then told in `damage`."""
    try:
        yield from packets
    except CaptureError as why:
        damage.append(str(why))


def load_mix() -> list[PlayFrame]:
    """The lifelike traffic that is shipped with the program."""
    with files("capture").joinpath(MIX).open("rb") as file:
        return arrange(read_pcapng(file))


def arrange(packets: Iterator[Packet], limit_bytes: int = 1 << 30) -> list[PlayFrame]:
    """Frames to play from those of a capture, sorted by time."""
    frames, driver, total = [], None, 0
    for packet in packets:
        if packet.link_type != ETHERNET:
            raise CaptureError(f"link type {packet.link_type}; only Ethernet (link type 1) can be played")
        if not packet.data:
            continue
        total += len(packet.data)
        if total > limit_bytes:
            raise CaptureError(f"more than {limit_bytes >> 20} MiB of frames; cut it with editcap -r")
        source = packet.data[6:12]
        driver = source if driver is None else driver
        guessed = TO_DEVICE if source == driver else TO_DRIVER
        direction = guessed if packet.direction is None else packet.direction
        frames.append(PlayFrame(packet.time, direction, packet.data, net_header(packet.comment)))
    if not frames:
        raise CaptureError("no frames in it")
    frames.sort(key=lambda frame: frame.offset_ns)
    start = frames[0].offset_ns
    return [frame._replace(offset_ns=frame.offset_ns - start) for frame in frames]


def net_header(comment: str) -> bytes:
    """The net header that a comment gives as `vnet=HEX` (10, 12 or 20 bytes); empty where there is none."""
    for word in comment.split():
        if word.startswith("vnet="):
            try:
                header = bytes.fromhex(word[5:])
            except ValueError:
                return b""
            return header if len(header) in (10, 12, 20) else b""
    return b""
