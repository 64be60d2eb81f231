"""What somebody has written in the workshop, kept from one visit to the next: a file of its own for each
half.

The files stand in the user's state folder beside what else is remembered and may be opened with any editor.
One that is damaged, too long or unwritable costs the memory, never the run.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dataplane.workshop.judging import TEXT_MAX
from inspector import remembered


def place(half: str) -> Path:
    """The file of a half, whether or not it exists."""
    return remembered.place().parent / "workshop" / f"{half.replace('-', '_')}.py"


def load(half: str) -> str | None:
    """What was kept; None where nothing is, or where it cannot be read. Never raises."""
    try:
        with open(place(half), encoding="utf-8") as file:
            text = file.read(TEXT_MAX + 1)
    except (OSError, ValueError, RuntimeError):
        return None
    return text if text.strip() and len(text) <= TEXT_MAX else None


def save(half: str, text: str) -> str:
    """Keep it; "" or one line that says why it could not be kept. Never raises."""
    new = ""
    try:
        path = place(half)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(prefix="half-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, path)
    except (OSError, ValueError, RuntimeError) as error:
        if new:
            Path(new).unlink(missing_ok=True)
        return f"what you wrote is not kept for the next visit: {error}"
    return ""
