"""What an app may be told at its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from capture.bpf import Program
    from inspector.view import Records


class Options(TypedDict, total=False):
    """By the names that `app.RingscopeApp` and `app.run` take; see there."""

    hertz: float
    keep_bytes: int
    capture_filter: Program | None
    history_bytes: int
    recording: Records | None
    breaks: Sequence[str]
    first: str
    lesson: str | None
