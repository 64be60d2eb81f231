"""What can be attached to on this machine: unix sockets that listen, and whose they are.

    for one in listening():
        print(one.path, one.process, one.pid)

All of it is read from /proc; nobody is connected to, since a peer that takes one connection would take that
one. Whose a socket is can be told of processes of the same user, and by root of all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ACCEPTS, _STREAM, _PACKETS = 0x10000, 1, 5  #: __SO_ACCEPTCON and the types of /proc/net/unix
#: Programs that speak vhost-user, by what their processes are called (at most 15 characters).
_SPEAKERS = re.compile(
    r"dpdk|testpmd|lcore|ovs-vswitchd|vpp|spdk|reactor|snabb|vhost|virtiofsd|qemu|cloud-hypervi|crosvm|firecracker"
)
VIEWERS = ".tap"  #: what the sockets of our relays for those who look end with


@dataclass(frozen=True, slots=True)
class Socket:
    """One that listens. `kind`: "relay" of ours, "device" or "driver" of ours, "peer" for a program that is
    known to speak vhost-user, "" for any other."""

    path: str
    kind: str
    process: str = ""  #: "" where it is not to be known
    pid: int = 0


def listening(proc: Path = Path("/proc")) -> list[Socket]:
    """Those with a path in the file system: ours first, then peers, then the others, each by path."""
    owners = _owners(proc)
    order = {"relay": 0, "device": 1, "driver": 1, "peer": 2, "": 3}
    found = []
    sockets = list(_sockets(proc))
    relays = {
        path.removesuffix(VIEWERS) for path, _, kind in sockets if kind == _PACKETS and path.endswith(VIEWERS)
    }
    for path, inode, kind in sockets:
        if kind != _STREAM:
            continue
        pid, process, words = owners.get(inode, (0, "", []))
        found.append(Socket(path, "relay" if path in relays else _kind(process, words), process, pid))
    return sorted(found, key=lambda one: (order[one.kind], one.path))


def _kind(process: str, words: list[str]) -> str:
    if any("inspector" in word or word.endswith("ringscope") for word in words[:4]):
        return next((word for word in words if word in ("device", "driver")), "")
    return "peer" if _SPEAKERS.search(process) else ""


def _sockets(proc: Path) -> Iterator[tuple[str, str, int]]:
    """(path, inode, type) of those that listen."""
    with open(proc / "net" / "unix", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            words = line.rstrip("\n").split(None, 7)
            if len(words) == 8 and words[7].startswith("/") and int(words[3], 16) & _ACCEPTS:
                yield words[7], words[6], int(words[4], 16)


def _owners(proc: Path) -> dict[str, tuple[int, str, list[str]]]:
    """Whose each socket is, by inode: (pid, name, command line)."""
    found: dict[str, tuple[int, str, list[str]]] = {}
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            inodes = list(_inodes(folder / "fd"))
            if inodes:
                name = (folder / "comm").read_text().strip()
                words = (folder / "cmdline").read_text(errors="replace").split("\0")
                found.update(dict.fromkeys(inodes, (int(folder.name), name, words)))
        except OSError:  # it is another user's, or has just ended
            continue
    return found


def _inodes(folder: Path) -> Iterator[str]:
    """The sockets that a process has open."""
    for fd in os.listdir(folder):
        with suppress(OSError):  # closed meanwhile
            link = os.readlink(folder / fd)
            if link.startswith("socket:["):
                yield link[8:-1]
