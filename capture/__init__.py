"""Plain frames: keep, list, filter, dissect, save, and hand over to scapy as `capture.RingSocket`.

Nothing in this package knows of rings or of a terminal. A frame carries where it came from as two
numbers, `Frame.origin`, and that is all that ties it to a queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture.socket import RingSocket

__all__ = ["RingSocket"]


def __getattr__(name: str) -> Any:
    """`RingSocket` when it is asked for: scapy takes half a second to load."""
    if name == "RingSocket":
        from capture.socket import RingSocket

        return RingSocket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
