"""Every row that is checked, and every one that cannot be seen from inside of a process, with the reason.

Only what they say: `checks` has what judges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dataplane.rules.conformance import (
    rows_elsewhere,
    rows_net,
    rows_packed,
    rows_queue,
    rows_split,
    rows_status,
)
from dataplane.rules.conformance.row import Row

_TABLES = (rows_queue, rows_split, rows_packed, rows_status, rows_net)
_UNSEEN = (rows_queue, rows_status, rows_net, rows_elsewhere)

#: By id, those that are checked.
ROWS: Mapping[str, Row] = MappingProxyType({row.id: row for part in _TABLES for row in part.ROWS})

#: By id, why a row cannot be seen here.
UNSEEN: Mapping[str, str] = MappingProxyType(
    {row: why for part in _UNSEEN for row, why in part.UNSEEN.items()}
)
