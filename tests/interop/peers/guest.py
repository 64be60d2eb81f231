"""The guest's side: an initramfs of busybox, the modules of virtio-net, our tool and an init that obeys.

init brings eth0 up, says READY on its second serial port and from then on runs what it is sent there: lines
of `number seconds command`, the command in base64. It answers with `BEGIN number`, the output in base64 and
`END number status`, so that neither output nor a kernel message can be taken for the other.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from .install import Kernel, tool
from .process import PeerError

TOOL = Path(__file__).with_name("tool.c")
MODULES = ("virtio_pci", "virtio_net")  #: with what they depend on, loaded by init
SPARE = ("pktgen", "virtio_blk")  #: under /mods, to be loaded by a command; the latter for a disk

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
for word in $(cat /proc/cmdline); do case $word in guest_*=*) eval "${word%%=*}='${word#*=}'" ;; esac; done
stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
while read -r module; do insmod /mods/$module || echo "FAILED insmod $module" >&3; done </mods/order
device=/sys/class/net/eth0
[ -n "$guest_disk" ] && device=/sys/block/vda && insmod /mods/virtio_blk.ko
tries=0
while [ ! -e $device ] && [ $tries -lt 200 ]; do usleep 50000; tries=$((tries + 1)); done
[ -e $device ] || echo "FAILED no $device" >&3
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6   # no router solicitations of its own accord
ip link set lo up
if [ -z "$guest_disk" ]; then
    ip addr add $guest_address dev eth0
    ip link set eth0 up
fi
echo "READY $(cat /proc/sys/kernel/random/boot_id) $(cat $device/device/features)" >&3
obey() {
    while read -r number seconds command <&3; do
        echo "$command" | base64 -d >/tmp/command
        timeout -s KILL $seconds sh /tmp/command </dev/null >/tmp/output 2>&1 3<&-
        status=$?
        { echo "BEGIN $number"; base64 /tmp/output; echo "END $number $status"; } >&3
    done
}
# Not init itself: busybox forgets what it has read of a line when a child ends, and orphans are init's.
obey &
while :; do wait; sleep 1; done
"""


@functools.cache
def compiled(source: Path = TOOL) -> bytes:
    """A program for the guest: static, since nothing is there to link with."""
    with tempfile.TemporaryDirectory(prefix="ringscope-tool-") as folder:
        out = Path(folder) / source.stem
        command = ["gcc", "-static", "-O2", "-std=c11", "-Wall", "-Wextra", "-s", "-o", str(out), str(source)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise PeerError(f"{source.name} cannot be compiled: {done.stderr.strip()}")
        return out.read_bytes()


def _modules(kernel: Kernel, name: str) -> list[Path]:
    """Files to insert for a module, in that order; none for what the kernel has built in."""
    command = [tool("modprobe"), "-d", str(kernel.root), "-S", kernel.release, "--show-depends", name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise PeerError(f"the guest's kernel has no module {name}: {done.stderr.strip()}")
    return [Path(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("insmod ")]


def initramfs(kernel: Kernel, extra: Mapping[str, bytes]) -> bytes:
    """The archive to boot with; `extra` files lie in /bin, to be run by name."""
    loaded = list(dict.fromkeys(path for name in MODULES for path in _modules(kernel, name)))
    spare = [path for name in SPARE for path in _modules(kernel, name) if path not in loaded]
    files = {
        "init": INIT.encode(),
        "bin/busybox": Path(tool("busybox")).read_bytes(),
        "bin/tool": compiled(),
        "mods/order": "".join(f"{path.name}\n" for path in loaded).encode(),
        **{f"mods/{path.name}": path.read_bytes() for path in (*loaded, *spare)},
        **{f"bin/{name}": data for name, data in extra.items()},
    }
    return b"".join(_archive(files))


def _archive(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """A cpio archive of the format "newc", which is the one that Linux unpacks."""
    folders = ("bin", "dev", "mods", "proc", "sys", "tmp")
    entries = [(name, 0o040755, b"") for name in folders]
    entries += [(name, 0o100755, data) for name, data in files.items()]
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        title = name.encode() + b"\0"
        numbers = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(title), 0)
        head = b"070701" + b"".join(b"%08X" % value for value in numbers) + title
        yield head + bytes(-len(head) % 4)
        yield data + bytes(-len(data) % 4)


def write_initramfs(path: Path, kernel: Kernel, extra: Mapping[str, bytes]) -> None:
    path.write_bytes(initramfs(kernel, extra))
    os.chmod(path, 0o600)
