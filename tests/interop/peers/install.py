"""What the peers need of the machine: looked for, and on demand fetched.

    python3 tests/interop/peers/install.py

installs, as root on Debian, the packages that are missing, and unpacks a guest's kernel into .cache/ of the
checkout (nothing of it is installed). Only the standard library is needed. Exit 1, with one line, when
something could not be had; the tests with that peer are then skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache" / "guest-kernel"
KERNEL = "linux-image-cloud-amd64"  #: a package that depends on the image of the day
SELF = Path(__file__).resolve().relative_to(ROOT)
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # kmod lives where a user's PATH does not go
_DRIVERS = ("vhost", "virtio")  #: of DPDK's poll-mode drivers, those used here


def tool(name: str) -> str:
    """The path of a program; "" where there is none."""
    return shutil.which(name, path=_PATH) or ""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A guest's kernel and the folder that has its modules under lib/modules."""

    image: Path
    root: Path

    @property
    def release(self) -> str:
        return self.image.name.removeprefix("vmlinuz-")


def kernel() -> Kernel | None:
    """The kernel that was unpacked before, the newest of them."""
    for root in (CACHE, Path(tempfile.gettempdir()) / "virtio-rig-cache" / "kernel"):
        # A folder in /tmp may be anybody's; what runs in our guest is ours or root's.
        if not root.is_dir() or root.stat().st_uid not in (0, os.geteuid()):
            continue
        for image in sorted(root.glob("boot/vmlinuz-*"), reverse=True):
            found = Kernel(image, root)
            if (root / "lib/modules" / found.release / "modules.dep").exists():
                return found
    return None


def _poll_mode_driver(name: str) -> bool:
    return any(Path("/usr/lib").glob(f"*/dpdk/pmds-*/librte_net_{name}.so*"))


def missing_dpdk() -> str:
    """Why DPDK's testpmd cannot run here; "" when it can."""
    lacking = [name for name in ("dpdk-testpmd", "stdbuf", "setpriv") if not tool(name)]
    lacking += [f"librte_net_{name}.so" for name in _DRIVERS if not _poll_mode_driver(name)]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def missing_tools() -> str:
    """What a guest needs but its kernel; "" when all of that is there."""
    tools = ("qemu-system-x86_64", "busybox", "modprobe", "depmod", "gcc", "stdbuf", "setpriv")
    lacking = [name for name in tools if not tool(name)]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    return "" if is_static(Path(tool("busybox"))) else "busybox is not the static one: install busybox-static"


def missing_qemu() -> str:
    """Why no guest can run here; "" when it can."""
    return missing_tools() or ("" if kernel() else f"there is no guest kernel: python3 {SELF}")


def missing_disk() -> str:
    """Why no qemu-storage-daemon can run here; "" when it can."""
    lacking = [name for name in ("qemu-storage-daemon", "stdbuf", "setpriv") if not tool(name)]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def is_static(program: Path) -> bool:
    """True for an ELF file that asks for no interpreter."""
    data = program.read_bytes()[:4096]
    if data[:5] != b"\x7fELF\x02":
        return False
    first, size, count = (
        int.from_bytes(data[at : at + n], "little") for at, n in ((32, 8), (54, 2), (56, 2))
    )
    kinds = [int.from_bytes(data[first + i * size :][:4], "little") for i in range(count)]
    return 3 not in kinds  # PT_INTERP


def _run(*argv: str, cwd: Path | None = None, patience: float = 60) -> str:
    """Standard output of a command; SystemExit with its last word when it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": _PATH}
    what = f"install.py: {' '.join(argv[:1])} {argv[-1]}"
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{what}: not done in {patience:g} s") from None
    except FileNotFoundError:
        raise SystemExit(f"{what}: there is no {argv[0]}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()[-1]
        raise SystemExit(f"{what}: {last}")
    return done.stdout


def _apt(*argv: str, cwd: Path | None = None) -> None:
    """apt-get; without a network it gives up soon."""
    quick = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "APT::Sandbox::User=root")
    _run("apt-get", "-qq", *quick, *argv, cwd=cwd, patience=600)


def _wanted() -> list[str]:
    """The packages that are missing; the number in the names of DPDK's is that of its binary interface."""
    wanted = [] if tool("dpdk-testpmd") else ["dpdk-dev"]
    for name in _DRIVERS:
        if not _poll_mode_driver(name):
            listed = _run("apt-cache", "search", "--names-only", f"^librte-net-{name}[0-9-]*$").split("\n")
            wanted += sorted(line.split()[0] for line in listed if line)[-1:]
    for program, package in (
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("qemu-storage-daemon", "qemu-system-common"),
        ("modprobe", "kmod"),
        ("gcc", "gcc"),
    ):
        wanted += [] if tool(program) else [package]
    if not tool("busybox") or not is_static(Path(tool("busybox"))):
        wanted.append("busybox-static")
    return wanted


def fetch_kernel() -> Kernel:
    """Unpacks Debian's cloud kernel into the cache, whole or not at all."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        here = Path(folder)
        depends = re.search(r"Depends: (linux-image-\S+)", _run("apt-cache", "depends", KERNEL))
        if depends is None:
            raise SystemExit(f"install.py: apt knows no {KERNEL}")
        _apt("download", depends[1], cwd=here)
        tree = here / "tree"
        _run("dpkg", "-x", str(next(here.glob("*.deb"))), str(tree))
        release = next((tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        _run("depmod", "-b", str(tree), release)
        shutil.rmtree(CACHE, ignore_errors=True)
        tree.rename(CACHE)
    found = kernel()
    assert found is not None
    return found


def install() -> None:
    """Packages first, since the kernel is unpacked with some of them."""
    unfit = missing_dpdk() or missing_disk() or (missing_qemu() if kernel() else missing_tools())
    if unfit and os.geteuid() != 0:
        raise SystemExit(f"install.py: only root can install; {unfit}")
    if os.geteuid() == 0 and (unfit or kernel() is None):
        _apt("update")
    if unfit:
        wanted = _wanted()
        print("installing", *wanted)
        _apt("install", "-y", "--no-install-recommends", *wanted)
    if kernel() is None:
        print("unpacking a guest's kernel")
        fetch_kernel()


def main() -> None:
    if sys.argv[1:]:
        print(f"install.py: unknown argument {sys.argv[1]}: there are none", file=sys.stderr)
        raise SystemExit(2)
    if missing_dpdk() or missing_disk() or missing_qemu():
        install()
    if left := missing_dpdk() or missing_disk() or missing_qemu():
        raise SystemExit(f"install.py: {left}")
    print("every peer is there")


if __name__ == "__main__":
    main()
