"""`ringscope` as a command: a process of its own, whose words and exit code a test looks at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "inspector"]


def ringscope(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with nothing on its standard input unless `options` say so."""
    return _run(args, {"text": True} | options)


def ringscope_bytes(*args: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The same with what it writes as bytes."""
    return _run(args, options)


def _run(args: tuple[str | bytes, ...], options: dict[str, Any]) -> subprocess.CompletedProcess[Any]:
    piped = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    settings: dict[str, Any] = {"cwd": ROOT, "timeout": 120, **piped, **options}
    return subprocess.run([*COMMAND, *args], **settings)
