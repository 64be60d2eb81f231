"""2 MiB pages, taken from the machine and given back."""

from __future__ import annotations

import re
from pathlib import Path

from .process import PeerError

_COUNT = Path("/proc/sys/vm/nr_hugepages")


def _free() -> int:
    found = re.search(r"HugePages_Free: +(\d+)", Path("/proc/meminfo").read_text())
    return int(found[1]) if found else 0


class Hugepages:
    """What one peer added: only what was missing, so that several may overlap."""

    def __init__(self) -> None:
        self.added = 0

    def reserve(self, pages: int) -> None:
        """Sees to it that so many are free; PeerError when the machine cannot."""
        missing = pages - _free()
        if missing <= 0:
            return
        had = int(_COUNT.read_text())
        try:
            _COUNT.write_text(str(had + missing))
        except OSError as error:
            raise PeerError(f"hugepages cannot be reserved: {error.strerror}") from None
        self.added += int(_COUNT.read_text()) - had
        if _free() < pages:
            self.give_back()
            raise PeerError(f"there is no room for {pages} pages of 2 MiB")

    def give_back(self) -> None:
        if self.added:
            _COUNT.write_text(str(max(0, int(_COUNT.read_text()) - self.added)))
            self.added = 0
