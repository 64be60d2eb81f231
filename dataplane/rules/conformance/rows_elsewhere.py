"""Rows of what is not in this process: transports, and devices of other types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Why none of them can be seen, the numbers of each kind, and the family.
_FAMILIES: tuple[tuple[str, Mapping[str, Iterable[int]], str], ...] = (
    (
        "messages of vhost-user: nothing of them is in the journal of a pair",
        {
            "HDR": range(1, 5),
            "COM": range(1, 7),
            "NEG": range(1, 7),
            "RING": range(1, 8),
            "MSG": range(1, 26),
            "MEM": range(1, 9),
            "LOG": range(1, 3),
            "INF": range(1, 7),
            "BE": range(1, 6),
            "ACK": range(1, 2),
            "CONV": range(1, 2),
        },
        "VU",
    ),
    (
        "registers of PCI: a pair has no bus",
        {
            "DRV": (1, 3, 4, 5, 6, 17, 18, 19, 20, 21, 22, 23, 26, 29, 31, 32, 33, 36, 38),
            "DEV": (2, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 27, 28, 30, 34, 35, 37, 39),
            "BOTH": (40,),
        },
        "PCI",
    ),
    (
        "rows of a block device: a pair is a network device",
        {"DRV": range(1, 5), "DEV": (5, 6, 7)},
        "BLK",
    ),
    (
        "rows of a console: a pair is a network device",
        {"DRV": (1, 3), "DEV": (2, 4)},
        "CON",
    ),
    (
        "a pair has no shared memory regions",
        {"DEV": range(1, 2)},
        "SHM",
    ),
)

#: What cannot be seen in a journal of an in-process pair, and why not.
UNSEEN = {
    f"{family}-{kind}-{number:02}": why
    for why, kinds, family in _FAMILIES
    for kind, numbers in kinds.items()
    for number in numbers
}
