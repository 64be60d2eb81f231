"""From the first look to the cause in at most five keys, for ten public bugs of different kinds."""

from __future__ import annotations

import pytest

from tests.stuck.transcripts import CASES, MOST_KEYS, Case, walk


def test_ten_of_them() -> None:
    assert len(CASES) >= 10 and len({case.first[0] for case in CASES}) >= 10
    assert all(0 < len(case.keys) <= MOST_KEYS for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["small", "usual"])
async def test_the_cause_in_five_keys(case: Case, size: tuple[int, int]) -> None:
    code, queue = case.first
    looks = await walk(case, size)
    assert code in looks[0].text and f"✗ {queue}" in looks[0].text
    assert [look.key for look in looks[1:]] == [key for key, _ in case.keys]
    assert code in looks[1].text
