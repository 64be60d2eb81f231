"""`ringscope explain` of a row of the spec, and how many rows there are: the pages, and the same as data.

With `--json` a row is one object: `row`, `section` (of VIRTIO 1.3), `binds`, `level`, `statement` and
`vantage`; one that cannot be seen has `row` and `unseen`, the reason. `--conformance` gives `families`
(objects of family, checked, unseen), `checked`, `unseen` and `rows`.
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Any

from dataplane.rules.codes import VANTAGES
from dataplane.rules.conformance.count import shares
from dataplane.rules.conformance.row import Row
from dataplane.rules.conformance.table import ROWS, UNSEEN

_LEVELS = {"implied": "follows from what the spec says", "info": "is how the spec describes it"}


def row_page(name: str, row: Row | str, width: int) -> list[str]:
    """What a row asks for, of whom, and how it is seen; or why it is not."""
    if isinstance(row, str):
        return [f"{name}  (not checked)", *_indented(f"It cannot be seen from here: {row}.", width)]
    who = "both sides" if row.binds == "both" else f"the {row.binds}"
    level = _LEVELS.get(row.level, f"{who} {row.level}")
    seen = ", ".join(words for letter, words in VANTAGES.items() if letter in row.vantage)
    return [
        f"{row.id}  ({row.section}; {level})",
        *_indented(row.statement, width),
        "",
        f"BINDS  {who}",
        f"SPEC   VIRTIO 1.3: {row.section}",
        *textwrap.wrap(f"SEEN BY {seen}", width),
        "",
        *textwrap.wrap(
            "Checked against every store, at trace level stores and while frozen or stepped: the doctor "
            "reports it under this name. ringscope explain --conformance counts all rows.",
            width,
        ),
    ]


def row_as_json(name: str, row: Row | str) -> dict[str, Any]:
    """A row as plain data."""
    if isinstance(row, str):
        return {"row": name, "unseen": row}
    told = asdict(row)
    return {"row": told.pop("id"), **told, "vantage": list(row.vantage)}


def count_page() -> list[str]:
    """One line for each family, and the total."""
    lines = [f"{'family':8} {'checked':>7} {'not visible':>11} {'rows':>5}"]
    lines += [f"{one.family:8} {one.checked:7} {one.unseen:11} {one.all:5}" for one in shares()]
    return [*lines, f"{'all':8} {len(ROWS):7} {len(UNSEEN):11} {len(ROWS) + len(UNSEEN):5}"]


def count_as_json() -> dict[str, Any]:
    """The same as plain data, with every row."""
    return {
        "families": [asdict(one) for one in shares()],
        "checked": len(ROWS),
        "unseen": len(UNSEEN),
        "rows": [
            *(row_as_json(row.id, row) for row in ROWS.values()),
            *(row_as_json(name, why) for name, why in UNSEEN.items()),
        ],
    }


def _indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ")
