"""What somebody has written in the workshop, kept from one visit to the next: a file of its own for each
half.

The files stand in the user's state folder beside what else is remembered and may be opened with any editor.
One that is damaged, too long or unwritable costs the memory, never the run.
"""

from __future__ import annotations

from pathlib import Path

from dataplane.workshop.judging import TEXT_MAX
from inspector import remembered
from inspector.replacing import replace_text


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
    try:
        path = place(half)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(path, text)
    except (OSError, ValueError, RuntimeError) as error:
        return f"what you wrote is not kept for the next visit: {error}"
    return ""
