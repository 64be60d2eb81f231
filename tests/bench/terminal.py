"""Runs a program of ours in a real terminal, a tmux of its own, and returns the JSON that it leaves."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import inspector

#: The app's own style: a subclass would look for it beside itself.
STYLE = str(Path(inspector.__file__).with_name("app.tcss"))


def in_terminal(
    arguments: Sequence[str], *, columns: int = 160, rows: int = 50, seconds: float = 600
) -> dict[str, Any]:
    """Runs this Python with `arguments` and the path of a file to fill. SystemExit with one line else."""
    if not shutil.which("tmux"):
        raise SystemExit("a real terminal is needed: install tmux")
    with tempfile.TemporaryDirectory(prefix="ringscope-") as folder:
        result, said = Path(folder, "result.json"), Path(folder, "stderr")
        tmux = ["tmux", "-L", f"ringscope-{os.getpid()}", "-f", "/dev/null"]
        inner = shlex.join([sys.executable, *arguments, str(result)])
        script = f"{inner} 2>{shlex.quote(str(said))}; {shlex.join([*tmux, 'wait-for', '-S', 'done'])}"
        environment = {**os.environ, "TERM": "screen-256color", "COLORTERM": "truecolor"}
        try:
            subprocess.run(
                [*tmux, "new-session", "-d", "-x", str(columns), "-y", str(rows), script],
                check=True, env=environment,
            )  # fmt: skip
            subprocess.run([*tmux, "wait-for", "done"], timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"the program in the terminal did not end in {seconds:g} seconds") from None
        finally:
            subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)
        if not result.exists():
            last = said.read_text().strip().splitlines() if said.exists() else []
            raise SystemExit(
                f"the program in the terminal left nothing: {last[-1] if last else 'and said nothing'}"
            )
        data: dict[str, Any] = json.loads(result.read_text())
        return data
