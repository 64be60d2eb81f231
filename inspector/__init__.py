"""The app and the command line: every source of rings, looked at the same way.

`attach(source)` opens the app on any `dataplane.source.RingSource` of a program of your own::

    with Pair() as pair:
        pair.start()
        inspector.attach(pair)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataplane.source import RingSource

__version__ = "0.1.0"


def attach(source: RingSource, *, hertz: float = 15.0) -> int:
    """Open the app on a source and return its exit code once the user quits.

    The source stays open: whoever made it closes it. `hertz` is how often it is read.
    RuntimeError where standard input or output is no terminal.
    """
    from inspector.app import run

    return run(source, hertz=hertz)
