"""`ringscope explain`: what a code means, how to know it from others, and what to do now.

With `--json` a code is one object: `name`, `family`, `means`, `sections` (of VIRTIO 1.3), `look`, `causes`
(objects of what, tell, bugs), `alike` (code, decides, vantage), `healthy`, `next`, `bugs` (project, ref,
title) and `vantage`. Without a code `codes` lists them all, beside `families` and `vantages` in words.
The rows of the spec (`SPLIT-DRV-18`) are told by `explaining_rows`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from dataplane.rules.codes import CODES, FAMILIES, VANTAGES, Bug, Code, UnknownCode, Vantage, find
from dataplane.rules.conformance.count import find_row
from inspector.cli import OK, USAGE, complain
from inspector.commands.explaining_rows import count_as_json, count_page, row_as_json, row_page

_PIPED = 80  #: columns where there is no terminal
_NARROWEST, _WIDEST = 44, 100  #: of prose: the longest name fits, and longer lines are hard to read
_WORDS = (
    "available, seen, used, collected: how far the driver published, the device took, the device finished, "
    "the driver took back. A spare kick or call is one that nothing asked for; both sides must bear it."
)


def explain(options: argparse.Namespace) -> int:
    """Tells of one code, or lists them all; the exit code."""
    row = find_row(options.code) if options.code else None
    if options.conformance:
        told = json.dumps(count_as_json()) if options.json else "\n".join(count_page())
    elif row is not None:
        name, width = options.code.upper().replace("_", "-"), min(_columns(), _WIDEST)
        told = json.dumps(row_as_json(name, row)) if options.json else "\n".join(row_page(name, row, width))
    elif options.code is None:
        told = _all_as_json() if options.json else "\n".join(table(_columns()))
    else:
        try:
            code = find(options.code)
        except UnknownCode as error:
            complain(f"{error}; ringscope explain lists all")
            return USAGE
        told = json.dumps(as_json(code)) if options.json else "\n".join(page(code, _columns()))
    print(told, flush=True)
    return OK


def _columns() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPED


def table(columns: int) -> list[str]:
    """Every code by family, a name and what it means."""
    name = max(map(len, CODES)) + 2
    lines: list[str] = []
    for family, title in FAMILIES.items():
        lines += [*([""] if lines else []), title.upper()]
        for code in (one for one in CODES.values() if one.family == family):
            if columns >= name + _NARROWEST:
                lines += _wrapped(code.means, columns, f"  {code.name:<{name}}", " " * (name + 2))
            else:
                lines += [f"  {code.name}", *_wrapped(code.means, columns, "    ")]
    return [*lines, "", *_wrapped("ringscope explain CODE tells of one: signs, causes, what to do.", columns)]


def page(code: Code, columns: int) -> list[str]:
    """All that is known of a code, in paragraphs."""
    width = max(_NARROWEST, min(columns, _WIDEST))
    lines = _wrapped(f"{code.name}  ({FAMILIES[code.family]})", width) + _wrapped(code.means, width)
    lines += ["", "WHAT YOU SEE", *_wrapped(code.look, width, "  ")]
    if code.healthy:
        lines += ["", "HEALTHY, AND LOOKS LIKE IT", *_wrapped(code.healthy, width, "  ")]
    lines += ["", "WHAT TO DO NEXT"]
    for number, step in enumerate(code.next, 1):
        lines += _wrapped(step, width, f"  {number}. ", "     ")
    lines += ["", "WHY"]
    for number, cause in enumerate(code.causes, 1):
        lines += _wrapped(cause.what, width, f"  {number}. ", "     ")
        lines += _wrapped(cause.tell, width, "     tell: ", "           ")
        for bug in cause.bugs:
            lines += _wrapped(_cited(bug), width, "     seen: ", "           ")
    lines += ["", "TELL IT FROM"]
    for alike in code.alike:
        lines += [f"  {alike.code}", *_wrapped(f"{alike.decides} ({_seen(alike.vantage)})", width, "     ")]
    lines += ["", "TO BE SURE, LOOK AT", *_wrapped(_seen(code.vantage), width, "  ")]
    lines += ["", "SPEC", *_wrapped(f"VIRTIO 1.3: {', '.join(code.sections)}", width, "  ")]
    return [*lines, "", "WORDS", *_wrapped(_WORDS, width, "  ")]


def as_json(code: Code) -> dict[str, Any]:
    """A code as plain data."""
    return {**asdict(code), "bugs": [asdict(bug) for bug in code.bugs]}


def _all_as_json() -> str:
    codes = [as_json(code) for code in CODES.values()]
    return json.dumps({"families": dict(FAMILIES), "vantages": dict(VANTAGES), "codes": codes})


def _cited(bug: Bug) -> str:
    return f"{bug.project}, {bug.ref}: {bug.title}"


def _seen(vantage: Iterable[Vantage]) -> str:
    return ", ".join(VANTAGES[letter] for letter in vantage)


def _wrapped(text: str, width: int, first: str = "", rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
