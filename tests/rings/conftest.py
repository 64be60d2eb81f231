"""What the ring tests share: a tally of the sequences played, printed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.rings.staging import Net, Twins


@dataclass
class Tally:
    sequences: int = 0
    operations: int = 0
    hostile: int = 0

    def add(self, operations: int, hostile: bool = False) -> None:
        self.sequences += 1
        self.operations += operations
        self.hostile += hostile


_KEY = pytest.StashKey[Tally]()


@pytest.fixture
def twins() -> Iterator[Twins]:
    """Makes twins of engine and model; they are closed at the end of the test."""
    made = Twins()
    yield made
    made.close()


@pytest.fixture
def net() -> Iterator[type[Net]]:
    """Makes network devices played by hand; they are closed at the end of the test."""
    made: list[Net] = []

    class Made(Net):
        def __init__(self, packed: bool, **options: int) -> None:
            super().__init__(packed, **options)
            made.append(self)

    yield Made
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    return pytestconfig.stash.setdefault(_KEY, Tally())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash.get(_KEY, None)
    if tally:
        terminalreporter.write_line(
            f"rings: {tally.sequences} sequences, {tally.operations} operations equal in engine and model; "
            f"{tally.hostile} of the sequences hostile"
        )
