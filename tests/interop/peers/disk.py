"""qemu-storage-daemon's vhost-user-blk export: the device for our driver of disks, and for a guest's."""

from __future__ import annotations

import time
from pathlib import Path

from .process import Peer, PeerError


class StorageDaemon(Peer):
    """Serves a file on `sock`; with `writable` the front-end may change it."""

    def __init__(self, sock: Path | str, image: Path, *, writable: bool = False, queues: int = 1) -> None:
        super().__init__("qemu-storage-daemon")
        self._sock = Path(sock)
        on_off, read_only = ("on", "off") if writable else ("off", "on")
        self._argv = [
            "qemu-storage-daemon",
            "--blockdev", f"driver=file,node-name=disk,filename={image},read-only={read_only}",
            "--export",
            f"type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path={sock},writable={on_off},"
            f"num-queues={queues}",
        ]  # fmt: skip

    def __enter__(self) -> StorageDaemon:
        """Listening, so that a driver may connect."""
        try:
            self._sock.unlink(missing_ok=True)
            self._launch(self._argv)
            deadline = time.monotonic() + 20
            while not self._sock.is_socket():
                if not self.running or time.monotonic() > deadline:
                    raise PeerError(f"{self.name} does not listen:\n{self.log.tail()}")
                time.sleep(0.02)
        except BaseException:
            self.close()
            raise
        return self
