"""The engine does what the model does: every operation of both halves, byte for byte.

All combinations of layout, INDIRECT_DESC, EVENT_IDX and IN_ORDER; sizes at their edges; indices about to
wrap.
RINGSCOPE_FULL=1 plays at least 200,000 sequences.
"""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rings.conftest import Tally
from tests.rings.twin import Sequence, Setting, Tape, Twin

FULL = os.environ.get("RINGSCOPE_FULL") == "1"
SIZES = {False: (1, 2, 4, 256), True: (1, 2, 3, 7, 256)}
COMBINATIONS = list(itertools.product((False, True), repeat=4))
EXAMPLES = 12600 if FULL else 250

#: Random operations, in any order of completion, and with hostile writes in between.
CONDUCT = {"in turn": (False, False), "shuffled": (True, False), "hostile": (True, True)}


def name(value: tuple[bool, ...]) -> str:
    packed, *features = value
    words = [w for w, on in zip(("indirect", "event_idx", "in_order"), features, strict=True) if on]
    return "-".join(["packed" if packed else "split", *words])


def starts(packed: bool, size: int) -> list[tuple[int, int]]:
    """Where a ring begins: index and wrap counter."""
    indices = {0, size - 1, size // 2, 65530, 65535}
    return [(i, wrap) for i in sorted(indices) for wrap in ((0, 1) if packed else (1,))]


def play(setting: Setting, tape: bytes, conduct: str, tally: Tally) -> None:
    shuffle, hostile = CONDUCT[conduct]
    twin = Twin(setting)
    try:
        sequence = Sequence(twin, Tape(tape), shuffle, hostile)
        tally.add(sequence.play(), hostile)
        if not hostile:
            twin.compare_owners()
    finally:
        twin.close()


@pytest.mark.parametrize("conduct", CONDUCT)
@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
def test_engine_equals_model(combination: tuple[bool, bool, bool, bool], conduct: str, tally: Tally) -> None:
    packed, indirect, event_idx, in_order = combination
    queues = [
        Setting(packed, size, indirect, event_idx, in_order, start, wrap)
        for size in SIZES[packed]
        for start, wrap in starts(packed, size)
    ]

    @settings(
        max_examples=EXAMPLES // 3,
        deadline=None,
        derandomize=not FULL,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(setting=st.sampled_from(queues), tape=st.binary(min_size=150, max_size=450))
    def sequences(setting: Setting, tape: bytes) -> None:
        play(setting, tape, conduct, tally)

    sequences()
