"""What looking costs the engine: its throughput while it is watched, divided by that while it is not.

    python tests/bench/observer.py --json

Both sides poll. Within one process the feed runs for 250 ms, then rests for 250 ms, and so on; each watched
slice is compared with the mean of the two around it. First the app's own feed alone, 15 readings a second;
then the whole app, painting in a real terminal of 160x50. The median ratio, and where it lies with 95 %
confidence.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from engine import received
from measure import Stopwatch, interval, report, sides
from terminal import STYLE, in_terminal

from dataplane.pair import Pair
from inspector.app import RingscopeApp
from inspector.diagnosis import HERTZ
from inspector.feed import Feed
from inspector.session import Session

SLICE = 0.25  #: seconds
SETTLE = 0.02  #: seconds of each slice left out: a picture under way when the feed stops
NEEDED = 0.98


class Nobody:
    """Takes readings and does nothing with them."""

    def post_message(self, _message: object) -> bool:
        return True


def slices(pair: Pair, session: Session, target: Any, alternations: int) -> dict[str, Any]:
    """Alternates; the ratios and what became of them."""
    watched = sides()
    rates: list[float] = []
    cpu: list[float] = []
    for number in range(2 * alternations + 1):
        feed = Feed(session, target, HERTZ) if number % 2 else None
        if feed:
            feed.start()
        time.sleep(SETTLE)
        before, watch = received(pair), Stopwatch(watched)
        time.sleep(SLICE - SETTLE)
        sample = watch.sample(received(pair) - before)
        if feed:
            feed.stop()
        rates.append(sample.value)
        cpu.append(min(sample.run))
    ratios = [
        2 * rates[i] / (rates[i - 1] + rates[i + 1])
        for i in range(1, len(rates) - 1, 2)
        if rates[i - 1] + rates[i + 1]
    ]
    low, high = interval(ratios)
    return {
        "ratio": statistics.median(ratios), "low": low, "high": high, "alternations": len(ratios),
        "unwatched_mpps": statistics.median(rates[::2]) / 1e6,
        "watched_mpps": statistics.median(rates[1::2]) / 1e6,
        "unwatched_cpu": statistics.median(cpu[::2]), "watched_cpu": statistics.median(cpu[1::2]),
    }  # fmt: skip


def flooding(layout: Any) -> Pair:
    """A pair as `ringscope --traffic flood` makes it, polling."""
    pair = Pair(layout=layout, driver="poll", device="poll")
    pair.flood()
    pair.start()
    return pair


def feed_alone(layout: str, alternations: int) -> dict[str, Any]:
    with flooding(layout) as pair:
        session = Session(pair)
        session.select(queue=1)
        return slices(pair, session, Nobody(), alternations)


class Toggled(RingscopeApp):
    """Paints while the feed runs, and rests while it rests."""

    CSS_PATH = STYLE

    def __init__(self, source: Pair, alternations: int) -> None:
        super().__init__(source)
        self._alternations = alternations
        self._pair = source
        self.outcome: dict[str, Any] = {}
        self.session.select(queue=1)

    async def on_mount(self) -> None:
        """Runs beside the app's own: the toolkit calls both."""
        threading.Thread(target=self._alternate, name="alternate", daemon=True).start()

    def _alternate(self) -> None:
        time.sleep(1)  # the first pictures lay the screen out
        self.feed.stop()
        self.outcome = slices(self._pair, self.session, self, self._alternations)
        self.call_from_thread(self.exit)


def inside(layout: str, alternations: int, result: Path) -> None:
    """In the terminal: the whole app."""
    with flooding(layout) as pair:
        app = Toggled(pair, alternations)
        app.run()
        if app.outcome:
            result.write_text(json.dumps(app.outcome))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alternations", type=int, default=200, metavar="N")
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alternations < 1:
        parser.error("at least one alternation")
    if options.inside:
        inside(options.layout, options.alternations, Path(options.inside))
        return
    again = ["--layout", options.layout, "--alternations", str(options.alternations), "--inside"]
    results = {
        "feed": feed_alone(options.layout, options.alternations),
        "app": in_terminal([__file__, *again], seconds=60 + 2 * options.alternations),
    }
    lines = [
        f"{name:4}: {r['ratio']:.4f} of the throughput ({r['low']:.4f} to {r['high']:.4f}, "
        f"{r['alternations']} alternations; {r['unwatched_mpps']:.2f} Mpps unwatched)"
        for name, r in results.items()
    ]
    lines[0] += f"; wanted at least {NEEDED:g}"
    report(
        {"benchmark": "observer", "layout": options.layout, "hertz": HERTZ, "needed": NEEDED, **results},
        "\n".join(lines),
        options.json,
    )


if __name__ == "__main__":
    main()
