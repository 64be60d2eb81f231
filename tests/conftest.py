"""Refuses to test extensions that are older than their sources: what passes must be what is in the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REBUILD = "rebuild it with: python -m pip install -e '.[dev]'"

#: What is built, as a pattern, and from which sources.
EXTENSIONS = {
    "dataplane/_engine": ("dataplane/engine/*.[ch]",),
    "capture/_frames": ("capture/native/*.[ch]", "dataplane/engine/bpf.[ch]"),
}


def stale(root: Path) -> str:
    """What is wrong with what is built under `root`, in one line; "" where it is fresh."""
    for name, patterns in EXTENSIONS.items():
        built = [*root.glob(f"{name}*.so")]
        if not built:
            return f"{name} is not built: {REBUILD}"
        module = max(built, key=lambda path: path.stat().st_mtime)
        sources = [path for pattern in patterns for path in root.glob(pattern)]
        newer = [path for path in sources if path.stat().st_mtime > module.stat().st_mtime]
        if newer:
            latest = max(newer, key=lambda path: path.stat().st_mtime)
            return f"{module.name} is older than {latest.relative_to(root)}: {REBUILD}"
    return ""


def pytest_configure() -> None:
    if why := stale(ROOT):
        raise pytest.UsageError(why)
