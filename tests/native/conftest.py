"""Keeps the lines of numbers that the native programs print; `tests/conftest.py` shows them at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Adds a line to what is printed after the tests."""
    return lambda line: request.node.user_properties.append(("told", line))
