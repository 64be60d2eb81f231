"""What a painted frame costs in a real terminal: CPU milliseconds at 160x50, everything changing.

    python tests/bench/screen.py --json

For rings of 256 and 32768 slots, the descriptor table alone and the whole Rings screen. Frames of two
descriptors each go by so fast that between two pictures every slot holds another buffer at another address.
Counted is what all threads but the two sides' run between two pictures: reading the source, drawing, and
writing to the terminal; `feed_ms` is the share of the reading.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from measure import cpu_ns, cpu_without_engine, report
from terminal import STYLE, in_terminal
from textual.app import ComposeResult
from textual.screen import Screen

from dataplane.pair import Pair
from dataplane.records import Path as DescriptorPath
from inspector.app import RingscopeApp
from inspector.messages import Ticked
from inspector.session import Selection, Tick
from inspector.widgets.table import Descriptors

SIZES = (256, 32768)
RATE = 500_000  #: frames a second; at 15 pictures a second each slot of the largest ring changes
WARM = 20  #: pictures before the first that counts
LIMITS = {"table": 12.0, "rings": 25.0}  #: CPU ms


class TableScreen(Screen[None]):
    """The descriptor table and nothing else."""

    def compose(self) -> ComposeResult:
        yield Descriptors(id="table")

    def show(self, tick: Tick) -> None:
        table = self.query_one(Descriptors)
        table.selected = 1
        table.show(tick)

    def selection_changed(self, selection: Selection) -> None:
        self.query_one(Descriptors).selected = selection.queue


class Counted(RingscopeApp):
    """Paints so many pictures, and leaves what they cost."""

    CSS_PATH = STYLE

    def __init__(self, source: Pair, what: str, pictures: int) -> None:
        super().__init__(source)
        self._what = what
        self._wanted = pictures
        self._seen = 0
        self._start = (0, 0)
        self.cost: dict[str, float] = {}
        self.session.select(queue=1)

    async def action_view(self, name: str) -> None:
        if self._what == "table":
            self.add_mode("table", TableScreen)
            await self.switch_mode("table")
        else:
            await super().action_view(name)

    def _clocks(self) -> tuple[int, int]:
        feed = self.feed._thread.native_id
        return cpu_without_engine(), cpu_ns(feed) if feed else 0

    def on_ticked(self, message: Ticked) -> None:
        """Runs before the app's own, which paints: the toolkit calls both."""
        self._seen += 1
        if self._seen == WARM:
            self.session.select(queue=1)
            if self._what == "rings":
                self.view.selection_changed(self.session.selection)  # type: ignore[attr-defined]
            self._start = self._clocks()
        if self._seen == WARM + self._wanted:
            now = self._clocks()
            whole, feed = ((b - a) / 1e6 / self._wanted for a, b in zip(self._start, now, strict=True))
            self.cost = {
                "frame_ms": whole,
                "feed_ms": feed,
                "hertz": message.tick.hertz,
                "missed": message.tick.missed,
            }
            self.exit()


def inside(what: str, size: int, layout: Any, pictures: int, result: Path) -> None:
    """In the terminal: paints and leaves the numbers in a file."""
    with Pair(
        layout=layout, queue_size=size, path=DescriptorPath.CHAIN, driver="interrupt", device="interrupt"
    ) as pair:
        pair.flood(length=300)
        pair.set_rate(RATE)
        pair.start()
        app = Counted(pair, what, pictures)
        app.run()
        if app.cost:
            result.write_text(json.dumps({"what": what, "slots": size, "layout": layout, **app.cost}))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=150, metavar="N", help="that count, of each kind")
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", nargs=3, metavar=("WHAT", "SLOTS", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pictures < 1:
        parser.error("at least one picture")
    if options.inside:
        what, slots, result = options.inside
        inside(what, int(slots), options.layout, options.pictures, Path(result))
        return
    results = [
        in_terminal(
            [
                __file__,
                "--pictures",
                str(options.pictures),
                "--layout",
                options.layout,
                "--inside",
                what,
                str(size),
            ]
        )
        for what in LIMITS
        for size in SIZES
    ]
    lines = [
        f"{r['what']:5} {r['slots']:5} slots: {r['frame_ms']:.1f} ms a picture (reading {r['feed_ms']:.1f}), "
        f"{r['hertz']:.1f} a second; wanted at most {LIMITS[r['what']]:g}"
        for r in results
    ]
    growth = {
        what: results[2 * i + 1]["frame_ms"] / results[2 * i]["frame_ms"] for i, what in enumerate(LIMITS)
    }
    lines += [
        f"{what:5} 32768 slots cost {factor:.2f} times 256; wanted at most 1.3"
        for what, factor in growth.items()
    ]
    report(
        {"benchmark": "screen", "terminal": "160x50", "results": results, "growth": growth},
        "\n".join(lines),
        options.json,
    )


if __name__ == "__main__":
    main()
