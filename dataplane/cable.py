"""The cable: two Linux TAP interfaces joined by the rings of an in-process pair.

What the kernel sends on the driver's TAP the driver transmits and the device writes into the device's
TAP; what the kernel sends on the device's TAP comes back through the receive queue. Every read and
write of a TAP is one frame behind a 12-byte virtio_net_hdr (5.1.6), which crosses the rings as it is, so
checksum and segmentation offloads work from one network stack to the other.

An interface that must sit in another network namespace is opened here first and moved afterwards
(`ip link set NAME netns NS`): the file descriptor goes on working.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from dataplane import features as f
from dataplane.records import Side

TUN_PATH = "/dev/net/tun"
NET_HEADER_BYTES = 12
NAME_BYTES = 15  #: longest interface name, without the terminating zero
MTU_MIN, MTU_MAX = 68, 65521  #: what Linux takes for a TAP

# linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8
TUNSETVNETLE = 0x400454DC
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
TUN_F_CSUM = 0x01
TUN_F_TSO4 = 0x02
TUN_F_TSO6 = 0x04
TUN_F_TSO_ECN = 0x08
TUN_F_UFO = 0x10

# linux/sockios.h
SIOCGIFMTU = 0x8921
SIOCSIFMTU = 0x8922

#: Per side: the feature that lets checksums be partial, and what each TUN_F_* bit beyond it needs.
_OFFLOADS = {
    Side.DRIVER: (
        f.NET_F_CSUM,
        ((TUN_F_TSO4, f.NET_F_HOST_TSO4), (TUN_F_TSO6, f.NET_F_HOST_TSO6), (TUN_F_UFO, f.NET_F_HOST_UFO)),
        f.NET_F_HOST_ECN,
    ),
    Side.DEVICE: (
        f.NET_F_GUEST_CSUM,
        ((TUN_F_TSO4, f.NET_F_GUEST_TSO4), (TUN_F_TSO6, f.NET_F_GUEST_TSO6), (TUN_F_UFO, f.NET_F_GUEST_UFO)),
        f.NET_F_GUEST_ECN,
    ),
}


class CableError(OSError):
    """A TAP that cannot be had: one line that says why and what helps."""


def offloads(features: int, side: Side) -> int:
    """The TUN_F_* mask for one side's TAP: what its kernel may hand us under these accepted features.

    The driver's kernel hands us what the driver then sends (CSUM, HOST_*), the device's kernel what
    the driver then receives (GUEST_*), 5.1.3. Linux refuses segmentation without partial checksums
    and ECN without TCP segmentation, as 5.1.3.1 does, so those bits are left out.
    """
    checksum, segmentation, ecn = _OFFLOADS[side]
    if not f.has(features, checksum):
        return 0
    mask = TUN_F_CSUM | sum(bit for bit, feature in segmentation if f.has(features, feature))
    if mask & (TUN_F_TSO4 | TUN_F_TSO6) and f.has(features, ecn):
        mask |= TUN_F_TSO_ECN
    return mask


class Tap:
    """One open TAP: a non-blocking file descriptor, until closed.

    An interface that `open_tap` created goes away with it; one made with `ip tuntap add` stays.
    """

    def __init__(self, fd: int, name: str, offload: int) -> None:
        self._fd = fd
        self.name = name
        self.offload = offload  #: TUN_F_* in force

    @property
    def fd(self) -> int:
        """The file descriptor, -1 once closed."""
        return self._fd

    def fileno(self) -> int:
        return self._fd

    def allow(self, features: int, side: Side) -> None:
        """Other features are accepted: what the kernel may leave undone follows. CableError."""
        self.offload = offloads(features, side)
        _configure(self)

    def close(self) -> None:
        """Let go of the interface; harmless when repeated."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Cable:
    """The two TAPs that a pair is joined to: `pair.join(cable.driver.fd, cable.device.fd)`."""

    def __init__(self, driver: Tap, device: Tap) -> None:
        self.driver = driver
        self.device = device

    def close(self) -> None:
        """Let go of both; the pair must be closed first."""
        self.driver.close()
        self.device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_cable(driver_if: str, device_if: str, *, features: int, mtu: int | None = None) -> Cable:
    """Open both TAPs (see `open_tap`), or none: CableError."""
    if driver_if == device_if:
        raise CableError(f"the cable needs two interfaces, and both ends name {driver_if!a}")
    with ExitStack() as opened:
        driver = opened.enter_context(open_tap(driver_if, features=features, side=Side.DRIVER, mtu=mtu))
        device = opened.enter_context(open_tap(device_if, features=features, side=Side.DEVICE, mtu=mtu))
        opened.pop_all()
    return Cable(driver, device)


