"""The engine without Python, under the sanitizers: stress, double fetch, hostile rings, true snapshots,
capture filters, the journal.

One compiler line a build makes one program of the engine and the tests beside this file. Whatever a
sanitizer says fails the test; there are no suppressions. RINGSCOPE_FULL=1 runs the long forms.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "dataplane" / "engine"
FULL = os.environ.get("RINGSCOPE_FULL") == "1"
HANGS = 3600 if FULL else 600  #: seconds after which a program is taken to hang

WARNINGS = "-std=c11 -pthread -g -Wall -Wextra -Werror -Wno-missing-field-initializers"
BUILDS = {
    "plain": "-O2",
    "address": "-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all",
    "thread": "-O1 -fsanitize=thread -Wno-tsan",  # the fences of the handshake: TSan does not model them
}
#: name -> build -> (short, long)
RUNS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "stress": {
        "plain": ("buffers=2000 frames=2000", "buffers=200000 frames=200000"),
        "address": ("buffers=500 frames=500", "buffers=40000 frames=40000"),
        "thread": ("buffers=200 frames=200", "buffers=20000 frames=20000"),
    },
    "fetch_once": {
        "plain": ("rounds=4", "rounds=400"),
        "address": ("rounds=2", "rounds=100"),
        "thread": ("rounds=1", "rounds=10"),
    },
    "hostile": {
        "plain": ("rounds=5000", "rounds=200000"),
        "address": ("rounds=2000", "rounds=100000"),
        "thread": ("rounds=400", "rounds=10000"),
    },
    "truth": {
        "plain": ("snapshots=40000", "snapshots=1000000"),
        "address": ("snapshots=16000", "snapshots=400000"),
        "thread": ("snapshots=3200", "snapshots=100000"),
    },
    "journal": {
        "plain": ("rounds=60", "rounds=5000"),
        "address": ("rounds=40", "rounds=2000"),
        "thread": ("rounds=12", "rounds=400"),
    },
    "outside": {
        "plain": ("rounds=2000", "rounds=200000"),
        "address": ("rounds=800", "rounds=100000"),
        "thread": ("rounds=200", "rounds=10000"),
    },
    "bpf": {
        "plain": ("programs=200000 swaps=300", "programs=20000000 swaps=20000"),
        "address": ("programs=50000 swaps=200", "programs=4000000 swaps=10000"),
        "thread": ("programs=5000 swaps=200", "programs=200000 swaps=5000"),
    },
}
REPORT = re.compile(r"Sanitizer|runtime error:")


def without_python() -> list[Path]:
    """The engine's sources that do not include Python.h: all but its Python face."""
    face = re.compile(r'#include [<"](Python|module)\.h[>"]')
    return [path for path in sorted(ENGINE.glob("*.c")) if not face.search(path.read_text())]


@pytest.fixture(scope="session", params=BUILDS)
def native(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """One build: its name and the program."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if not shutil.which(compiler[0]):
        pytest.skip(f"no C compiler: {compiler[0]} is not installed")
    build: str = request.param
    program = tmp_path_factory.mktemp("native") / build
    tests = sorted(Path(__file__).parent.glob("*.c"))
    made = subprocess.run(
        [
            *compiler, *shlex.split(WARNINGS), *shlex.split(BUILDS[build]), f"-I{ENGINE}",
            *map(str, [*tests, *without_python()]), "-o", str(program),
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return build, program


def still_addresses(build: str) -> list[str]:
    """TSan's shadow cannot be laid out where addresses are randomised by more than 28 bits."""
    bits = Path("/proc/sys/vm/mmap_rnd_bits")
    try:
        many = int(bits.read_text()) > 28
    except OSError:
        many = False
    return ["setarch", "-R"] if build == "thread" and many and shutil.which("setarch") else []


@pytest.mark.parametrize("name", RUNS)
def test_native(native: tuple[str, Path], name: str, tell: Callable[[str], None]) -> None:
    build, program = native
    arguments = RUNS[name][build][FULL].split()
    run = subprocess.run(
        [*still_addresses(build), str(program), name, *arguments],
        capture_output=True, text=True, timeout=HANGS,
        env={
            **os.environ,
            "ASAN_OPTIONS": "detect_leaks=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
        },
    )  # fmt: skip
    assert run.returncode == 0 and not REPORT.search(run.stderr), f"{run.stdout}\n{run.stderr}"
    tell(f"{build:8}{run.stdout.strip().splitlines()[-1]}")


def test_an_unknown_name_or_number_is_refused(native: tuple[str, Path]) -> None:
    _, program = native
    assert subprocess.run([program, "nothing"], capture_output=True).returncode == 2
    wrong = subprocess.run([program, "truth", "snapshot=1"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "snapshots" in wrong.stderr
