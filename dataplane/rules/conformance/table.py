"""Every row that is checked, and every one that cannot be seen from inside of a process, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dataplane.rules.conformance import indices
from dataplane.rules.conformance.check import Check
from dataplane.rules.conformance.row import Row

_PARTS = (indices,)

#: By id, in the order of their families.
ROWS: Mapping[str, Row] = MappingProxyType({row.id: row for part in _PARTS for row in part.ROWS})

CHECKS: tuple[type[Check], ...] = tuple(check for part in _PARTS for check in part.CHECKS)
