"""The app in a terminal of its own while hostile frames cross the ring: nothing foreign reaches the terminal.

Every byte that the terminal receives is parsed. The short form plays fewer frames; RINGSCOPE_FULL=1 in the
environment asks for fifty thousand.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.frames.hostile import ESCAPES, MARK

ROOT = Path(__file__).resolve().parent.parent.parent
COUNT = 50_000 if os.environ.get("RINGSCOPE_FULL") == "1" else 3_000
SECONDS = 600.0  #: until it is given up

#: In the terminal: plays frames, walks through the packets, counts what is painted, and leaves.
PROGRAM = """
import json, sys, time
from pathlib import Path
from capture.frame import TO_DEVICE, TO_DRIVER
from capture.play import PlayFrame
from dataplane.pair import Pair
import inspector.app
from inspector.app import RingscopeApp
from tests.frames.hostile import frames

count, result = int(sys.argv[1]), Path(sys.argv[2])

class Watched(RingscopeApp):
    CSS_PATH = str(Path(inspector.app.__file__).with_name("app.tcss"))
    paints, largest, last, walked, beat, stall = 0, 0.0, 0.0, 0, 0.0, 0.0

    def _display(self, screen, renderable):
        super()._display(screen, renderable)
        now = time.monotonic()
        if self.walked > 10:
            self.largest = max(self.largest, now - self.last)
        self.last = now
        self.paints += 1

    async def on_mount(self):
        self.call_later(self.action_view, "packets")
        self.set_interval(0.05, self.walk)

    def walk(self):
        self.walked += 1
        now = time.monotonic()
        if self.walked > 10:
            self.stall = max(self.stall, now - self.beat - 0.05)
        self.beat = now
        key = ("up", "up", "up", "tab", "down", "end", "tab", "tab")[self.walked % 8]
        self.simulate_key(key)
        total = self.session.frames.last
        if total >= count and self.walked > 60:
            dissector = getattr(self.view, "_dissector", None)
            result.write_text(json.dumps({
                "frames": total, "paints": self.paints, "largest": self.largest, "walked": self.walked,
                "stall": self.stall,
                "restarts": getattr(dissector, "restarts", -1),
            }))
            self.exit()

played = [PlayFrame(n * 200_000, TO_DEVICE if n % 2 else TO_DRIVER, data)
          for n, data in enumerate(frames(count)) if len(data) >= 14]
with Pair() as pair:
    pair.play(played)
    pair.start()
    Watched(pair).run()
"""

#: What the toolkit itself writes: CSI, its own OSC and DCS, single-letter escapes.
_CSI = re.compile(rb"\x1b\[([0-?]*)[ -/]*([@-~])")
_OTHER = re.compile(
    rb"\x1b(?:[78=>]|[()][0-9A-B]|P\+q[0-9a-fA-F;]*\x1b\\|\][0-9]+;[^\x07\x1b]*(?:\x07|\x1b\\))"
)
_FOREIGN = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def in_pty(command: list[str], columns: int, rows: int, seconds: float) -> tuple[bytes, int]:
    """Runs a command in a terminal of this size; all that it wrote, and its exit status."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True, cwd=ROOT
    )
    os.close(theirs)
    written = bytearray()
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 1.0)
            if ready:
                try:
                    piece = os.read(ours, 1 << 16)
                except OSError:  # the other end is closed: Linux says so with EIO
                    break
                if not piece:
                    break
                written += piece
            elif process.poll() is not None:
                break
        return bytes(written), process.wait(max(deadline - time.monotonic(), 1.0))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def foreign(written: bytes) -> list[str]:
    """What in the bytes for a terminal no application of ours means: a marked sequence, a stray control."""
    mark = str(MARK).encode()
    found = [f"{match[0]!r}" for match in _CSI.finditer(written) if mark in match[1]]
    found += [f"{match[0]!r}" for match in _OTHER.finditer(written) if mark in match[0]]
    left = _OTHER.sub(b"", _CSI.sub(b"", written)).decode("utf-8", "surrogateescape")
    found += [f"{left[max(match.start() - 8, 0) : match.end() + 8]!r}" for match in _FOREIGN.finditer(left)]
    return found


@pytest.mark.parametrize("escape", ESCAPES[:-1])
def test_what_is_foreign_would_be_found(escape: bytes) -> None:
    clean = b"\x1b[?1049h\x1b[1;1H\x1b[38;2;1;2;3mtext\x1b[0m\r\n"
    assert foreign(clean + clean) == []
    shown = escape.decode("utf-8", "surrogateescape")
    if any(0xDC80 <= ord(letter) <= 0xDC9F for letter in shown):  # as a terminal would get it from a str
        escape = escape.decode("latin1").encode()
    assert foreign(clean + escape + clean)


def test_nothing_foreign_reaches_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "result.json"
    command = [sys.executable, "-c", PROGRAM, str(COUNT), str(result)]
    written, status = in_pty(command, 120, 40, SECONDS)
    assert result.exists(), written[-2000:]
    assert status == 0
    report = json.loads(result.read_text())
    with capsys.disabled():
        print(f"\n{report['frames']} frames, {report['paints']} paints, "
              f"largest gap between two {report['largest'] * 1e3:.0f} ms, "
              f"longest stall {report['stall'] * 1e3:.0f} ms, "
              f"{report['restarts']} restarts of the dissector, "
              f"{len(written)} bytes to the terminal")  # fmt: skip
    assert report["frames"] >= COUNT
    assert report["paints"] > 30
    assert str(MARK).encode() in written, "the texts were never shown"
    assert foreign(written) == []
