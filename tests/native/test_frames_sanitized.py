"""The extension for frames under ASan and UBSan: its own tests again, in a copy of the tree built that way.

The interpreter itself is not built so: the sanitizer's library is loaded first, and leaks are not looked for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("test_native_frames", "test_reading", "test_writing", "test_rolling", "test_store", "test_bpf")
FLAGS = (
    "-shared -fPIC -std=c11 -O1 -g -fno-omit-frame-pointer -fvisibility=hidden -DPy_LIMITED_API=0x030b0000 "
    "-Wall -Wextra -Werror -Wno-missing-field-initializers -fsanitize=address,undefined "
    "-fno-sanitize-recover=all"
)
#: The programs that tests run are not to be loaded with the library.
BEGIN = "import os, sys, pytest; del os.environ['LD_PRELOAD']; sys.exit(pytest.main(sys.argv[1:]))"
REPORT = re.compile(r"Sanitizer|runtime error:")


def test_the_extension_for_frames(tmp_path: Path, tell: Callable[[str], None]) -> None:
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler):
        pytest.skip(f"no C compiler: {compiler} is not installed")
    for name in ("capture", "dataplane", "inspector", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for built in (tmp_path / "capture").glob("_frames*.so"):
        built.unlink()
    sources = [*sorted((ROOT / "capture/native").glob("*.c")), ROOT / "dataplane/engine/bpf.c"]
    module = tmp_path / "capture" / "_frames.abi3.so"
    include = sysconfig.get_paths()["include"]
    made = subprocess.run(
        [compiler, *FLAGS.split(), f"-I{include}", *map(str, sources), "-o", str(module)],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    library = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True)
    tests = [f"tests/frames/{name}.py" for name in TESTS]
    run = subprocess.run(
        [sys.executable, "-c", BEGIN, "-q", "-p", "no:cacheprovider", *tests],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        env={
            **os.environ,
            "LD_PRELOAD": library.stdout.strip(),
            "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",
            "PYTHONPATH": str(tmp_path),
        },
    )
    assert run.returncode == 0 and not REPORT.search(run.stdout + run.stderr), run.stdout + run.stderr
    tell(f"address _frames: {run.stdout.strip().splitlines()[-1]}")
