"""The scenarios of public bugs make the ring states that the bugs make, and do not without their faults."""

from __future__ import annotations

import pytest

from tests.stuck.entries import entries
from tests.stuck.states import look, passing, states, together, unlike
from tests.stuck.varying import fixed, spelt


def test_every_scenario_has_a_state_or_a_reason() -> None:
    named, reasons = set(states()), {**passing(), **unlike()}
    assert not named & set(reasons)
    assert named | set(reasons) == {entry.id for entry in entries()}
    assert all(reasons.values())


@pytest.mark.parametrize("there", [True, False], ids=["faulty", "fixed"])
def test_the_state_is_there_with_the_fault_and_only_then(there: bool) -> None:
    known = states()
    documents = {entry.id: entry.document() for entry in entries() if entry.id in known}
    playing = {
        name: look(spelt(one if there else fixed(one)), known[name], there=there)
        for name, one in documents.items()
    }
    wrong = {name: what for name, what in together(playing).items() if what}
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())
