"""The commands that attached to somebody's rings, kept from one run to the next."""

from __future__ import annotations

import argparse
import shlex

from inspector import remembered

SHOWN = 5  #: of the newest


def remember(options: argparse.Namespace) -> None:
    """Whoever used `ringscope peers` or screen 6 finds it there; where it cannot be kept, nothing is lost."""
    words = ["ringscope", options.command]
    for name in ("listen", "attach", "connect"):
        if (path := getattr(options, name, None)) is not None:
            words += [f"--{name}", path]
    words += [f"--{flag}" for flag in ("reverse", "notifications") if getattr(options, flag, False)]
    remembered.save(remembered.load().with_line("attached", shlex.join(words)))


def lately() -> tuple[str, ...]:
    """The newest first."""
    return remembered.load().attached[: -SHOWN - 1 : -1]
