"""The memory that a front-end shares with a device of ours, region by region, as the engine has it mapped."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable

from dataplane._engine import Engine
from dataplane.vhost import payload as p
from dataplane.vhost.message import Refused
from dataplane.vhost.outlives import because

MEM_SLOTS = 32  #: regions that may be added one by one
_MAPPING = {
    errno.EINVAL: "it is empty, goes round the end of memory, or lies outside its file",
    errno.EEXIST: "it overlaps another region",
    errno.ENOSPC: "there are too many regions",
    errno.ENOENT: "there is no such region",
    errno.EBUSY: "a ring that is started lies in it",
}


def _file(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


class GuestMemory:
    """See the module. Refused, with one line, for what cannot be mapped. Files stay the caller's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.regions: list[p.Region] = []
        self._files: dict[p.Region, tuple[int, int]] = {}  # which file each lies in: device and inode
        self._given = Counter[p.Region]()  # how often each was added

    def replace(self, given: Iterable[tuple[p.Region, int]]) -> None:
        """These regions, each with its file, and no others; none where one of them cannot be."""
        self.clear()
        try:
            for region, fd in given:
                self._map(region, fd)
        except Refused:
            self.clear()
            raise

    def add(self, region: p.Region, fd: int) -> None:
        """QEMU up to 8.0 adds a region once for every queue pair, and removes it as often."""
        if self._files.get(region) == _file(fd):
            self._given[region] += 1
            return
        if len(self.regions) >= MEM_SLOTS:
            raise Refused(f"ADD_MEM_REG: there are {MEM_SLOTS} regions already")
        self._map(region, fd)

    def remove(self, gone: p.Region) -> None:
        """The file offset says nothing about which region is meant."""
        for region in self.regions:
            if (region.guest_addr, region.user_addr, region.size) != (
                gone.guest_addr,
                gone.user_addr,
                gone.size,
            ):
                continue
            if self._given[region] > 1:
                self._given[region] -= 1
            else:
                self._unmap(region)
            return
        raise Refused(f"REM_MEM_REG: there is no region {gone}")

    def clear(self) -> None:
        for region in tuple(self.regions):
            self._unmap(region)

    def read(self, user: int, count: int) -> bytes | None:
        """What stands at an address of the front-end's own process; None where that is not to be had."""
        for region in self.regions:
            offset = user - region.user_addr
            if offset >= 0 and offset + count <= region.size:
                found = bytearray(count)
                return bytes(found) if self._engine.peek(region.guest_addr + offset, found) else None
        return None

    def _map(self, region: p.Region, fd: int) -> None:
        try:
            self._engine.foreign_map(region.guest_addr, region.user_addr, region.size, fd, region.mmap_offset)
        except OSError as error:
            raise Refused(f"memory region {region}: {because(error, _MAPPING)}") from None
        self.regions.append(region)
        self._files[region], self._given[region] = _file(fd), 1

    def _unmap(self, region: p.Region) -> None:
        try:
            self._engine.foreign_unmap(region.guest_addr, region.user_addr, region.size)
        except OSError as error:
            raise Refused(f"memory region {region}: {because(error, _MAPPING)}") from None
        self.regions.remove(region)
        del self._files[region], self._given[region]
