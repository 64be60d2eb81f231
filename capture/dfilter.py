"""Display filters in Wireshark's language, evaluated for many frames at once.

    shown = compile_filter("ip.dst == 10.0.0.1 and tcp.flags.syn == 1")
    for block in store.blocks(first, last + 1):
        mask = shown.mask(block)

The language is that of Wireshark 4.0 over the fields of `capture.fieldtable`; any other is refused by name. A
field alone asks whether the frame has it. A field that stands in a frame several times compares when any of
its values does; with != when all do. A frame that has not the field does not compare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from capture.batch import Batch
from capture.errors import FilterError
from capture.fieldtable import FIELDS, STAGE_FIELDS, Kind
from capture.filters.check import check
from capture.filters.complete import Completion, complete
from capture.filters.parse import Leaf, parse
from capture.filters.run import run
from capture.filters.steps import Compare, Field, Present, Step, fields_of
from capture.frame import Array
from capture.patterns import REACH, reach
from capture.store import Block

__all__ = ["Completion", "Filter", "FilterError", "compile_filter", "complete"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was understood. It has no state: any number of threads may use it at once.

    `remarks` are lines for the reader of a filter that is right and may yet not mean what it says.
    """

    text: str
    fields: frozenset[str]
    needs_stages: bool
    remarks: tuple[str, ...] = ()
    step: Step | None = field(default=None, repr=False, compare=False)

    def mask(self, block: Block) -> Array:
        """bool[frames of the block]: which of them it shows."""
        return self.mask_of(Batch(block))

    def mask_of(self, batch: Batch) -> Array:
        """The same over a batch, whose columns are then there for other uses."""
        if self.step is None or not batch.size:
            return np.ones(batch.size, bool)
        return run(self.step, batch)


def compile_filter(text: str) -> Filter:
    """A filter from its text; an empty one shows all. FilterError says what is wrong and where."""
    leaves: list[Step] = []

    def leaf(test: Leaf) -> Step:
        leaves.append(check(test))
        return leaves[-1]

    step = parse(text, leaf)
    fields: frozenset[str] = frozenset().union(*(fields_of(leaf) for leaf in leaves))
    remarks = tuple(dict.fromkeys(remark for leaf in leaves if (remark := _remark(leaf))))
    return Filter(text, fields, not fields.isdisjoint(STAGE_FIELDS), remarks, step)


def _remark(step: Step) -> str:
    match step:
        case Compare(right=re.Pattern() as pattern) if reach(pattern) < REACH[0]:
            return f"of each value only the first {reach(pattern)} characters are searched (repeats)"
        case Present(Field(name)) if FIELDS[name].kind is Kind.FLAG:
            return f"{name} alone asks whether a frame has the bit; {name} == 1 asks whether it is set"
    return ""
