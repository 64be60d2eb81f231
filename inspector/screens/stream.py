"""A stream: "what did the two ends say to each other?" """

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from capture.frame import TO_DEVICE
from capture.streams import Stream, follow, kind_of
from inspector.numbers import count
from inspector.packets.search import HINT, Pattern, parse
from inspector.packets.streamlines import FORMS, Form, Run, StreamLine, find, lines, runs, suits
from inspector.sanitise import clean, one_line
from inspector.screens.sheet import Sheet
from inspector.widgets.pane import Piece, ScrollPane, title
from inspector.widgets.pane import line as strip

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_LIMIT = 8 << 20  #: bytes of a stream that are shown


def open_stream(app: RingscopeApp, number: int) -> None:
    """Show what the two ends of a packet's stream said; say so where it is part of none."""
    try:
        kind_of(app.session.frames, number)
    except LookupError:
        app.tell(f"packet {number} is no longer kept", "flux")
    except ValueError:
        app.tell(f"packet {number} is no TCP or UDP, and only these have streams")
    else:
        app.open_stream(number)


class StreamView(ScrollPane):
    """What was said, line by line; a mark in front and the colour tell who said it."""

    BINDING_GROUP_TITLE = "What was said"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="stream.up", show=False, tooltip="The line above"),
        Binding("down,j", "move(1)", "down", id="stream.down", show=False, tooltip="The line below"),
        Binding("pageup", "page(-1)", "page up", id="stream.page_up", show=False, tooltip="A page up"),
        Binding("pagedown", "page(1)", "page down", id="stream.page_down", show=False, tooltip="A page on"),
        Binding("home,g", "end(-1)", "first", id="stream.first", show=False, tooltip="The first line"),
        Binding("end,G", "end(1)", "last", id="stream.last", show=False, tooltip="The last line"),
    ]

    class Resized(Message):
        """There is room for longer or shorter lines."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.said: list[Run] = []
        self.meanings = ("text", "text")
        self.about: tuple[str, ...] = ()
        self.note = "gathering the stream"
        self.at = 0
        self._lines: list[StreamLine] = []

    @property
    def width(self) -> int:
        """Cells that a line has."""
        return max(self.scrollable_content_region.width - 4, 16)

    def put(self, said: list[Run], made: list[StreamLine], note: str) -> None:
        here = self.place
        self.said, self._lines, self.note = said, made, note
        self.at = 0
        self.set_lines(len(made))
        self.go_to(*here)
        self.refresh()

    @property
    def place(self) -> tuple[int, int]:
        """The run and the byte under the cursor."""
        if not self._lines:
            return 0, 0
        line = self._lines[self.at]
        return line.run, line.at

    def go_to(self, run: int, at: int) -> None:
        """Put the cursor on the line that holds a byte of a run."""
        if self._lines:
            after = bisect_right(self._lines, (run, at), key=_place)
            self.at = bisect_left(self._lines, _place(self._lines[max(after - 1, 0)]), key=_place)
            self.reveal(self.at)

    def render_line(self, y: int) -> Strip:
        ink, width = self.ink, self.size.width
        if y == 0:
            about: list[Piece] = [(words, ink("muted", "panel")) for words in self.about]
            return title(ink, width, "stream", about, self.has_focus)
        at = self.top + y - self.HEAD
        if at >= len(self._lines):
            text = f"   {self.note}" if y == self.HEAD and not self._lines else ""
            return strip(width, [(text, ink("muted"))], ink("text"))
        line = self._lines[at]
        run = self.said[line.run]
        ground = "selected" if at == self.at else "surface"
        style = ink("flux" if run.missing else self.meanings[run.side], ground)
        mark = ("→" if self.meanings[run.side] == "driver" else "←") if line.first else "│"
        bar = "▌" if at == self.at and self.has_focus else " "
        pieces: list[Piece] = [(bar, ink("accent", ground)), (f"{mark} ", ink("muted", ground))]
        return strip(width, [*pieces, (line.text, style)], ink("text", ground))

    def action_move(self, step: int) -> None:
        self.at = min(max(self.at + step, 0), max(len(self._lines) - 1, 0))
        self.reveal(self.at)

    def action_page(self, step: int) -> None:
        self.action_move(step * max(self.room - 1, 1))

    def action_end(self, way: int) -> None:
        self.action_move(way * max(len(self._lines), 1))

    def on_resize(self) -> None:
        self.post_message(self.Resized())


class StreamScreen(Sheet[int]):
    """Returns the number of the packet to go to, None where none was chosen."""

    BINDING_GROUP_TITLE = "Stream"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "form", "text/hex/ASCII", id="stream.form", tooltip="The same as text, hex or ASCII"),
        Binding("e", "side", "ends", id="stream.side", tooltip="Both ends, or only one of them"),
        Binding("enter", "packet", "its packet", id="stream.packet", tooltip="The packet that brought this"),
        Binding("n", "again(1)", "next match", id="stream.next", show=False, tooltip="The next place found"),
        Binding("N", "again(-1)", "match before", id="stream.before", show=False, tooltip="The one before"),
    ]
    FOOT_FIRST = ("stream.form", "stream.side", "search", "write", "stream.packet", "sheet.leave")
    DEFAULT_CSS = "StreamScreen StreamView { height: 1fr; background: $surface; }"

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._stream: Stream | None = None
        self._meanings = ("driver", "device")
        self._form: Form = "text"
        self._side: int | None = None
        self._pattern: Pattern | None = None

    @property
    def stream_view(self) -> StreamView:
        return self.query_one(StreamView)

    def body(self) -> Iterable[Widget]:
        yield StreamView(id="stream")

    def on_mount(self) -> None:
        self.stream_view.focus()
        self.run_worker(self._gather(), group="stream", exclusive=True, exit_on_error=False)

    async def _gather(self) -> None:
        store = self.session.frames
        try:
            stream = await asyncio.to_thread(follow, store, self._number, _LIMIT)
        except (LookupError, ValueError) as error:
            self.stream_view.put([], [], clean(str(error)))
            return
        except Exception as error:
            self.stream_view.put([], [], one_line(error))
            return
        self._stream = stream
        self._meanings, self._form = self._colours(stream), suits(stream)
        await self._lay_out()

    def _colours(self, stream: Stream) -> tuple[str, str]:
        """Whoever sent a side's bytes gives it its colour: driver or device."""
        for segment in stream.segments:
            try:
                sent = self.session.frames.frame(segment.number).direction == TO_DEVICE
            except LookupError:
                continue
            return ("driver", "device") if sent == (segment.side == 0) else ("device", "driver")
        return "driver", "device"

    async def _lay_out(self) -> None:
        """Make the lines anew, for the form, the side and the width; on a thread: there may be many."""
        stream, view = self._stream, self.stream_view
        if stream is None:
            return
        form, side, width = self._form, self._side, view.width
        said = await asyncio.to_thread(runs, stream, side)
        made = await asyncio.to_thread(lines, said, form, width)
        if (form, side, width) == (self._form, self._side, view.width):
            view.meanings = self._meanings
            view.about = self._about(stream)
            view.put(said, made, "no end of it sent any data")

    def _about(self, stream: Stream) -> tuple[str, ...]:
        """What the title says, the most telling first: what does not fit is left out from its end."""
        ends = _end(stream.a, stream.a_port), _end(stream.b, stream.b_port)
        arrows = ["→" if meaning == "driver" else "←" for meaning in self._meanings]
        three = zip(arrows, ends, stream.sizes, strict=True)
        sizes = [f"{arrow} {end} {count(size)} bytes" for arrow, end, size in three]
        if self._side is not None:
            sizes = [sizes[self._side]]
        words = [f"{stream.kind.upper()} as {self._form}"]
        if sum(stream.missing):
            words.append(f" · {count(sum(stream.missing))} bytes missing")
        if stream.cut:
            words.append(f" · only the first {count(_LIMIT)} bytes")
        return (*words, *(f" · {size}" for size in sizes))

    def on_stream_view_resized(self, event: StreamView.Resized) -> None:
        event.stop()
        self._again()

    def _again(self) -> None:
        self.run_worker(self._lay_out(), group="lines", exclusive=True, exit_on_error=False)

    # keys

    def action_form(self) -> None:
        self._form = FORMS[(FORMS.index(self._form) + 1) % len(FORMS)]
        self._again()

    def action_side(self) -> None:
        self._side = {None: 0, 0: 1, 1: None}[self._side]
        self._again()

    def action_packet(self) -> None:
        view = self.stream_view
        if view.said:
            run, at = view.place
            self.dismiss(view.said[run].number_at(at))

    def copy_text(self) -> str | None:
        """The line under the cursor."""
        view = self.stream_view
        return view._lines[view.at].text if view._lines else None

    def search(self) -> None:
        from inspector.prompt import Prompt

        before = self._pattern.text if self._pattern else ""
        history = self.ringscope.remembered.searches
        prompt = Prompt("search the stream", before, HINT, check=parse, history=history)
        self.app.push_screen(prompt, self._look)

    def _look(self, text: str | None) -> None:
        if text is not None:
            self._pattern = parse(text)
            self.ringscope.remember("searches", text)
            self.action_again(1)

    def action_again(self, step: int) -> None:
        view, pattern = self.stream_view, self._pattern
        if pattern is None:
            self.ringscope.tell("nothing was searched for yet: / does")
            return
        if not view.said:
            return
        found = find(view.said, pattern, *view.place, step)
        if found is None:
            self.ringscope.tell(f"nothing in this stream is {clean(pattern.text)}", "flux")
            return
        run, at, wrapped = found
        view.go_to(run, at)
        again = f", {'from the top' if step > 0 else 'from the end'} again" if wrapped else ""
        self.ringscope.tell(f"{clean(pattern.text)} is at byte {at} of what was said here{again} · n next")

    def write(self) -> None:
        from inspector.prompt import Prompt

        if self._stream is None:
            return
        stream, what = self._stream, "both ends"
        if self._side is not None:
            what = _end(*((stream.a, stream.a_port), (stream.b, stream.b_port))[self._side])
        name = f"stream-{stream.first_number}.bin"
        hint = "the bytes as they were sent · enter writes · esc back"
        self.app.push_screen(Prompt(f"write what {what} said to", name, hint), self._write)

    def _write(self, path: str | None) -> None:
        from inspector.asking import work

        stream, side = self._stream, self._side
        if path and stream is not None:
            work(self.ringscope, f"writing {path}", lambda _: save(stream, side, path))


def save(stream: Stream, side: int | None, path: str) -> str:
    """Write the bytes of a stream to a new file; one line that says how many. OSError in one line."""
    path = os.path.expanduser(path)
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(stream.raw(side))
    except FileExistsError:
        raise OSError(f"{path} exists already; nothing was written") from None
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from None
    gaps = sum(stream.missing) if side is None else stream.missing[side]
    missing = f"; {count(gaps)} bytes are missing in it" if gaps else ""
    return f"{count(os.path.getsize(path))} bytes written to {path}{missing}"


def _place(line: StreamLine) -> tuple[int, int]:
    return line.run, line.at


def _end(address: str, port: int) -> str:
    address = clean(address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
