"""Starting a relay: a process of its own, which lives on without whoever started it."""

from __future__ import annotations

import subprocess
import sys

from dataplane.vhost.sockets import VIEWERS


def viewers_path(listen: str) -> str:
    """The socket for those who look through the relay that listens there."""
    return listen + VIEWERS


def start_relay(
    listen: str, connect: str, viewers: str, *, reverse: bool = False, notifications: bool = False
) -> int:
    """Starts a relay, which lives on without us; its process id. OSError with one line where it cannot."""
    arguments = ["--listen", listen, "--connect", connect, "--viewers", viewers]
    arguments += ["--reverse"] * reverse + ["--notifications"] * notifications
    process = subprocess.Popen(
        [sys.executable, "-m", "dataplane.vhost.relay", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout as output:
        said = output.readline().strip()
    if said != "ready":
        process.wait()
        raise OSError(said or "the relay did not start")
    return process.pid
