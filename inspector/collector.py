"""Python's garbage collector, kept from holding up the screen."""

from __future__ import annotations

import gc


def leave_alone() -> None:
    """Leave all that is there by now out of full collections: going through it takes 30 to 60 ms each time.

    To be called when a screen stands; what comes and goes afterwards is collected as ever.
    """
    gc.collect()
    gc.freeze()
