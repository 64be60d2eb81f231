"""Expectations: what must hold at one moment, in the language of `expression`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from dataplane.script import expression
from dataplane.script.expression import Node, Unsound
from dataplane.script.facts import BLANK, FINDING, Fact, Moment, Record, View
from dataplane.script.table import near


@dataclass(frozen=True)
class Expectation:
    """One expectation, read and checked."""

    text: str
    node: Node

    @property
    def names(self) -> frozenset[str]:
        """The first names of what it asks for: queues, and what else is at the top."""
        return frozenset(str(name.parts[0]) for name in expression.names(self.node))

    @property
    def diagnosed(self) -> bool:
        """Whether it asks for something that only the doctor knows."""
        return any(name.parts[-1] == FINDING for name in expression.names(self.node))


@dataclass(frozen=True)
class Verdict:
    """Whether it holds, and what is there."""

    holds: bool
    there: str


def parse(text: str, tree: Record) -> Expectation:
    """Reads one expectation and checks its names; Unsound with one line."""
    one = Expectation(" ".join(text.split()), expression.bind(expression.parse(text), View(tree, BLANK)))
    if not one.names:
        raise Unsound(f"it asks for nothing of the rings; {near('', tree.fields)}")
    return one


def judge(one: Expectation, tree: Record, moment: Moment) -> Verdict:
    """Whether an expectation holds at this moment."""
    known = View(tree, moment)
    try:
        holds = bool(expression.work(one.node, known))
    except Unsound as error:
        return Verdict(False, str(error))
    told = []
    for name in expression.names(one.node):
        with suppress(Unsound):  # it stands behind an `and` that looked no further
            value = expression.work(name, known)
            told.append(f"{name.text} is {value.spelt if isinstance(value, Fact) else value}")
    return Verdict(holds, ", ".join(dict.fromkeys(told)))
