"""What the tests with real network stacks need: root, /dev/net/tun, iproute2, tcpdump.

RINGSCOPE_FULL=1 in the environment asks for the long forms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.interop.netns import MIB, Bench, lacking


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Two network namespaces, gone afterwards together with all that was put into them."""
    if why := lacking():
        pytest.skip(why)
    with Bench() as made:
        yield made


@pytest.fixture(scope="session")
def transfer_bytes() -> int:
    """How much a TCP transfer carries."""
    return 256 * MIB if os.environ.get("RINGSCOPE_FULL") == "1" else 16 * MIB
