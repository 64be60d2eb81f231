"""Every check: together they can say each row of `table`."""

from __future__ import annotations

from dataplane.rules.conformance import (
    beginning,
    chains,
    control,
    features,
    fields,
    given_up,
    held,
    net,
    notes,
    offers,
    returns,
    status,
)
from dataplane.rules.conformance.check import Check

_PARTS = (
    beginning,
    chains,
    held,
    returns,
    fields,
    notes,
    given_up,
    offers,
    status,
    features,
    net,
    control,
)

CHECKS: tuple[type[Check], ...] = tuple(check for part in _PARTS for check in part.CHECKS)
