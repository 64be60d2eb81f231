"""Refuses to test an engine that is older than its sources: what passes must be what is in the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REBUILD = "rebuild it with: python -m pip install -e '.[dev]'"


def stale(root: Path) -> str:
    """What is wrong with the built engine under `root`, in one line; "" where it is fresh."""
    sources = [*root.glob("dataplane/engine/*.[ch]")]
    built = [*root.glob("dataplane/_engine*.so")]
    if not built:
        return f"the engine is not built: {REBUILD}"
    engine = max(built, key=lambda path: path.stat().st_mtime)
    newer = [path for path in sources if path.stat().st_mtime > engine.stat().st_mtime]
    if newer:
        latest = max(newer, key=lambda path: path.stat().st_mtime)
        return f"{engine.name} is older than {latest.relative_to(root)}: {REBUILD}"
    return ""


def pytest_configure() -> None:
    if why := stale(ROOT):
        raise pytest.UsageError(why)
