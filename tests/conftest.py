"""Refuses to test extensions that are older than their sources: what passes must be what is in the tree."""

from __future__ import annotations

import os
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


@pytest.fixture(autouse=True, scope="session")
def state_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever runs here, and what it starts, remembers nothing in the home of whoever runs it."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.hookimpl(tryfirst=True)  # the groups must be known when the tests are dealt out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On several processors: what shares network namespaces, captures or a build stays together."""
    for item in items:
        for folder in ("interop", "native"):
            if f"tests/{folder}/" in item.nodeid and item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(folder))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The numbers that tests tell, from whichever process they ran in."""
    lines: list[str] = []
    rings = [0, 0, 0]
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":
                continue
            for name, value in report.user_properties:
                if name == "told":
                    lines.append(value)
                elif name == "rings":
                    rings = [a + b for a, b in zip(rings, value, strict=True)]
    if rings[0]:
        sequences, operations, hostile = rings
        lines.append(
            f"rings: {sequences} sequences, {operations} operations equal in engine and model; "
            f"{hostile} of the sequences hostile"
        )
    if lines:
        terminalreporter.section("numbers run")
    for line in sorted(lines):
        terminalreporter.write_line(line)
