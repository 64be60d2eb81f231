"""Every row that is checked, and every one that cannot be seen from inside of a process, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dataplane.rules.conformance import (
    beginning,
    chains,
    fields,
    given_up,
    held,
    notes,
    offers,
    returns,
    rows_packed,
    rows_queue,
    rows_split,
)
from dataplane.rules.conformance.check import Check
from dataplane.rules.conformance.row import Row

_TABLES = (rows_queue, rows_split, rows_packed)
_CHECKING = (beginning, chains, held, returns, fields, notes, given_up, offers)

#: By id, those that are checked.
ROWS: Mapping[str, Row] = MappingProxyType({row.id: row for part in _TABLES for row in part.ROWS})

#: By id, why a row cannot be seen here.
UNSEEN: Mapping[str, str] = MappingProxyType({**rows_queue.UNSEEN})

CHECKS: tuple[type[Check], ...] = tuple(check for part in _CHECKING for check in part.CHECKS)
