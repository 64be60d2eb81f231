"""The device status and the features (2.1, 2.2, 3.1.1): what is legal happens, what is not changes nothing.

HI-028: all 256 status values from every reachable state. HI-071: illegal sets are refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.negotiate import DEFAULT_FEATURES
from dataplane.pair import Pair
from tests.rings.staging import Net

GOOD = f.mask(f.F_VERSION_1, f.F_INDIRECT_DESC)
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET, FAILED = 1, 2, 4, 8, 64, 128
#: Each bit that needs another one before it.
AFTER = {DRIVER: ACKNOWLEDGE, FEATURES_OK: DRIVER, DRIVER_OK: FEATURES_OK}
KNOWN = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | FAILED


def after_write(old: int, new: int, *, refused: bool) -> int:
    """The status after a driver wrote `new` (2.1.1, 2.1.2); FEATURES_OK goes where the set is refused."""
    if new == 0:
        return 0
    own = old & NEEDS_RESET  # the device's own bit
    wanted = new & ~own
    if wanted & ~KNOWN or old & KNOWN & ~wanted:
        return old
    if any(wanted & bit and not wanted & before for bit, before in AFTER.items()):
        return old
    if wanted & FEATURES_OK and not old & FEATURES_OK and refused:
        wanted &= ~(FEATURES_OK | DRIVER_OK)
    return wanted | own


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(bare=True, size=4, offered=GOOD, trace_events=64, frame_bytes=64)
    yield made
    made.close()


def walk(engine: Engine, path: tuple[int, ...], features: int) -> int:
    """Resets, then writes these values, features before each where they may be written."""
    status = engine.write_status(0)
    assert status == 0
    for value in path:
        engine.write_features(features, False)
        status = engine.write_status(value)
    return status


@pytest.mark.parametrize(
    "features", [pytest.param(GOOD, id="HI-028-good"), pytest.param(0, id="HI-028-refused")]
)
def test_every_value_from_every_reachable_state(engine: Engine, features: int) -> None:
    paths: dict[int, tuple[int, ...]] = {0: ()}
    todo = [0]
    while todo:
        state = todo.pop()
        for value in range(256):
            assert walk(engine, paths[state], features) == state
            engine.write_features(features, False)
            got = engine.write_status(value)
            refused = features == 0 or not state & DRIVER
            assert got == after_write(state, value, refused=refused), f"{value:#x} written in {state:#x}"
            if got not in paths:
                paths[got] = (*paths[state], value)
                todo.append(got)
    line = {0, 1, 3, 11, 15} if features else {0, 1, 3}
    assert set(paths) == {status | failed for status in line for failed in (0, FAILED)}


@pytest.mark.parametrize("packed", [False, True])
def test_every_value_of_a_device_that_needs_reset(packed: bool) -> None:
    """A broken queue makes the device say so (2.1.2); only a reset takes it back."""
    for value in range(256):
        net = Net(packed)
        try:
            net.offer(1, [[(2**60, 16, 0, 0)]])
            net.turn(1)  # breaks the queue
            net.turn(1)  # finds it broken
            status = int(net.engine.info()["status"])
            assert status == 15 | NEEDS_RESET
            generation = net.engine.info()["config_generation"]
            assert generation == 1, "a configuration change notification says so"
            assert net.engine.write_status(value) == after_write(status, value, refused=False)
        finally:
            net.close()


def test_reset_forgets_what_was_accepted(engine: Engine) -> None:
    walk(engine, (1, 3, 11, 15), GOOD)
    assert engine.info()["accepted"] == GOOD
    engine.write_status(0)
    assert engine.info()["accepted"] == 0 and engine.info()["status"] == 0


@pytest.mark.parametrize("path", [(), (1,), (1, 3, 11), (1, 3, 11, 15)])
def test_features_written_too_early_or_too_late(engine: Engine, path: tuple[int, ...]) -> None:
    """2.2.2: between DRIVER and FEATURES_OK, or never."""
    walk(engine, path, GOOD)
    before = engine.info()["accepted"]
    engine.write_features(f.mask(f.F_VERSION_1), False)
    assert engine.info()["accepted"] == before


def test_refused_set_can_be_written_anew(engine: Engine) -> None:
    assert walk(engine, (1, 3, 11), 0) == 3
    engine.write_features(GOOD, False)
    assert engine.write_status(11) == 11


# ---- features ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "offered, accepted, high, bit",
    [
        pytest.param(0, 0, False, f.F_VERSION_1, id="HI-071-nothing-offered"),
        pytest.param(GOOD, f.mask(f.F_INDIRECT_DESC), False, f.F_VERSION_1, id="HI-071-no-VERSION_1"),
        pytest.param(GOOD, (1 << 64) - 1, False, 0, id="HI-071-all-ones"),
        pytest.param(GOOD, GOOD, True, 64, id="HI-071-above-63"),
        pytest.param(GOOD, GOOD | f.mask(f.F_SR_IOV), False, f.F_SR_IOV, id="HI-071-not-offered"),
        pytest.param(
            (1 << 64) - 1, GOOD | f.mask(f.F_RING_PACKED), False, f.F_RING_PACKED, id="HI-071-layout"
        ),
    ],
)
def test_illegal_sets(offered: int, accepted: int, high: bool, bit: int) -> None:
    engine = Engine(bare=True, size=4, offered=offered, trace_events=64, frame_bytes=64)
    try:
        engine.write_status(1)
        engine.write_status(3)
        engine.write_features(accepted, high)
        assert engine.write_status(11) == 3
        assert engine.info()["refused"] == 1 + bit
        assert engine.write_status(3 | FAILED) == 3 | FAILED
    finally:
        engine.close()


def only(*names: str) -> list[str]:
    """Changes that leave of the network features just these."""
    net = [n for n in f.feature_names(DEFAULT_FEATURES) if f.bit_of(n) < 24]
    return [f"-{n}" for n in net] + [f"+{n}" for n in names]


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("bit", f.REQUIRES, ids=lambda bit: f.feature_names(f.mask(bit))[0])
def test_every_dependency(bit: int, layout: Any) -> None:
    """5.1.3.1: refused alone with both names in the reason, accepted with any one of what it needs."""
    name = f.feature_names(f.mask(bit))[0]
    needs = [f.feature_names(f.mask(n))[0] for n in f.REQUIRES[bit]]
    with pytest.raises(ValueError) as refused:
        Pair(layout=layout, features=only(name))
    assert (
        str(refused.value) == f"the device refuses the features: {name} needs {' or '.join(needs)} (5.1.3.1)"
    )
    for need in f.REQUIRES[bit]:
        chain = [need, *f.REQUIRES.get(need, ())[:1]]  # ECN needs TSO needs CSUM
        with Pair(
            layout=layout, features=only(name, *(f.feature_names(f.mask(n))[0] for n in chain))
        ) as pair:
            assert f.has(pair.identity.accepted, bit) and f.has(pair.identity.accepted, need)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ("-version_1", "the device refuses the features: VERSION_1 is required (6.1)"),
        ("+rss", "the device refuses the features: RSS is not offered"),
        ("+notification_data", "the device refuses the features: NOTIFICATION_DATA is not offered"),
        ("+guest_uso4", "the device refuses the features: GUEST_USO4 is not offered"),
        ("+packed", "RING_PACKED follows from the layout: choose it there"),
        ("+event_idxx", "no feature is called 'event_idxx'; did you mean event_idx?"),
    ],
)
def test_refused_with_the_reason(changes: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        Pair(features=changes)
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)


def test_defaults_are_a_legal_set() -> None:
    assert f.missing(DEFAULT_FEATURES) == []
    with Pair() as pair:
        assert pair.identity.accepted == DEFAULT_FEATURES
        assert pair.snapshot().status == 15
