"""Takes the pictures of README and of the lessons: real runs, the same on every machine.

A picture is made of a real pair that rests: its two sides are stepped, so that every run ends in the same
rings. Only the clock is replaced, so that rates and times do not depend on the machine.

    python screenshots/take.py            writes the pictures beside this file
    python screenshots/take.py --check    exit 1 where the code would draw one differently
    python screenshots/take.py life       only this one
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from held import Held
from pages import pages
from posed import Posed
from scenes import SCENES, ByHand, Picture

from dataplane.source import RingSource

HERE = Path(__file__).parent
_FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"


def plain(svg: str) -> str:
    """Without the web font, which no picture in a page may fetch, and with a name of its own."""
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    svg = re.sub(r"font-family:\s*[^;]*;", f"font-family: {_FONT};", svg)
    svg = re.sub(r"terminal-\d+", "terminal-0", svg)
    return re.sub(r"[ \t]+\n", "\n", svg).strip() + "\n"


async def draw(picture: Picture) -> str:
    """The picture as SVG."""
    pair = picture.pair()
    posed = pair if isinstance(pair, Held) else Posed(pair, picture.clock(), picture.state)
    assert isinstance(posed, RingSource)
    pair.start()
    app = ByHand(posed, **picture.options)
    try:
        async with app.run_test(size=picture.size) as pilot:
            await picture.play(pilot, posed)
            await pilot.pause()
            return plain(app.export_screenshot(title=f"ringscope · {picture.name}"))
    finally:
        pair.close()


def drawn(name: str) -> str:
    """One picture by name, in a process of its own; nothing that was typed here before is in it."""
    every = {picture.name: picture for picture in (*SCENES, *pages())}
    with tempfile.TemporaryDirectory() as kept:
        os.environ["XDG_STATE_HOME"] = kept
        return asyncio.run(draw(every[name]))


def main() -> int:
    parser = argparse.ArgumentParser(description="take the pictures of README and of the lessons")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args()
    every = [picture.name for picture in (*SCENES, *pages())]
    if unknown := [name for name in options.names if name not in every]:
        parser.error(f"no picture is called {', '.join(unknown)}; there are {', '.join(every)}")
    stale = []
    names = options.names or every
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        svgs = list(processes.map(drawn, names))
    for name, svg in zip(names, svgs, strict=True):
        path = HERE / f"{name}.svg"
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(svg, encoding="utf-8")
            print(f"{name}.svg: {len(svg):,} bytes", flush=True)
        elif not path.exists() or path.read_text(encoding="utf-8") != svg:
            stale.append(f"{name}.svg")
    known = {f"{name}.svg" for name in every}
    left = sorted(str(path.relative_to(HERE)) for path in HERE.rglob("*.svg"))
    stale += [f"{path} (no scene draws it)" for path in left if path not in known]
    if options.check:
        print(f"stale: {', '.join(stale)}; run python screenshots/take.py" if stale else "pictures are fresh")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
