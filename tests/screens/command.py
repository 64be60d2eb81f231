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
    settings = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL}
    return subprocess.run([*COMMAND, *args], cwd=ROOT, **(settings | options))