def open_tap(name: str, *, features: int, side: Side, mtu: int | None = None) -> Tap:
    """Attach to TAP `name`, which is created when absent, for one side of a pair.

    `features` are the accepted virtio features; `mtu` in bytes, None leaves the interface's own.
    Reads and writes move one frame each behind a 12-byte little-endian virtio_net_hdr, and never block.
    CableError with one line: no such device node, no right, in use, not a TAP, a name or MTU that
    Linux refuses.
    """
    _check_name(name)
    if mtu is not None and not MTU_MIN <= mtu <= MTU_MAX:
        raise CableError(f"mtu {mtu} is outside what a TAP takes: {MTU_MIN} to {MTU_MAX}")
    tap = Tap(_open_node(), name, offloads(features, side))
    try:
        _attach(tap)
        _configure(tap)
        if mtu is not None:
            _set_mtu(name, mtu)
    except BaseException:
        tap.close()
        raise
    return tap


def _check_name(name: str) -> None:
    """CableError for what Linux refuses as an interface name, for its %d templates and for control bytes."""
    if not name.isascii() or not name.isprintable() or name in ("", ".", "..") or set(name) & set("/:% "):
        raise CableError(f"{name!a} is no interface name: use letters, digits, '-', '_' and '.'")
    if len(name) > NAME_BYTES:
        raise CableError(f"interface name {name} is too long: Linux takes {NAME_BYTES} letters at most")


def _open_node() -> int:
    try:
        return os.open(TUN_PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            help_ = "load the tun module (modprobe tun), or let the container see the device"
            raise CableError(f"{TUN_PATH} is missing, so there are no TAP interfaces: {help_}") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            help_ = f"run as root, or ask for read and write access to it (ls -l {TUN_PATH})"
            raise CableError(f"no right to open {TUN_PATH}: {help_}") from error
        raise CableError(f"{TUN_PATH}: {error.strerror}") from error


def _attach(tap: Tap) -> None:
    """TUNSETIFF; an interface of that name that is a TAP is used, otherwise one is created."""
    name = tap.name
    request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    try:
        fcntl.ioctl(tap.fd, TUNSETIFF, request)
    except OSError as error:
        match error.errno:
            case errno.EPERM:
                make = f"ip tuntap add dev {name} mode tap user $USER vnet_hdr"
                needs = f"CAP_NET_ADMIN, or once, by root: {make}"
                why = f"no right to use {name}: it needs {needs}"
            case errno.EBUSY:
                why = f"{name} is in use by another program, which `ip -d tuntap` names: choose another"
            case errno.EINVAL:
                why = f"{name} exists and is not a TAP with one queue: name another"
            case _:
                why = f"cannot attach to {name}: {error.strerror}"
        raise CableError(why) from error


def _configure(tap: Tap) -> None:
    """A 12-byte little-endian net header on every frame, and what the kernel may leave undone."""
    settings = (
        (TUNSETVNETHDRSZ, struct.pack("i", NET_HEADER_BYTES)),
        (TUNSETVNETLE, struct.pack("i", 1)),
        (TUNSETOFFLOAD, tap.offload),
    )
    try:
        for request, value in settings:
            fcntl.ioctl(tap.fd, request, value)
    except OSError as error:
        wanted = f"a {NET_HEADER_BYTES}-byte net header and offloads 0x{tap.offload:x}"
        raise CableError(f"this kernel cannot give {tap.name} {wanted}: {error.strerror}") from error


def _set_mtu(name: str, mtu: int) -> None:
    """Give the interface this MTU; an interface that has it already needs no right for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = struct.pack("16si20x", name.encode(), mtu)
        try:
            reply = fcntl.ioctl(control, SIOCGIFMTU, request)
            if struct.unpack_from("i", reply, 16)[0] != mtu:
                fcntl.ioctl(control, SIOCSIFMTU, request)
        except OSError as error:
            help_ = f"set it as root: ip link set {name} mtu {mtu}"
            raise CableError(f"cannot give {name} an mtu of {mtu} ({error.strerror}): {help_}") from error
