"""What is kept from one run to the next: filters and searches typed, columns chosen, lessons done.

One small JSON file in the user's state folder, replaced as a whole. A file that is damaged, foreign or
unwritable costs the memory, never the run; what is read back is bounded and checked like any input.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from inspector.replacing import replace_text

History = Literal["filters", "captures", "searches", "attached"]

_LINES = 100  #: of one history
_LENGTH = 10_000  #: characters of one line
_PAGES = 1000  #: of a lesson
_SIZE = 4 << 20  #: bytes of a file that is read at all


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reader is in a lesson: the page, counted from 0, and whether all of it was done once."""

    page: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """`filters`, `captures`, `searches` and `attached`, commands that attached to the rings of others, have
    the newest line last. Empty `columns`: those that fit.

    `lessons` has those that were begun, by name.
    """

    filters: tuple[str, ...] = ()
    captures: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    time_format: str = ""
    lessons: Mapping[str, Progress] = field(default_factory=dict)

    def with_lesson(self, name: str, now: Progress) -> Remembered:
        """The same with a lesson at this page; what was done once stays done."""
        done = now.done or self.lessons.get(name, Progress()).done
        return replace(self, lessons={**self.lessons, name: Progress(now.page, done)})

    def with_line(self, history: History, line: str) -> Remembered:
        """The same with a line at the end of a history; a line is in it once."""
        lines = (*(known for known in getattr(self, history) if known != line), line)[-_LINES:]
        match history:
            case "filters":
                return replace(self, filters=lines)
            case "captures":
                return replace(self, captures=lines)
            case "searches":
                return replace(self, searches=lines)
            case "attached":
                return replace(self, attached=lines)


def place() -> Path:
    """The file, whether or not it exists; XDG_STATE_HOME counts only where it is absolute."""
    folder = os.environ.get("XDG_STATE_HOME", "")
    base = Path(folder) if os.path.isabs(folder) else Path.home() / ".local" / "state"
    return base / "ringscope" / "remembered.json"


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting, should a pipe stand there."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def load() -> Remembered:
    """What was kept; nothing where that cannot be read. Never raises."""
    try:
        with open(place(), "rb", opener=_at_once) as file:
            raw = file.read(_SIZE + 1)
        found = json.loads(raw) if len(raw) <= _SIZE else None
    except (OSError, ValueError, RecursionError, RuntimeError):
        return Remembered()
    if not isinstance(found, dict):
        return Remembered()
    known: dict[str, Any] = {}
    for one in fields(Remembered):
        value = found.get(one.name)
        if one.name == "time_format":
            known[one.name] = value if isinstance(value, str) and len(value) < 100 else ""
        elif one.name == "lessons":
            known[one.name] = _lessons(value)
        elif isinstance(value, list):
            known[one.name] = tuple(text for text in value if _is_line(text))[-_LINES:]
    return Remembered(**known)


def _lessons(value: object) -> dict[str, Progress]:
    """What a file says of lessons, as far as it can be."""
    found: dict[str, Progress] = {}
    for name, one in value.items() if isinstance(value, dict) else ():
        if isinstance(one, dict) and _is_line(name) and len(found) < _LINES:
            page: Any = one.get("page")
            sound = isinstance(page, int) and not isinstance(page, bool) and 0 <= page <= _PAGES
            found[name] = Progress(int(page) if sound else 0, one.get("done") is True)
    return found


def _is_line(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _LENGTH and "\n" not in text


def save(remembered: Remembered) -> str:
    """Keep it; "" or one line that says why it could not be kept. Never raises."""
    path = None
    try:
        path = place()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(path, json.dumps(asdict(remembered), indent=1))
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"{path or 'the state folder'} cannot be written: {why}"
    return ""
