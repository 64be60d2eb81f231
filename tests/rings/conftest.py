"""What the ring tests share: twins, devices played by hand, and a tally of the sequences played."""

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


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """What a test compared; the sum is printed after the tests."""
    mine = Tally()
    yield mine
    request.node.user_properties.append(("rings", (mine.sequences, mine.operations, mine.hostile)))
