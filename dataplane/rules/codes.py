"""Every code that a finding can have: what it means, why it comes to it, and what to do next.

    code = find("kick_missing")
    for cause in code.causes:
        print(cause.what, "-", cause.tell)

Codes that no rule reports yet are told too: what cannot be seen from here can be looked for by hand.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from dataplane.rules.told import (
    alike_rings,
    alike_waiting,
    call,
    control,
    device,
    driver,
    kick,
    layout,
    other,
    used,
)
from dataplane.rules.told.code import Alike, Bug, Cause, Code, Family, Vantage

__all__ = [
    "CODES",
    "FAMILIES",
    "VANTAGES",
    "Alike",
    "Bug",
    "Cause",
    "Code",
    "Family",
    "UnknownCode",
    "Vantage",
    "find",
]

#: In the order of a buffer's way, with what they are about.
FAMILIES: Mapping[Family, str] = MappingProxyType(
    {
        "kick": "kick path, driver to device",
        "call": "call path, device to driver",
        "device": "the device's behaviour",
        "driver": "the driver's behaviour",
        "used": "what the device says it used",
        "layout": "indices, descriptors, chains",
        "control": "setup, features, memory",
        "other": "none of these",
    }
)

VANTAGES: Mapping[Vantage, str] = MappingProxyType(
    {
        "M": "memory",
        "H": "history",
        "K": "kicks and calls",
        "C": "control messages",
        "X": "status, configuration, transport",
        "S": "private state of a side",
    }
)

_LONGEST = 40  #: characters of a name that is not known that are repeated


class UnknownCode(KeyError):
    """No code has this name; one line that says so, with those that are near."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put it in quotes


def _alike(name: str) -> Iterator[Alike]:
    for twins in (*alike_waiting.TWINS, *alike_rings.TWINS):
        if name == twins.one:
            yield Alike(twins.other, twins.decides, twins.vantage)
        elif name == twins.other:
            yield Alike(twins.one, twins.decides, twins.vantage)


#: By name, family by family.
CODES: Mapping[str, Code] = MappingProxyType(
    {
        code.name: replace(code, alike=tuple(_alike(code.name)))
        for family in (kick, call, device, driver, used, layout, control, other)
        for code in family.CODES
    }
)


def find(name: str) -> Code:
    """The code of this name, however it is spelt (`kick-missing`). UnknownCode names those that are near."""
    wanted = "_".join(name[: 2 * _LONGEST].upper().replace("-", " ").replace("_", " ").split())
    code = CODES.get(wanted)
    if code is not None:
        return code
    near = [known for known in CODES if wanted and wanted in known][:_MOST_NEAR]
    near = near or difflib.get_close_matches(wanted, CODES, n=_MOST_NEAR)
    shown = name if len(name) <= _LONGEST else name[: _LONGEST - 3] + "..."
    hint = f"near it: {', '.join(near)}" if near else f"there are {len(CODES)}, none of them like it"
    raise UnknownCode(f"no code is called {shown!r}; {hint}")


_MOST_NEAR = 8  #: as many as a family has
