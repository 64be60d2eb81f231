"""How much of the spec is checked: the rows by family, those that are held against a journal and those that
cannot be, so that both together are all."""

from __future__ import annotations

from dataclasses import dataclass

from dataplane.rules.conformance.row import Row
from dataplane.rules.conformance.table import ROWS, UNSEEN


@dataclass(frozen=True, slots=True)
class Share:
    """One family of rows: how many are checked, and how many cannot be seen from inside of a process."""

    family: str
    checked: int
    unseen: int

    @property
    def all(self) -> int:
        return self.checked + self.unseen


def family_of(row: str) -> str:
    """What a row's id begins with: "SPLIT" of "SPLIT-DRV-18"."""
    return row.partition("-")[0]


def shares() -> tuple[Share, ...]:
    """Every family, in the order in which the rows stand."""
    families = dict.fromkeys(family_of(row) for row in (*ROWS, *UNSEEN))
    return tuple(
        Share(
            family,
            sum(family_of(row) == family for row in ROWS),
            sum(family_of(row) == family for row in UNSEEN),
        )
        for family in families
    )


def find_row(name: str) -> Row | str | None:
    """The row of this id, however it is spelt (`split_drv_18`); why it cannot be seen; None: no such row."""
    wanted = "-".join(name[:80].upper().replace("_", " ").replace("-", " ").split())
    return ROWS.get(wanted) or UNSEEN.get(wanted)
